"""The command, driven as a user does: in a process of its own, against the embedded server."""

import asyncio
import json
import os
import signal
import sys
from asyncio import subprocess
from typing import Any

from attrs import frozen

from nuvo_async.testing import NuvoServer

__all__ = [
    "COMMAND",
    "Done",
    "environ",
    "finish",
    "heed_ctrl_c",
    "line_that_has",
    "requested",
    "run",
    "shell",
    "start",
]

COMMAND = [sys.executable, "-W", "error", "-m", "nuvo_async"]


@frozen
class Done:
    """How a command ended."""

    code: int | None
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def environ(server: NuvoServer | None = None, **more: str) -> dict[str, str]:
    """The environment of these tests, without what would change the command."""
    left_out = ("NUVO_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING")
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(left_out) and not name.lower().endswith("_proxy")
    }
    if server is not None:
        clean |= {"NUVO_ACCESS_TOKEN": server.access_token, "NUVO_BASE_URL": server.base_url}
    return {**clean, **more}


async def start(
    *arguments: str,
    env: dict[str, str],
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments),
        env=env,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        preexec_fn=heed_ctrl_c,
    )


def heed_ctrl_c() -> None:
    """Where the tests themselves run in the background, a shell has them ignore such signals."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


async def run(
    server: NuvoServer | None, *arguments: str, stdin: str | bytes = "", **env: str
) -> Done:
    process = await start(*arguments, env=environ(server, **env))
    return await finish(process, server, stdin)


async def shell(script: str, *arguments: str, env: dict[str, str]) -> Done:
    """Run the command by a script, as its arguments `"$@"`.

    Scripts close streams and limit files, and coverage's own file suffers with them.
    """
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", script, "sh", *COMMAND, *arguments),
        env={name: value for name, value in env.items() if not name.startswith("COVERAGE_")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_ctrl_c,
    )
    return await finish(process, None)


async def finish(
    process: subprocess.Process, server: NuvoServer | None, stdin: str | bytes = ""
) -> Done:
    async with asyncio.timeout(50):
        given = stdin.encode() if isinstance(stdin, str) else stdin
        out, err = await process.communicate(given if process.stdin else None)
    done = Done(process.returncode, (out or b"").decode(), err.decode())
    assert "Traceback" not in done.err
    if server is not None:
        for secret in (server.access_token, server.license_key):
            assert secret not in done.out + done.err
    return done


async def line_that_has(process: subprocess.Process, text: str = "") -> str:
    """Read stdout up to a line that has this text."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := (await process.stdout.readline()).decode():
            if text in line:
                return line
    raise AssertionError(f"no line has {text!r}")


async def requested(server: NuvoServer, number: int = 1, call: str = "create") -> None:
    """Return when the server has got so many requests of a kind."""
    async with asyncio.timeout(20):
        while sum(one.call == call for one in server.requests) < number:  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(0.01)

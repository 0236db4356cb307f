"""Signals and crashes: what was started is named on every way out."""

import asyncio
import os
import signal
from asyncio import subprocess
from contextlib import suppress

import pytest

from nuvo_async.testing import faults
from tests.cli.command import (
    COMMAND,
    Done,
    environ,
    finish,
    heed_ctrl_c,
    line_that_has,
    requested,
    run,
    shell,
    start,
)
from tests.cli.terminal import Terminal


def command_with(change, folder):
    """The command, but with a change that is made before it begins."""
    (folder / "changed.py").write_text(
        "import runpy\n"
        f"{change}\n"
        'runpy.run_module("nuvo_async", run_name="__main__", alter_sys=True)\n'
    )
    return [COMMAND[0], "-W", "error", str(folder / "changed.py")]


async def begun(program, *arguments, server, stdin=None):
    return await asyncio.create_subprocess_exec(
        *(*program, *arguments),
        env=environ(server),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_ctrl_c,
    )


# ── Signals ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["wait", "run"])
@pytest.mark.parametrize(
    ("signal_", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
async def test_a_signal_to_end_names_what_goes_on(nuvo_server, command, signal_, code):
    nuvo_server.add_pipeline("slow", duration=60)
    subjects = ["slow"] if command == "run" else nuvo_server.start("slow")
    process = await start(command, *subjects, env=environ(nuvo_server))
    await line_that_has(process, "is PROCESSING")
    process.send_signal(signal_)
    done = await finish(process, nuvo_server)
    assert done.code == code
    assert "1 execution: 1 PROCESSING\n" in done.err
    assert done.err.endswith(f"\n  nuvo-async wait {nuvo_server.executions[0]['id']}\n")


async def test_what_had_ended_is_in_the_summary_after_a_signal(nuvo_server):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("stock", error="PARSING_FAILURE", message="torn")
    nuvo_server.add_pipeline("slow", duration=60)
    process = await start("run", "slow", "orders", "nosuch", "stock", env=environ(nuvo_server))
    lines = ""
    while not ("is SUCCESSFUL" in lines and "is FAILED" in lines):
        lines += await line_that_has(process)
    process.send_signal(signal.SIGTERM)
    done = await finish(process, nuvo_server)
    assert done.code == 143
    assert "3 executions: 1 FAILED, 1 PROCESSING, 1 SUCCESSFUL, 1 not started\n" in done.err
    assert "PARSING_FAILURE: torn\n" in done.err


async def test_a_second_ctrl_c_cuts_nothing_off(nuvo_server):
    nuvo_server.add_pipeline("slow", duration=60)
    process = await start("run", *["slow"] * 500, env=environ(nuvo_server))
    await line_that_has(process, "is PROCESSING")
    process.send_signal(signal.SIGINT)
    for _ in range(5):
        await asyncio.sleep(0.02)
        # Not by the process object, which could take its exit code from asyncio by that.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    seen = {line.split()[2] for line in done.lines if " is PROCESSING" in line}
    assert set(done.err.split()) >= seen
    assert "Unclosed" not in done.err
    assert "destroyed" not in done.err


async def test_a_signal_that_is_ignored_stays_so(nuvo_server):
    """As `nohup` has it for a batch that goes on when its terminal is closed."""
    nuvo_server.add_pipeline("slow", duration=1.5)
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "run", "slow"),
        env=environ(nuvo_server),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    await line_that_has(process, "is PROCESSING")
    process.send_signal(signal.SIGHUP)
    assert (await finish(process, nuvo_server)).code == 0


async def test_a_terminal_that_is_closed_is_a_signal_like_others(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("slow", duration=60)
    script = f'exec "$@" 2> {tmp_path / "messages"}'
    terminal = await Terminal.start(
        *("/bin/sh", "-c", script, "sh", *COMMAND, "run", "slow"),
        env=environ(nuvo_server),
        program=[],
    )
    await terminal.shows("is PROCESSING")
    assert await terminal.hang_up() == 129
    [slow] = nuvo_server.executions
    assert f"nuvo-async wait {slow['id']}\n" in (tmp_path / "messages").read_text()


async def test_ctrl_c_in_the_demo_names_nothing_that_has_ended_with_it():
    process = await start("demo", env=environ())
    await line_that_has(process, "is PROCESSING")
    process.send_signal(signal.SIGINT)
    done = await finish(process, None)
    assert done.code == 130
    assert "nuvo-async wait" not in done.err


async def test_ctrl_c_before_anything_is_known(nuvo_server):
    nuvo_server.add_fault("read", faults.delay(30), times=9)
    process = await start("wait", "65f0", env=environ(nuvo_server))
    await requested(nuvo_server, 1, "read")
    process.send_signal(signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    assert "nuvo-async wait 65f0\n" in done.err


async def test_a_name_that_is_looked_up_for_long_does_not_hold_back_the_exit(tmp_path):
    program = command_with(
        "import socket, time; socket.getaddrinfo = lambda *_, **__: time.sleep(600)", tmp_path
    )
    process = await asyncio.create_subprocess_exec(
        *(*program, "wait", "65f0"),
        env=environ(NUVO_ACCESS_TOKEN="some-token", NUVO_BASE_URL="https://nuvo.invalid/"),
        stderr=subprocess.PIPE,
        preexec_fn=heed_ctrl_c,
    )
    assert process.stderr is not None
    assert b"API unavailable" in await process.stderr.readline()
    process.send_signal(signal.SIGINT)
    done = await finish(process, None)
    assert done.code == 130
    assert "nuvo-async wait 65f0\n" in done.err


# ── Creates under way ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["run", "trigger"])
async def test_creates_under_way_are_answered_before_the_exit(nuvo_server, command):
    nuvo_server.add_pipeline("slow", duration=60)
    nuvo_server.add_fault("create", faults.delay(1.5), times=2)
    process = await start(command, "slow", "slow", env=environ(nuvo_server))
    await requested(nuvo_server, 2)
    for _ in range(2):  # As `timeout` does it: to the process, and to its group.
        process.send_signal(signal.SIGTERM)
    done = await finish(process, nuvo_server)
    assert done.code == 143
    assert "waiting up to 5 s for the answers to 2 triggers under way" in done.err
    assert "not known" not in done.err
    assert set(done.err.split()) >= {one["id"] for one in nuvo_server.executions}
    assert len(nuvo_server.executions) == 2


@pytest.mark.parametrize("command", ["run", "trigger"])
async def test_no_further_create_is_sent_after_ctrl_c(nuvo_server, command):
    nuvo_server.add_pipeline("slow", duration=60)
    nuvo_server.add_fault("create", faults.delay(1.5), times=300)
    process = await start(command, *["slow"] * 300, env=environ(nuvo_server))
    await requested(nuvo_server, 100)  # No more are in flight at once.
    process.send_signal(signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    assert len(nuvo_server.executions) == 100
    assert [one.call for one in nuvo_server.requests].count("create") == 100
    assert set(done.err.split()) >= {one["id"] for one in nuvo_server.executions}
    assert "and 190 more\n" in done.err[done.err.index("not started: slow, slow") :]


async def test_a_journal_has_the_creates_that_were_under_way(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("slow", duration=2)
    nuvo_server.add_fault("create", faults.delay(1), times=5)
    journal = str(tmp_path / "journal")
    command = ["run", *["slow"] * 20, "--concurrency", "5", "--journal", journal]
    process = await start(*command, env=environ(nuvo_server))
    await requested(nuvo_server, 5)
    process.send_signal(signal.SIGTERM)
    done = await finish(process, nuvo_server)
    assert done.code == 143
    assert f"to go on, run the same command again: {journal} has what was done\n" in done.err
    assert "5 executions: 5 PROCESSING, 15 not started\n" in done.err
    assert "nuvo-async wait" not in done.err
    again = await run(nuvo_server, *command)
    assert again.code == 0
    assert len(nuvo_server.executions) == 20


async def test_a_second_ctrl_c_does_not_wait_for_creates(nuvo_server, tmp_path):
    nuvo_server.add_fault("create", faults.delay(600), of="stuck")
    program = command_with(
        "import nuvo_async.cli.ending as ending; ending._GRACE = 600.0", tmp_path
    )
    process = await begun(program, "run", "stuck", server=nuvo_server)
    await requested(nuvo_server)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert b"Ctrl-C to leave at once" in await process.stderr.readline()
    await asyncio.sleep(0.5)
    process.send_signal(signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    assert "not known whether these pipelines were started: stuck\n" in done.err
    look = next(line for line in done.err.splitlines() if line.startswith("  nuvo-async list "))
    found = await run(nuvo_server, *look.split()[1:])
    assert (found.code, found.err) == (0, "")
    assert "filters[pipeline]=stuck" in nuvo_server.requests[-1].query.replace("%5B", "[").replace(
        "%5D", "]"
    )


async def test_creates_that_are_never_answered_hold_the_exit_back_for_seconds_only(nuvo_server):
    nuvo_server.add_pipeline("slow", duration=60)
    nuvo_server.add_fault("create", faults.delay(600), of="stuck")
    process = await start("run", "slow", "stuck", env=environ(nuvo_server))
    await line_that_has(process, "is PROCESSING")
    await requested(nuvo_server, 2)
    process.send_signal(signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    assert f"nuvo-async wait {nuvo_server.executions[0]['id']}\n" in done.err
    assert "not known whether these pipelines were started: stuck\n" in done.err
    assert "not started:" not in done.err


async def test_a_create_that_was_refused_is_not_under_way(nuvo_server):
    nuvo_server.add_fault("create", faults.status(429, retry_after=30), times=9)
    process = await start("run", "orders", env=environ(nuvo_server))
    await requested(nuvo_server)
    await asyncio.sleep(0.5)  # The answer has come, and the next attempt is half a minute away.
    process.send_signal(signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    assert "under way" not in done.err
    assert "not started: orders\n" in done.err


# ── Crashes ───────────────────────────────────────────────────────────────────────────────────


def test_a_bug_has_an_exit_code_of_its_own(run_here, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("nuvo_async.cli.commands.command.main", fail)
    done = run_here("list")
    assert done.code == 70
    assert "ZeroDivisionError" in done.err


@pytest.mark.parametrize(
    "place",
    [
        "nuvo_async.cli.plain_lines.PlainLines.on_end",  # In a callback, as an execution ends,
        "nuvo_async.cli.display.Display.end_run",  # when a pipeline does,
        "nuvo_async.cli.display.summary",  # and when all is over.
    ],
)
async def test_a_crash_names_what_goes_on(nuvo_server, tmp_path, place):
    nuvo_server.add_pipeline("quick", duration=0.3)
    nuvo_server.add_pipeline("slow", duration=60)
    crash = f"from unittest.mock import patch; patch({place!r}, side_effect=ZeroDivisionError)"
    program = command_with(f"{crash}.start()", tmp_path)
    process = await begun(program, *("run", "slow", "quick", "--timeout", "3"), server=nuvo_server)
    out, err = await process.communicate()
    done = Done(process.returncode, out.decode(), err.decode())
    assert done.code == 70
    assert "ZeroDivisionError" in done.err
    [slow] = [one["id"] for one in nuvo_server.executions if one["pipeline"] == "slow"]
    assert slow in done.err[done.err.index("nuvo-async wait ") :]


async def test_a_journal_that_is_full_names_what_goes_on(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("sftp", files=30, duration=60)
    script = f'ulimit -f 8; exec "$@" --journal {tmp_path / "journal"}'
    done = await shell(script, "run", *["sftp"] * 3, env=environ(nuvo_server))
    assert done.code == 3
    assert "the same command" not in done.err
    named = {word.strip(",") for word in done.err.split()}
    started = {one["id"] for one in nuvo_server.executions}
    assert named & started
    unnamed = started - named
    if unnamed:  # Their Creates were answered, and the journal could not keep that.
        assert "not known whether these pipelines were started: sftp\n" in done.err

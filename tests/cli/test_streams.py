"""stdout and stderr of any kind: encodings, pipes, full disks, closed ones."""

import asyncio
import json
import os
import signal
from asyncio import subprocess

import pytest

from nuvo_async.testing import faults
from tests.cli.command import (
    COMMAND,
    Done,
    environ,
    finish,
    heed_ctrl_c,
    requested,
    shell,
    start,
)


async def run_in(encoding, server, *arguments):
    """Run the command with standard streams of this encoding, all of which it must be."""
    process = await start(*arguments, env=environ(server, PYTHONIOENCODING=encoding))
    async with asyncio.timeout(50):
        out, err = await process.communicate()
    done = Done(process.returncode, out.decode(encoding), err.decode(encoding))
    assert "Traceback" not in done.err
    return done


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "shift_jis"])
async def test_what_an_encoding_does_not_have_is_replaced(nuvo_server, encoding):
    nuvo_server.add_pipeline("注文", error="PARSING_FAILURE", message="größer ✔ \x1b[31m")
    nuvo_server.add_pipeline("日本", files=0)
    for arguments, code in [
        (["run", "注文", "日本", "無い"], 3),
        (["run", "注文", "--json"], 1),
        (["get", nuvo_server.start("注文")[0], "無い"], 3),
    ]:
        done = await run_in(encoding, nuvo_server, *arguments)
        assert done.code == code, arguments
        shown = done.out + done.err
        assert "\x1b" not in shown
        assert ("注文" if encoding == "shift_jis" else "\\u6ce8\\u6587") in shown


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
async def test_wrong_usage_is_explained_in_any_encoding(nuvo_server, encoding):
    done = await run_in(encoding, nuvo_server, "list", "--limit", "無い✔")
    assert done.code == 2
    assert "\\u7121\\u3044\\u2714" in done.err or "\\u7121\\u3044+" in done.err


async def test_what_is_no_character_at_all_is_replaced(nuvo_server):
    """Lone surrogates, and what would control a terminal."""
    text = '{"id": "x", "pipeline": "p\\ud800\\u001b[2J\\u202e\\r", "status": "FAILED",'
    text += ' "trigger_type": "MANUAL", "error": {"type": "A\\udfff", "message": "\\u0007b\\n"}}'
    nuvo_server.add_fault("read", faults.body(text), times=9)
    for arguments in (["get", "x"], ["wait", "x", "--timeout", "1"]):
        done = await run_in("utf-8", nuvo_server, *arguments)
        assert done.code in {0, 1, 3}
        shown = done.out + done.err
        assert all(one.isprintable() or one in "\n\t" for one in shown)


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
async def test_json_is_all_that_stdout_ever_has(nuvo_server, tmp_path, closed):
    """Not even when a file or a socket could be given the number of a stream that is closed."""
    nuvo_server.add_pipeline("orders", duration=0.2)
    nuvo_server.add_pipeline("torn", error="PARSING_FAILURE")
    journal = str(tmp_path / "journal")
    arguments = ["run", "orders", "torn", "nosuch", "--json", "--verbose", "--journal", journal]
    done = await shell(f'exec "$@" {closed}', *arguments, env=environ(nuvo_server))
    assert done.code == 3
    if ">&- " not in f"{closed} ".replace("2>&-", ""):
        outcomes = {one["pipeline"]: one.get("status", one.get("outcome")) for one in done.objects}
        assert outcomes == {"orders": "SUCCESSFUL", "torn": "FAILED", "nosuch": "not_started"}
    for line in (tmp_path / "journal").read_text().splitlines():
        assert json.loads(line)
    if closed == ">&-":
        assert "nuvo-async: nosuch: " in done.err


@pytest.mark.parametrize("command", ["list", "run", "trigger", "get", "--help", "--version"])
async def test_a_full_disk_is_exit_code_3_and_names_what_goes_on(nuvo_server, command):
    nuvo_server.add_pipeline("orders", duration=60)
    [execution_id] = nuvo_server.start("orders")
    arguments = {"run": ["orders"], "trigger": ["orders"], "get": [execution_id]}
    full = os.open("/dev/full", os.O_WRONLY)
    process = await start(
        command, *arguments.get(command, []), env=environ(nuvo_server), stdout=full
    )
    os.close(full)
    done = await finish(process, nuvo_server)
    assert done.code == 3
    assert "nuvo-async: No space left on device\n" in done.err
    if command in {"run", "trigger"}:
        assert f"nuvo-async wait {nuvo_server.executions[-1]['id']}\n" in done.err


async def test_a_disk_that_is_full_in_the_middle_names_what_goes_on(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("sftp", files=50, duration=60)
    script = f'ulimit -f 1; exec "$@" > {tmp_path / "out"}'
    done = await shell(script, "run", "sftp", "sftp", env=environ(nuvo_server))
    assert done.code == 3
    assert "nuvo-async: File too large\n" in done.err
    assert set(done.err.split()) >= {one["id"] for one in nuvo_server.executions}


async def test_messages_that_cannot_be_written_change_no_outcome(nuvo_server):
    nuvo_server.add_pipeline("orders", duration=0.2)
    full = os.open("/dev/full", os.O_WRONLY)
    process = await start(
        "run", "orders", "nosuch", "--json", env=environ(nuvo_server), stderr=full
    )
    os.close(full)
    out, _ = await process.communicate()
    assert process.returncode == 3
    assert {json.loads(line)["pipeline"] for line in out.splitlines()} == {"orders", "nosuch"}


async def test_a_reader_that_leaves_ends_a_list_quietly(nuvo_server):
    nuvo_server.add_pipeline("orders")
    for _ in range(300):
        nuvo_server.start("orders")
    reading, writing = os.pipe()
    process = await start("list", "--limit", "300", env=environ(nuvo_server), stdout=writing)
    os.close(writing)
    os.close(reading)
    done = await finish(process, nuvo_server)
    assert (done.code, done.err) == (141, "")


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_a_reader_that_leaves_in_the_middle_is_no_reason_to_forget_what_goes_on(
    nuvo_server, options
):
    nuvo_server.add_pipeline("quick", duration=0.3)
    nuvo_server.add_pipeline("next", duration=0.9)
    nuvo_server.add_pipeline("slow", duration=60)
    process = await start("run", "quick", "next", "slow", *options, env=environ(nuvo_server))
    assert process.stdout is not None
    await process.stdout.readline()
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue] - as `head -1` does
    done = await finish(process, nuvo_server)
    assert done.code == 141
    [slow] = [one["id"] for one in nuvo_server.executions if one["pipeline"] == "slow"]
    assert slow in done.err[done.err.index("nuvo-async wait ") :]


async def test_a_pipe_that_does_not_block_gets_every_line(nuvo_server):
    nuvo_server.add_pipeline("orders")
    ids = [nuvo_server.start("orders")[0] for _ in range(500)]
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = await start(
        "list", "--limit", "500", "--json", env=environ(nuvo_server), stdout=writing
    )
    os.close(writing)
    await asyncio.sleep(3)  # Until long after the pipe is full: it holds 64 KiB.
    with os.fdopen(reading, "rb") as pipe:
        lines = (await asyncio.to_thread(pipe.read)).splitlines()
    done = await finish(process, nuvo_server)
    assert (done.code, done.err) == (0, "")
    assert {json.loads(line)["id"] for line in lines} == set(ids)
    assert len(lines) == 500


async def test_a_reader_that_does_not_read_holds_back_no_signal(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=2000, duration=600)
    reading, writing = os.pipe()
    process = await start("run", "sftp", env=environ(nuvo_server), stdout=writing)
    os.close(writing)
    await requested(nuvo_server)
    await asyncio.sleep(2)  # The pipe is full by then; it holds some 1,000 lines.
    process.send_signal(signal.SIGTERM)
    done = await finish(process, nuvo_server)
    os.close(reading)
    assert done.code == 143
    assert set(done.err.split()) >= {one["id"] for one in nuvo_server.executions}


async def test_output_may_be_unbuffered(nuvo_server):
    nuvo_server.add_pipeline("注文", duration=0.1)
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "run", "注文"),
        env=environ(nuvo_server, PYTHONUNBUFFERED="1", PYTHONIOENCODING="ascii"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_ctrl_c,
    )
    done = await finish(process, nuvo_server)
    assert done.code == 0
    assert "is SUCCESSFUL" in done.out

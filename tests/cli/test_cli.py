"""The command, driven as a user does: in a process of its own, against the embedded server."""

import asyncio
import fcntl
import io
import json
import os
import re
import signal
import struct
import sys
import termios
from asyncio import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from attrs import frozen

from nuvo_async.__main__ import main
from nuvo_async.models.shapes import ErrorType
from nuvo_async.testing import NuvoServer, faults

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
    left_out = ("NUVO_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    if server is not None:
        clean |= {"NUVO_ACCESS_TOKEN": server.access_token, "NUVO_BASE_URL": server.base_url}
    return {**clean, **more}


async def start(
    *arguments: str, env: dict[str, str], stdout: int = subprocess.PIPE
) -> subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments),
        env=env,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=heed_ctrl_c,
    )


def heed_ctrl_c() -> None:
    """Where the tests themselves run in the background, a shell has them ignore such signals."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


async def run(server: NuvoServer | None, *arguments: str, stdin: str = "", **env: str) -> Done:
    process = await start(*arguments, env=environ(server, **env))
    return await finish(process, server, stdin)


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Run a command in this process, which is quicker, where nothing is sent."""

    def run(*arguments: str, **env: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["nuvo-async", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        monkeypatch.setattr(os, "environ", environ(None, **env))
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return Done(caught.value.code or 0, captured.out, captured.err)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    return run


async def finish(process: subprocess.Process, server: NuvoServer | None, stdin: str = "") -> Done:
    async with asyncio.timeout(50):
        out, err = await process.communicate(stdin.encode())
    done = Done(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in done.err
    if server is not None:
        for secret in (server.access_token, server.license_key):
            assert secret not in done.out + done.err
    return done


async def finish_without_stdout(process: subprocess.Process) -> Done:
    async with asyncio.timeout(50):
        _, err = await process.communicate()
    assert b"Traceback" not in err
    return Done(process.returncode, "", err.decode())


async def line_that_has(process: subprocess.Process, text: str = "") -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := (await process.stdout.readline()).decode():
            if text in line:
                return line
    raise AssertionError(f"no line has {text!r}")


# ── trigger ───────────────────────────────────────────────────────────────────────────────────


async def test_trigger_prints_what_was_started(nuvo_server):
    nuvo_server.add_pipeline("orders", duration=60)
    nuvo_server.add_pipeline("sftp", files=2, duration=60)
    nuvo_server.add_pipeline("empty", files=0)
    done = await run(nuvo_server, "trigger", "orders", "sftp", "empty")
    assert (done.code, done.err) == (0, "")
    expected = [
        f"{one['pipeline']}: execution {one['id']} is PROCESSING" for one in nuvo_server.executions
    ]
    assert sorted(done.lines) == sorted(
        [*expected, "empty: there is no file, so there is no execution"]
    )


async def test_trigger_as_json(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=2)
    done = await run(nuvo_server, "trigger", "sftp", "--json")
    assert done.code == 0
    assert [one["id"] for one in done.objects] == [one["id"] for one in nuvo_server.executions]
    assert {one["pipeline"] for one in done.objects} == {"sftp"}


async def test_a_trigger_that_is_refused_keeps_no_other_from_being_told(nuvo_server):
    nuvo_server.add_pipeline("orders")
    done = await run(nuvo_server, "trigger", "nowhere", "orders")
    assert done.code == 3
    assert "nuvo-async: nowhere: " in done.err
    assert "pipeline nowhere not found" in done.err
    assert len(done.lines) == 1


async def test_a_trigger_without_a_clear_answer_names_what_it_may_have_started(nuvo_server):
    nuvo_server.add_pipeline("orders", duration=60)
    nuvo_server.add_fault("create", faults.cut(acted=True))
    done = await run(nuvo_server, "trigger", "orders")
    assert done.code == 3
    assert nuvo_server.executions[0]["id"] in done.err


# ── get and list ──────────────────────────────────────────────────────────────────────────────


async def test_get_shows_runs_and_figures(nuvo_server):
    nuvo_server.add_pipeline("orders", rows=250, error="PARSING_FAILURE", message="torn \x1b[31m")
    [execution_id] = nuvo_server.start("orders")
    done = await run(nuvo_server, "get", execution_id)
    assert (done.code, done.err) == (0, "")  # It only reports.
    first, second = done.lines
    assert first.startswith(f"status=FAILED\tid={execution_id}\tpipeline=orders\t")
    assert "error=PARSING_FAILURE: torn  [31m" in first
    assert "run=CREATE\tstatus=FAILED\t" in second
    assert "\trows=250\t" in second


async def test_get_as_json_is_the_api_s_own(nuvo_server):
    nuvo_server.add_pipeline("orders")
    ids = nuvo_server.start("orders") + nuvo_server.start("orders")
    done = await run(nuvo_server, "get", *reversed(ids), "--json")
    assert done.code == 0
    assert done.objects == [{"error": None, **one} for one in reversed(nuvo_server.executions)]


async def test_get_tells_of_those_that_are_not_there(nuvo_server):
    nuvo_server.add_pipeline("orders")
    [execution_id] = nuvo_server.start("orders")
    done = await run(nuvo_server, "get", "nothing", execution_id)
    assert done.code == 3
    assert "execution nothing: " in done.err
    assert len(done.lines) == 2


async def test_list_is_newest_first_and_goes_over_pages(nuvo_server):
    nuvo_server.add_pipeline("orders")
    ids = [nuvo_server.start("orders")[0] for _ in range(120)]
    done = await run(nuvo_server, "list", "--limit", "110")
    assert (done.code, done.err) == (0, "")
    assert {line.split("\t")[0] for line in done.lines} <= set(ids)
    assert len(done.lines) == 110
    assert "sort[created_at]=desc" in unquote(nuvo_server.requests[0].query)


async def test_list_passes_on_what_is_wanted(nuvo_server):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("stock", error="PARSING_FAILURE")
    for pipeline in ("orders", "stock"):
        nuvo_server.start(pipeline, trigger_type="EVENT")
        nuvo_server.start(pipeline)
    done = await run(
        *(nuvo_server, "list", "--pipeline", "stock", "--status", "FAILED", "--since", "5m"),
        *("--filter", "trigger_type:in=EVENT,MANUAL", "--filter", "created_at:lt=2100-01-01"),
        *("--sort", "pipeline", "--sort", "created_at:desc", "--json"),
    )
    assert done.code == 0
    [execution] = done.objects
    assert (execution["pipeline"], execution["trigger_type"]) == ("stock", "EVENT")
    query = unquote(nuvo_server.requests[0].query)
    assert "sort[pipeline]=asc&sort[created_at]=desc" in query
    assert "filters[created_at][$gte]=" in query
    assert "filters[created_at][$lt]=2100-01-01" in query


@pytest.mark.parametrize(
    "wrong",
    [
        ["--since", "yesterday"],
        ["--since", "99999999999d"],
        ["--filter", "status"],
        ["--filter", "status:like=x"],
        ["--filter", "status=x", "--filter", "status:eq=y"],
        ["--sort", "status:up"],
        ["--limit", "0"],
        ["--status", ""],
    ],
)
def test_wrong_options_of_list_are_exit_code_2(run_here, wrong):
    done = run_here("list", *wrong, NUVO_ACCESS_TOKEN="some-token")
    assert done.code == 2
    assert "Error: " in done.err or "status must not be empty" in done.err


# ── wait and run ──────────────────────────────────────────────────────────────────────────────


async def test_run_tells_each_event_on_a_line(nuvo_server):
    nuvo_server.add_pipeline("orders", duration=0.2, rows=250)
    nuvo_server.add_pipeline("stock", duration=0.2, rows=10)
    done = await run(nuvo_server, "run", "orders", "stock")
    assert done.code == 0
    for one in nuvo_server.executions:
        start = f"{one['pipeline']}: execution {one['id']} is "
        states = [line.removeprefix(start) for line in done.lines if line.startswith(start)]
        rows = 250 if one["pipeline"] == "orders" else 10
        assert states == ["PROCESSING", f"SUCCESSFUL: {rows} rows, 0 error cells in 0.2 s"]
    assert len(done.lines) == 4
    assert "2 executions: 2 SUCCESSFUL" in done.err
    assert "\x1b" not in done.out + done.err  # Nothing for a terminal.


async def test_run_takes_ids_from_arguments_a_file_and_stdin(nuvo_server, tmp_path):
    for name in ("a", "b", "c"):
        nuvo_server.add_pipeline(name)
    (tmp_path / "ids").write_text("b\n\n  b\n")
    done = await run(
        *(nuvo_server, "run", "a", "-", "--file", str(tmp_path / "ids"), "--json"), stdin="c\n"
    )
    assert done.code == 0
    assert sorted(one["pipeline"] for one in done.objects) == ["a", "b", "b", "c"]
    assert {one["status"] for one in done.objects} == {"SUCCESSFUL"}
    assert all(one["logs"] for one in done.objects)


async def test_a_failed_execution_is_exit_code_1_and_told_in_the_end(nuvo_server):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("stock", error="PARSING_FAILURE", message="line 3 is torn")
    done = await run(nuvo_server, "run", "orders", "stock")
    assert done.code == 1
    assert "2 executions: 1 FAILED, 1 SUCCESSFUL" in done.err
    assert "errors: 1 PARSING_FAILURE" in done.err
    assert "PARSING_FAILURE: line 3 is torn" in done.out


async def test_thousands_of_failures_are_not_all_told_in_the_end(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=30, error="PARSING_FAILURE")
    done = await run(nuvo_server, "run", "sftp")
    assert done.code == 1
    assert "errors: 30 PARSING_FAILURE" in done.err
    assert "and 10 more: `nuvo-async list --status FAILED` tells" in done.err
    assert len(done.lines) == 60


async def test_run_without_logs_saves_requests(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=30, duration=0.3)
    done = await run(nuvo_server, "run", "sftp", "--no-logs", "--json")
    assert done.code == 0
    assert len(done.objects) == 30
    assert len(nuvo_server.requests) < 30


async def test_run_with_a_journal_starts_nothing_twice(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("slow", duration=60)
    command = ["run", "orders", "slow", "--journal", str(tmp_path / "j"), "--timeout", "1"]
    first = await run(nuvo_server, *command)
    second = await run(nuvo_server, *command)
    assert (first.code, second.code) == (4, 4)
    assert len(nuvo_server.executions) == 2
    assert "orders: execution" in second.out
    other = await run(nuvo_server, "run", "orders", "--journal", str(tmp_path / "j"))
    assert other.code == 2
    assert "another list" in other.err


async def test_trouble_with_one_pipeline_is_exit_code_3_and_ends_no_other(nuvo_server):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("stock", error="PARSING_FAILURE")
    done = await run(nuvo_server, "run", "nowhere", "orders", "stock")
    assert done.code == 3
    assert "nuvo-async: nowhere: " in done.err
    assert "2 executions: 1 FAILED, 1 SUCCESSFUL, 1 not started" in done.err


@pytest.mark.parametrize("with_json", [True, False])
async def test_a_timeout_is_exit_code_4_and_names_what_still_runs(nuvo_server, with_json):
    nuvo_server.add_pipeline("slow", duration=60)
    nuvo_server.add_pipeline("orders")
    [slow] = nuvo_server.start("slow")
    [quick] = nuvo_server.start("orders")
    options = ["--json"] * with_json
    done = await run(nuvo_server, "wait", slow, quick, slow, "--timeout", "1", *options)
    assert done.code == 4
    assert f"nuvo-async wait {slow}\n" in done.err
    assert "slow: still running after 1 s" in done.err
    if with_json:
        states = {one["id"]: one["status"] for one in done.objects}
        assert states == {slow: "PROCESSING", quick: "SUCCESSFUL"}


async def test_what_could_not_be_read_in_time_is_told_with_its_reason(nuvo_server):
    """Whether it still runs is not known: that is trouble, and no mere timeout."""
    done = await run(nuvo_server, "wait", "nothing", "--timeout", "0.5")
    assert done.code == 3
    assert "execution nothing: not read after 0.5 s: GET execution/nothing: 404" in done.err


async def test_wait_ends_with_each_and_goes_on_beside_trouble(nuvo_server):
    nuvo_server.add_pipeline("orders", duration=0.2)
    nuvo_server.add_fault("read", faults.status(403), of="forbidden", times=9)
    [execution_id] = nuvo_server.start("orders")
    done = await run(nuvo_server, "wait", execution_id, "forbidden")
    assert done.code == 3
    assert f"orders: execution {execution_id} is SUCCESSFUL" in done.out
    assert "execution forbidden: " in done.err


async def test_no_answer_is_exit_code_3(nuvo_server):
    base_url = "http://127.0.0.1:1/dp/api/v1/"
    done = await run(nuvo_server, "get", "x", NUVO_BASE_URL=base_url)
    assert done.code == 3
    assert "execution x: " in done.err


async def test_a_server_that_dies_is_told_apart_from_a_run_that_takes_long(nuvo_server):
    nuvo_server.add_pipeline("slow", duration=60)
    [slow] = nuvo_server.start("slow")
    process = await start("wait", slow, "--timeout", "3", env=environ(nuvo_server))
    await line_that_has(process, "is PROCESSING")
    await nuvo_server.__aexit__()
    done = await finish(process, nuvo_server)
    assert done.code == 3
    assert "slow: was PROCESSING, and not read since: GET execution/" in done.err
    assert f"nuvo-async wait {slow}\n" in done.err


async def test_a_trigger_of_unknown_outcome_is_not_told_as_not_started(nuvo_server):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.html_page())
    done = await run(nuvo_server, "run", "orders")
    assert done.code == 3
    assert "0 executions: 1 started or not" in done.err
    assert nuvo_server.executions[0]["id"] in done.err
    assert "what came back: POST execution/: 502" in done.err


async def test_wait_takes_ids_from_a_file_and_stdin(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("orders", files=3)
    ids = nuvo_server.start("orders")
    (tmp_path / "ids").write_text(f"{ids[1]}\n{ids[2]}\n")
    done = await run(
        *(nuvo_server, "wait", "-", "--file", str(tmp_path / "ids"), "--json"),
        stdin=f"{ids[0]}\n{ids[2]}\n",
    )
    assert done.code == 0
    assert sorted(one["id"] for one in done.objects) == sorted(ids)


async def test_many_ids_are_named_for_a_file(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=20, duration=60)
    done = await run(nuvo_server, "run", "sftp", "--timeout", "0.5")
    assert done.code == 4
    assert "20 may still be running; to wait for them again, put their ids into a file" in done.err
    assert set(done.err.splitlines()) >= {one["id"] for one in nuvo_server.executions}


async def test_ids_from_the_server_are_quoted_for_the_shell(nuvo_server):
    odd = {"id": "x; touch y", "pipeline": "p", "status": "PROCESSING", "trigger_type": "MANUAL"}
    nuvo_server.add_fault("create", faults.body(json.dumps({"data": [odd]})))
    done = await run(nuvo_server, "run", "p", "--timeout", "0.3")
    assert "nuvo-async wait 'x; touch y'\n" in done.err


async def test_a_status_in_small_letters_will_do_and_an_odd_one_is_told(nuvo_server):
    nuvo_server.add_pipeline("orders", error="PARSING_FAILURE")
    [execution_id] = nuvo_server.start("orders")
    assert execution_id in (await run(nuvo_server, "list", "--status", "failed")).out
    done = await run(nuvo_server, "list", "--status", "broken", "--trigger-type", "scheduled")
    assert (done.code, done.out) == (0, "")
    assert "'broken' is none of PROCESSING, SUCCESSFUL, FAILED" in done.err


async def test_dates_and_durations_beyond_all_clocks_are_no_crash(nuvo_server):
    json_ = {
        "id": "x",
        "pipeline": "[/x]",
        "status": "FAILED",
        "trigger_type": "[/x]",
        "created_at": "0001-01-01T00:00:00+14:00",
        "updated_at": "9999-12-31T23:59:59-14:00",
        "logs": [
            {
                "status": "[/x]",
                "type": "[/x]",
                "started_on": "0001-01-01T00:00:00+14:00",
                "duration": 86399999999999999,
            }
        ],
    }
    nuvo_server.add_fault("read", faults.body(json.dumps(json_)), times=9)
    for command in ("get", "wait"):
        terminal = await Terminal.start(command, "x", env=environ(nuvo_server))
        assert await terminal.end() == (0 if command == "get" else 1)
        assert "[/x]" in terminal.screen.decode()
        done = await run(nuvo_server, command, "x")
        assert done.code == (0 if command == "get" else 1)


@pytest.mark.parametrize("command", ["list", "run", "--help"])
async def test_a_full_disk_is_no_crash(nuvo_server, command):
    nuvo_server.add_pipeline("orders")
    nuvo_server.start("orders")
    arguments = [command, "orders"] if command == "run" else [command]
    full = os.open("/dev/full", os.O_WRONLY)
    process = await start(*arguments, env=environ(nuvo_server), stdout=full)
    os.close(full)
    done = await finish_without_stdout(process)
    assert done.code == 3
    if command != "--help":
        assert "nuvo-async: No space left on device" in done.err


async def test_a_journal_that_is_no_file_is_exit_code_2(nuvo_server):
    done = await run(nuvo_server, "run", "orders", "--journal", "/dev/full")
    assert done.code == 2
    assert "must be a file" in done.err


async def test_standard_input_that_is_closed_is_exit_code_2(nuvo_server):
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "run", "-"),
        env=environ(nuvo_server),
        stderr=subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"standard input is closed" in err


def test_a_bug_has_an_exit_code_of_its_own(run_here, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("nuvo_async.cli.commands.command.main", fail)
    done = run_here("list")
    assert done.code == 70
    assert "ZeroDivisionError" in done.err


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


@pytest.mark.parametrize(("signal_", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_other_signals_to_end_name_what_goes_on_too(nuvo_server, signal_, code):
    nuvo_server.add_pipeline("slow", duration=60)
    process = await start("run", "slow", env=environ(nuvo_server))
    await line_that_has(process, "is PROCESSING")
    process.send_signal(signal_)
    done = await finish(process, nuvo_server)
    assert done.code == code
    assert f"nuvo-async wait {nuvo_server.executions[0]['id']}\n" in done.err


async def test_what_is_to_be_ignored_stays_so(nuvo_server):
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


async def test_what_a_journal_tells_again_counts_as_started(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("quick")
    nuvo_server.add_pipeline("empty", files=0)
    nuvo_server.add_pipeline("slow", duration=60)
    command = ["run", "quick", "empty", "slow", "empty", "--journal", str(tmp_path / "journal")]
    assert (await run(nuvo_server, *command, "--timeout", "1")).code == 4
    process = await start(*command, env=environ(nuvo_server))
    await line_that_has(process, "slow: ")
    process.send_signal(signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    assert "not seen to start" not in done.err


async def test_ctrl_c_in_the_demo_names_nothing_that_has_ended_with_it():
    process = await start("demo", env=environ())
    await line_that_has(process, "is PROCESSING")
    process.send_signal(signal.SIGINT)
    done = await finish(process, None)
    assert done.code == 130
    assert "nuvo-async wait" not in done.err


@pytest.mark.parametrize("command", ["wait", "run"])
async def test_ctrl_c_names_what_goes_on(nuvo_server, command):
    nuvo_server.add_pipeline("slow", duration=60)
    nuvo_server.add_fault("create", faults.delay(30), of="stuck")
    subjects = ["slow", "stuck"] if command == "run" else nuvo_server.start("slow")
    process = await start(command, *subjects, env=environ(nuvo_server))
    await line_that_has(process, "is PROCESSING")
    process.send_signal(signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    assert f"nuvo-async wait {nuvo_server.executions[0]['id']}\n" in done.err
    assert ("not seen to start: 1 pipeline;" in done.err) is (command == "run")


async def test_ctrl_c_before_anything_is_known(nuvo_server):
    nuvo_server.add_fault("read", faults.delay(30), times=9)
    process = await start("wait", "65f0", env=environ(nuvo_server))
    async with asyncio.timeout(20):
        while not nuvo_server.requests:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    assert "nuvo-async wait 65f0\n" in done.err


async def test_a_closed_pipe_ends_quietly(nuvo_server):
    nuvo_server.add_pipeline("orders")
    for _ in range(300):
        nuvo_server.start("orders")
    reading, writing = os.pipe()
    process = await start("list", "--limit", "300", env=environ(nuvo_server), stdout=writing)
    os.close(writing)
    os.close(reading)
    done_err = (await process.communicate())[1].decode()
    assert process.returncode == 141
    assert done_err == ""


# ── Settings ──────────────────────────────────────────────────────────────────────────────────


async def test_a_licence_key_comes_from_the_environment(nuvo_server):
    done = await run(
        *(None, "list", "--identifier", nuvo_server.identifier, "--identifier-type", "USER"),
        *("--base-url", nuvo_server.base_url),
        NUVO_LICENSE_KEY=nuvo_server.license_key,
    )
    assert (done.code, done.out, done.err) == (0, "", "")
    assert [one.call for one in nuvo_server.requests] == ["token", "list"]


@pytest.mark.parametrize("from_stdin", [True, False])
async def test_a_token_comes_from_a_file(nuvo_server, tmp_path, from_stdin):
    (tmp_path / "token").write_text(f"{nuvo_server.access_token}\n")
    source = "-" if from_stdin else str(tmp_path / "token")
    done = await run(
        *(None, "list", "--base-url", nuvo_server.base_url, "--token-file", source),
        stdin=nuvo_server.access_token,
    )
    assert (done.code, done.err) == (0, "")
    (tmp_path / "token").unlink()  # Each test's files are searched for secrets.


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["list"], "set NUVO_ACCESS_TOKEN, or both NUVO_LICENSE_KEY and NUVO_IDENTIFIER"),
        (["list", "--token-file", "/does/not/exist"], "--token-file: /does/not/exist cannot be"),
        (["list", "--token-file", "-"], "--token-file holds no token"),
        (["run", "-", "--token-file", "-"], "standard input (-) can be read only once"),
        (["run"], "no PIPELINE_ID was given"),
        (["run", "a", "--concurrency", "0"], "--concurrency"),
        (["wait", " "], "EXECUTION_ID must not be empty or blank"),
        (["run", ""], "PIPELINE_ID must not be empty or blank"),
        (["run", "a\x1b[31m"], "PIPELINE_ID must not hold a control character"),
        (["run", "a", "--timeout", "nan"], "must be a finite number"),
        (["wait", "a", "--timeout", "inf"], "must be a finite number"),
        (["wait", "a", "--timeout", "0"], "must be a finite number, above zero"),
        (["run", "a", "--journal", ""], "must be the path of a file"),
        (["list", "--since", "1d", "--filter", "created_at:gte=2026-01-01"], "give one"),
        (["list", "--status", "FAILED", "--filter", "status:ne=FAILED"], "contradict"),
        (["wait", "x", "--timeout", "0"], "--timeout"),
        (["get"], "Missing argument"),
        (["get", ".."], "which names another path"),
        (["fetch"], "No such command"),
    ],
)
def test_wrong_usage_is_exit_code_2(run_here, arguments, problem):
    done = run_here(*arguments)
    assert done.code == 2
    assert problem in done.err
    assert done.out == ""


async def test_a_wrong_token_is_exit_code_3_and_not_shown():
    async with NuvoServer() as server:
        secret = "not-the-token-of-this-server"
        done = await run(server, "list", NUVO_ACCESS_TOKEN=secret)
    assert done.code == 3
    assert "401" in done.err
    assert secret not in done.err


async def test_verbose_shows_the_log_and_no_secret(nuvo_server):
    done = await run(nuvo_server, "list", "--verbose")
    assert done.code == 0
    assert "DEBUG GET execution/: 200" in done.err


# ── demo and serve ────────────────────────────────────────────────────────────────────────────


async def test_the_demo_ends_as_scripted(tmp_path):
    done = await run(None, "demo", "--picture", str(tmp_path / "demo.svg"))
    assert done.code == 0
    assert done.lines[-1] == "Everything ended as scripted."
    for error_type in ErrorType:
        assert error_type in done.out
    assert "inbox-sftp: there is no file" in done.out
    assert "\x1b" not in done.out
    picture = (tmp_path / "demo.svg").read_text()
    assert "DESTINATION_UNRESPONSIVE" in picture


async def test_a_server_to_try_clients_against(tmp_path):
    process = await start("serve", env=environ())
    lines = [(await line_that_has(process)).strip() for _ in range(4)]
    facts = dict(line.split("=", 1) for line in lines)
    assert list(facts) == ["base_url", "access_token", "license_key", "identifier"]
    settings = {"NUVO_ACCESS_TOKEN": facts["access_token"], "NUVO_BASE_URL": facts["base_url"]}
    done = await run(None, "run", "customers", "stock", **settings)
    assert done.code == 1
    port = facts["base_url"].split(":")[2].split("/")[0]
    taken = await run(None, "serve", "--port", port)
    assert taken.code == 2
    assert f"cannot listen on port {port}" in taken.err
    process.send_signal(signal.SIGINT)
    done = await finish(process, None)
    assert done.code == 130


async def test_serve_as_json():
    process = await start("serve", "--json", env=environ())
    facts = json.loads(await line_that_has(process))
    assert list(facts) == ["base_url", "access_token", "license_key", "identifier"]
    process.send_signal(signal.SIGINT)
    await finish(process, None)


# ── Help ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["trigger", "get", "list", "wait", "run", "demo", "serve"])
def test_each_command_explains_itself(run_here, command):
    done = run_here(command, "--help")
    assert done.code == 0
    assert f"nuvo-async {command}" in done.out
    assert "--json" in done.out
    assert command in run_here("--help").out


async def test_help_needs_neither_aiohttp_nor_rich():
    """They take longer to import than help may take to come."""
    code = (
        "import sys; sys.argv = ['nuvo-async', '--help']\n"
        "import atexit; atexit.register(lambda: print(sorted(sys.modules)))\n"
        "from nuvo_async.__main__ import main; main()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    modules = out.decode().splitlines()[-1]
    assert "'click'" in modules
    for slow in ("'aiohttp'", "'rich'", "'asyncio'", "'cattrs'"):
        assert slow not in modules


async def test_the_version_is_told():
    assert (await run(None, "--version")).out.startswith("nuvo-async, version ")


async def test_without_the_extra_the_command_says_which_one(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "hidden = {'click', 'rich'}\n"
        "u.find_spec = lambda name, *rest: None if name in hidden else find(name, *rest)\n"
    )
    done = await run(None, "demo", PYTHONPATH=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert done.err == "nuvo-async needs click and rich: pip install 'nuvo-async[cli]'\n"


# ── On a terminal ─────────────────────────────────────────────────────────────────────────────


@frozen
class Terminal:
    """A command on a pseudo-terminal of its own, and what it has drawn so far."""

    process: subprocess.Process
    controller: int
    screen: bytearray

    @classmethod
    async def start(
        cls, *arguments: str, env: dict[str, str], program: Sequence[str] = COMMAND
    ) -> "Terminal":
        controller, terminal = os.openpty()
        resize(controller, 24)

        def prepare() -> None:
            heed_ctrl_c()
            os.login_tty(terminal)

        process = await asyncio.create_subprocess_exec(
            *(*program, *arguments),
            env={**env, "TERM": "xterm-256color"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            preexec_fn=prepare,
        )
        os.close(terminal)
        os.set_blocking(controller, False)
        self = cls(process, controller, bytearray())
        asyncio.get_running_loop().add_reader(controller, self.read)
        return self

    def read(self) -> None:
        try:
            self.screen.extend(os.read(self.controller, 65536))
        except OSError:  # The other end is closed.
            asyncio.get_running_loop().remove_reader(self.controller)

    async def shows(self, text: str) -> None:
        async with asyncio.timeout(20):
            while text.encode() not in self.screen:  # noqa: ASYNC110 - nor does a screen
                await asyncio.sleep(0.01)

    async def end(self) -> int:
        async with asyncio.timeout(30):
            code = await self.process.wait()
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().remove_reader(self.controller)
        os.close(self.controller)
        return code

    def tallest(self, start: int = 0) -> int:
        """The most lines that were drawn over at once."""
        jumps = re.findall(rb"(?:\x1b\[1A\x1b\[2K)+", bytes(self.screen[start:]))
        return max((len(jump) // len(b"\x1b[1A\x1b[2K") for jump in jumps), default=0) + 1


def resize(controller: int, rows: int) -> None:
    fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))


async def test_the_demo_is_drawn_live_on_a_terminal():
    terminal = await Terminal.start("demo", env=environ())
    assert await terminal.end() == 0
    screen = terminal.screen.decode()
    assert "\x1b[?25l" in screen  # The cursor is hidden while lines are drawn over,
    assert "\x1b[?25h" in screen  # and comes back.
    assert "12 of 12 done" in screen
    assert "PARSING_FAILURE" in screen
    assert "Everything ended as scripted." in screen
    assert terminal.tallest() <= 24


async def test_a_screenful_is_enough_for_hundreds_also_when_it_shrinks(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=200, duration=4)
    terminal = await Terminal.start("run", "sftp", env=environ(nuvo_server))
    await terminal.shows("200 running")
    await asyncio.sleep(0.5)
    assert 20 <= terminal.tallest() <= 24
    resize(terminal.controller, 10)
    async with asyncio.timeout(20):
        before = len(terminal.screen)
        while not 5 <= terminal.tallest(before) <= 10:
            before = len(terminal.screen)
            await asyncio.sleep(0.3)
    assert await terminal.end() == 0
    assert "200 executions: 200 SUCCESSFUL" in terminal.screen.decode()


async def test_ctrl_c_on_a_terminal_gives_it_back_and_names_what_goes_on(nuvo_server):
    nuvo_server.add_pipeline("slow", duration=60)
    terminal = await Terminal.start("run", "slow", env=environ(nuvo_server))
    await terminal.shows("1 running")
    os.write(terminal.controller, b"\x03")
    assert await terminal.end() == 130
    screen = terminal.screen.decode()
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")
    assert f"nuvo-async wait {nuvo_server.executions[0]['id']}" in screen
    assert nuvo_server.access_token not in screen


async def test_get_and_list_draw_tables_on_a_terminal(nuvo_server):
    nuvo_server.add_pipeline("orders", rows=1250, error="PARSING_FAILURE")
    [execution_id] = nuvo_server.start("orders")
    for command, expected in (["get", execution_id], "1,250"), (["list"], "orders  SCHEDULED  "):
        terminal = await Terminal.start(*command, env=environ(nuvo_server))
        assert await terminal.end() == 0
        assert execution_id in terminal.screen.decode()
        assert expected in terminal.screen.decode()
        assert b"\x1b[31mFAILED" in terminal.screen
        plain = await Terminal.start(*command, env=environ(nuvo_server, NO_COLOR="1"))
        assert await plain.end() == 0
        assert b"\x1b[31m" not in plain.screen


async def test_what_succeeded_is_left_on_the_screen_with_its_id(nuvo_server):
    nuvo_server.add_pipeline("orders", rows=250, duration=0.2)
    terminal = await Terminal.start("run", "orders", env=environ(nuvo_server))
    assert await terminal.end() == 0
    screen = terminal.screen.decode()
    assert nuvo_server.executions[0]["id"] in screen[screen.rindex("\x1b[?25h") :]


async def test_nothing_is_drawn_over_what_is_piped_on(nuvo_server):
    """Where it leads to may be the very terminal that would be drawn on."""
    nuvo_server.add_pipeline("orders", duration=0.3)
    shell = ["/bin/sh", "-c", '"$@" | cat', "sh", *COMMAND, "run", "orders"]
    terminal = await Terminal.start(*shell, env=environ(nuvo_server), program=[])
    assert await terminal.end() == 0
    assert "is SUCCESSFUL" in terminal.screen.decode()
    assert b"\x1b[?25l" not in terminal.screen


async def test_forced_colours_make_no_terminal_of_a_pipe(nuvo_server):
    nuvo_server.add_pipeline("orders")
    done = await run(nuvo_server, "run", "orders", FORCE_COLOR="1")
    assert "\x1b" not in done.out + done.err


async def test_json_on_a_terminal_is_not_drawn_over(nuvo_server):
    nuvo_server.add_pipeline("orders")
    terminal = await Terminal.start("run", "orders", "--json", env=environ(nuvo_server))
    assert await terminal.end() == 0
    lines = terminal.screen.decode().splitlines()
    assert json.loads(lines[0])["pipeline"] == "orders"


def test_secrets_are_no_options():
    """What is on a command line, every user of the machine can see."""
    text = Path(__file__).parents[2].joinpath("nuvo_async/cli/settings.py").read_text()
    options = re.findall(r'click\.option\(\s*"(--[a-z-]+)', text)
    assert options == [
        *("--json", "--no-color", "--base-url", "--token-file", "--identifier"),
        "--identifier-type",
    ]

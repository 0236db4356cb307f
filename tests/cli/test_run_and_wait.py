"""`run` and `wait`: follow executions to their end."""

import json

import pytest

from nuvo_async.testing import faults
from tests.cli.command import environ, finish, line_that_has, run, start


async def test_run_writes_a_line_for_each_event(nuvo_server):
    nuvo_server.add_pipeline("orders", duration=0.2, rows=250)
    nuvo_server.add_pipeline("stock", duration=0.2, rows=10)
    done = await run(nuvo_server, "run", "orders", "stock")
    assert done.code == 0
    for one in nuvo_server.executions:
        start = f"{one['pipeline']}: execution {one['id']} is "
        states = [line.removeprefix(start) for line in done.lines if line.startswith(start)]
        rows = 250 if one["pipeline"] == "orders" else 10
        assert states == ["PROCESSING", f"SUCCESSFUL: {rows} rows, 0 error cells, 0.2 s"]
    assert len(done.lines) == 4
    assert "2 executions: 2 SUCCESSFUL" in done.err
    assert "\x1b" not in done.out + done.err  # Nothing for a terminal.


async def test_a_failed_execution_is_exit_code_1_and_named_in_the_end(nuvo_server):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("stock", error="PARSING_FAILURE", message="line 3 is torn")
    done = await run(nuvo_server, "run", "orders", "stock")
    assert done.code == 1
    assert "2 executions: 1 FAILED, 1 SUCCESSFUL" in done.err
    assert "errors: 1 PARSING_FAILURE" in done.err
    assert "PARSING_FAILURE: line 3 is torn" in done.out


async def test_thousands_of_failures_are_not_all_named_in_the_end(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=30, error="PARSING_FAILURE")
    done = await run(nuvo_server, "run", "sftp")
    assert done.code == 1
    assert "errors: 30 PARSING_FAILURE" in done.err
    assert "and 10 more: `nuvo-async list --status FAILED` shows them" in done.err
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


async def test_what_could_not_be_read_in_time_is_named_with_the_reason(nuvo_server):
    """Whether it still runs is not known: that is trouble, and no mere timeout."""
    done = await run(nuvo_server, "wait", "nothing", "--timeout", "2.5")
    assert done.code == 3
    assert "execution nothing: not read after 2.5 s: GET execution/nothing: 404" in done.err


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


async def test_a_dead_server_is_another_outcome_than_a_run_that_takes_long(nuvo_server):
    nuvo_server.add_pipeline("slow", duration=60)
    [slow] = nuvo_server.start("slow")
    process = await start("wait", slow, "--timeout", "3", env=environ(nuvo_server))
    await line_that_has(process, "is PROCESSING")
    await nuvo_server.__aexit__()
    done = await finish(process, nuvo_server)
    assert done.code == 3
    assert "slow: was PROCESSING, and not read since: GET execution/" in done.err
    assert f"nuvo-async wait {slow}\n" in done.err


async def test_a_trigger_of_unknown_outcome_does_not_count_as_not_started(nuvo_server):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.html_page())
    done = await run(nuvo_server, "run", "orders")
    assert done.code == 3
    assert "0 executions: 1 started or not" in done.err
    assert "not started:" not in done.err
    assert nuvo_server.executions[0]["id"] in done.err
    assert "what came back: POST execution/: 502" in done.err


async def test_many_ids_are_one_command_on_few_lines(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=20, duration=60)
    done = await run(nuvo_server, "run", "sftp", "--timeout", "0.5")
    assert done.code == 4
    assert "20 executions may still be running; to wait again:\n" in done.err
    lines = done.err[done.err.index("  nuvo-async wait ") :].splitlines()
    words = " ".join(lines).replace("\\", "").split()
    assert len(lines) < 8
    assert sorted(words[2:]) == sorted(one["id"] for one in nuvo_server.executions)


async def test_ids_from_the_server_are_quoted_for_the_shell(nuvo_server):
    odd = {"id": "x; touch y", "pipeline": "p", "status": "PROCESSING", "trigger_type": "MANUAL"}
    nuvo_server.add_fault("create", faults.body(json.dumps({"data": [odd]})))
    done = await run(nuvo_server, "run", "p", "--timeout", "0.3")
    assert "nuvo-async wait 'x; touch y'\n" in done.err


async def test_a_journal_that_is_no_file_is_exit_code_2(nuvo_server):
    done = await run(nuvo_server, "run", "orders", "--journal", "/dev/full")
    assert done.code == 2
    assert "must be a file" in done.err


async def test_with_a_journal_the_same_command_goes_on(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("quick")
    nuvo_server.add_pipeline("empty", files=0)
    nuvo_server.add_pipeline("slow", duration=60)
    journal = str(tmp_path / "journal")
    command = ["run", "quick", "empty", "slow", "empty", "--journal", journal, "--timeout", "1"]
    for _ in range(2):  # What has ended counts as started the second time, too.
        done = await run(nuvo_server, *command)
        assert done.code == 4
        assert done.err.splitlines()[-1] == (
            f"to go on, run the same command again: {journal} has what was done"
        )
    assert len(nuvo_server.executions) == 2

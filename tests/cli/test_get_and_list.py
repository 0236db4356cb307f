"""`get` and `list`: show executions."""

import json
from urllib.parse import unquote

import pytest

from nuvo_async.testing import faults
from tests.cli.command import environ, run
from tests.cli.terminal import Terminal


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


async def test_get_names_those_that_are_not_there(nuvo_server):
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


async def test_a_status_may_be_in_small_letters_and_an_odd_one_is_reported(nuvo_server):
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

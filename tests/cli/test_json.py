"""`--json`: one object for each execution, and for each pipeline that came to none."""

import json
import re
import signal
from pathlib import Path

import pytest

from nuvo_async.testing import faults
from tests.cli.command import environ, finish, line_that_has, requested, run, start


@pytest.mark.parametrize("command", ["run", "trigger"])
async def test_a_pipeline_that_came_to_no_execution_has_an_object_too(nuvo_server, command):
    nuvo_server.add_pipeline("orders", duration=0.1)
    nuvo_server.add_pipeline("inbox-sftp", files=0)
    nuvo_server.add_pipeline("lost", duration=0.1)
    nuvo_server.add_fault("create", faults.cut(acted=True), of="lost")
    done = await run(nuvo_server, command, "orders", "nosuch", "inbox-sftp", "lost", "--json")
    assert done.code == 3
    objects = {one["pipeline"]: one for one in done.objects}
    assert len(done.objects) == len(objects) == 4
    assert objects["orders"]["status"] == ("SUCCESSFUL" if command == "run" else "PROCESSING")
    assert objects["inbox-sftp"] == {
        "pipeline": "inbox-sftp",
        "outcome": "no_files",
        "error": None,
    }
    nosuch, lost = objects["nosuch"], objects["lost"]
    assert (nosuch["outcome"], nosuch["error"]["type"]) == ("not_started", "NotFoundError")
    assert "pipeline nosuch not found" in nosuch["error"]["message"]
    assert lost["outcome"] == "unknown"
    assert lost["error"]["type"] == "CreateOutcomeUnknownError"
    [candidate] = lost["candidates"]
    assert candidate["id"] in {one["id"] for one in nuvo_server.executions}
    assert candidate["pipeline"] == "lost"


async def test_the_forms_in_the_readme_are_those_that_are_written(nuvo_server):
    nuvo_server.add_pipeline("stock")
    nuvo_server.add_pipeline("inbox", files=0)
    nuvo_server.add_fault("create", faults.cut(acted=False), of="stock")
    done = await run(nuvo_server, "run", "orders", "stock", "inbox", "--json")
    readme = Path(__file__).parents[2].joinpath("README.md").read_text("utf-8")
    [block] = re.findall(r"```json\n(.*?)```", readme, re.DOTALL)
    shown = [json.loads(line) for line in block.splitlines()]
    written = {one["pipeline"]: one for one in done.objects}
    assert len(shown) == len(written) == 3
    for one in shown:
        other = written[one["pipeline"]]
        assert list(one) == list(other)
        assert one["outcome"] == other["outcome"]
        assert (one["error"] or {}).get("type") == (other["error"] or {}).get("type")


async def test_candidates_are_null_where_they_could_not_be_listed(nuvo_server):
    nuvo_server.add_pipeline("lost")
    nuvo_server.add_fault("create", faults.cut(acted=True))
    nuvo_server.add_fault("list", faults.status(403), times=9)
    done = await run(nuvo_server, "trigger", "lost", "--json")
    assert done.code == 3
    [lost] = done.objects
    assert (lost["outcome"], lost["candidates"]) == ("unknown", None)


async def test_a_pipeline_that_is_listed_twice_has_two_objects(nuvo_server):
    done = await run(nuvo_server, "run", "nosuch", "nosuch", "--json")
    assert done.code == 3
    assert [one["outcome"] for one in done.objects] == ["not_started"] * 2


async def test_what_a_journal_reports_again_has_its_objects_again(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("inbox-sftp", files=0)
    command = ["run", "orders", "inbox-sftp", "--json", "--journal", str(tmp_path / "journal")]
    first = await run(nuvo_server, *command)
    second = await run(nuvo_server, *command)
    assert (first.code, second.code) == (0, 0)
    assert sorted(first.lines) == sorted(second.lines)
    assert len(first.lines) == 2


async def test_ctrl_c_leaves_a_whole_report(nuvo_server):
    """What goes on is written as it was last, and of the others why there is no execution."""
    nuvo_server.add_pipeline("orders", duration=0.1)
    nuvo_server.add_pipeline("slow", duration=60)
    nuvo_server.add_pipeline("next")
    nuvo_server.add_fault("create", faults.delay(60), of="stuck")
    process = await start(
        *("run", "orders", "slow", "stuck", "next", "next", "--concurrency", "2", "--json"),
        env=environ(nuvo_server),
    )
    first = await line_that_has(process, "SUCCESSFUL")
    await requested(nuvo_server, 3)
    process.send_signal(signal.SIGINT)
    done = await finish(process, nuvo_server)
    assert done.code == 130
    assert '"orders"' in first
    outcomes = [(one["pipeline"], one.get("status", one.get("outcome"))) for one in done.objects]
    assert sorted(outcomes) == [
        ("next", "not_started"),
        ("next", "not_started"),
        ("slow", "PROCESSING"),
        ("stuck", "unknown"),
    ]
    stuck = next(one for one in done.objects if one["pipeline"] == "stuck")
    assert stuck["candidates"] is None
    assert stuck["error"]["type"] == "Interrupted"


def test_where_nothing_was_begun_there_is_no_report(run_here):
    done = run_here("run", "orders", "--json")
    assert (done.code, done.out) == (2, "")

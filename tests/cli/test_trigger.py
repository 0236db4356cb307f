"""`trigger`: starts runs without waiting for them."""

from nuvo_async.testing import faults
from tests.cli.command import run


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


async def test_a_trigger_that_is_refused_does_not_hide_the_others(nuvo_server):
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

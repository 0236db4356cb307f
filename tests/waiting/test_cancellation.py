"""A cancellation, however often it is repeated, ends a wait in any form at once."""

import asyncio
import contextvars
import json
import logging

import anyio
import pytest
from aiohttp import web

from nuvo_async import PollPolicy, WaitTimeoutError
from nuvo_async.testing import faults


async def many(nuvo_server, client, count=30):
    """Start executions that take a minute."""
    nuvo_server.add_pipeline("slow", duration=60, files=count)
    return await client.create_execution("slow")


def waits(client, executions, tmp_path):
    """Yield each form of waiting as a coroutine."""

    async def drain(iterator):
        async for _ in iterator:
            pass

    journal = tmp_path / "batch.journal"
    return {
        "wait_for_completion": lambda: client.wait_for_completion(executions[0]),
        "wait_for_all": lambda: client.wait_for_all(executions),
        "as_completed": lambda: drain(client.as_completed(executions)),
        "run_pipeline": lambda: client.run_pipeline("slow"),
        "run_pipelines": lambda: drain(client.run_pipelines(["slow"] * 3, journal=journal)),
    }


FORMS = ["wait_for_completion", "wait_for_all", "as_completed", "run_pipeline", "run_pipelines"]


async def settled(before):
    """Return the tasks that are left after what was cancelled has ended."""
    for _ in range(500):
        if asyncio.all_tasks() <= before:
            break
        await asyncio.sleep(0.01)
    return asyncio.all_tasks() - before


@pytest.mark.parametrize("form", FORMS)
async def test_a_cancel_scope_of_anyio_ends_it_and_nothing_is_left(
    nuvo_server, nuvo_client, tmp_path, form
):
    """Such a scope cancels its task again and again, until it has left the scope."""
    executions = await many(nuvo_server, nuvo_client)
    before = asyncio.all_tasks()
    with anyio.move_on_after(0.3) as scope:
        await waits(nuvo_client, executions, tmp_path)[form]()
    assert scope.cancelled_caught
    assert not await settled(before)
    if form == "run_pipelines":  # The journal was let go.
        with anyio.move_on_after(0.3):
            await waits(nuvo_client, executions, tmp_path)[form]()


@pytest.mark.parametrize("form", FORMS)
async def test_a_task_that_is_cancelled_again_and_again_ends(
    nuvo_server, nuvo_client, tmp_path, form
):
    executions = await many(nuvo_server, nuvo_client)
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(waits(nuvo_client, executions, tmp_path)[form]())
    await asyncio.sleep(0.2)
    for _ in range(200):
        if task.done():
            break
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()
    assert not await settled(before)


@pytest.mark.parametrize("form", ["wait_for_all", "as_completed", "wait_for_completion"])
async def test_what_has_ended_while_the_callback_was_busy_is_not_reported_as_pending(
    nuvo_server, nuvo_client, form
):
    """The timeout comes while an async `on_poll` is busy, and the end is known by then."""
    nuvo_server.add_pipeline("orders", duration=0.1)
    [execution] = await nuvo_client.create_execution("orders")

    async def write_slowly(_):
        await asyncio.sleep(30)

    options = {"timeout": 2.0, "on_poll": write_slowly, "poll": PollPolicy(min_interval=0.02)}
    if form == "wait_for_all":
        [ended] = await nuvo_client.wait_for_all([execution], **options)
    elif form == "as_completed":
        [ended] = [one async for one in nuvo_client.as_completed([execution], **options)]
    else:
        ended = await nuvo_client.wait_for_completion(execution, **options)
    assert ended.succeeded


async def test_those_that_ended_are_in_finished_and_the_others_pending(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("quick", duration=0.1)
    nuvo_server.add_pipeline("slow", duration=60)
    started = [
        *await nuvo_client.create_execution("quick"),
        *await nuvo_client.create_execution("slow"),
    ]

    async def write_slowly(_):
        await asyncio.sleep(30)

    with pytest.raises(WaitTimeoutError) as caught:
        await nuvo_client.wait_for_all(started, timeout=2.0, on_poll=write_slowly)
    assert list(caught.value.pending) == [started[1].id]
    assert [one.id for one in caught.value.finished] == [started[0].id]


CALLER = contextvars.ContextVar("CALLER", default="nobody")


async def test_requests_run_in_nobodys_context_and_callbacks_in_their_callers(
    nuvo_server, make_client, caplog
):
    """One engine serves all: the log lines of B's requests must not carry A's context."""
    logged = set()

    class Note:
        def filter(self, record):
            if record.getMessage().startswith(("GET", "executions are read")):
                logged.add(CALLER.get())
            return True

    seen: dict[str, str] = {}

    async def wait(client, name):
        CALLER.set(name)
        [execution] = await client.create_execution("orders")
        await client.wait_for_completion(
            execution, on_poll=lambda _: seen.setdefault(name, CALLER.get())
        )

    logger = logging.getLogger("nuvo_async")
    nuvo_server.add_pipeline("orders", duration=0.3)
    client = make_client()
    note = Note()
    with caplog.at_level(logging.DEBUG, logger="nuvo_async"):
        logger.addFilter(note)
        try:
            async with asyncio.TaskGroup() as tasks:
                for n in range(12):
                    tasks.create_task(wait(client, f"caller {n}"))
        finally:
            logger.removeFilter(note)
    assert seen == {f"caller {n}": f"caller {n}" for n in range(12)}
    assert logged == {"nobody"}


async def test_an_answer_without_json_in_a_long_wait_passes(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders", duration=0.5)
    [execution] = await nuvo_client.create_execution("orders")
    nuvo_server.add_fault("read", faults.not_json(), times=2)
    nuvo_server.add_fault("read", faults.truncated(), times=1)
    assert (await nuvo_client.wait_for_completion(execution)).succeeded


async def test_a_malformed_record_of_somebody_else_costs_nothing(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders", duration=0.4, files=100)
    executions = await nuvo_client.create_execution("orders")

    async def with_a_bad_record(request, act):
        body = json.loads((await act()).body)
        bad = {"id": "x", "pipeline": "p", "status": "PROCESSING", "trigger_type": None}
        if "filters" not in request.rel_url.query_string:
            body["data"] = [bad, *body["data"][:99]]
        return web.json_response(body)

    nuvo_server.add_fault("list", with_a_bad_record, times=500)
    await nuvo_client.wait_for_all(executions, with_logs=False)
    reads = [one for one in nuvo_server.requests if one.call == "read"]
    assert len(reads) < 40

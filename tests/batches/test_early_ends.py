"""How waiting for many ends early: it is left, cancelled, closed, or a callback fails."""

import asyncio
import gc
import logging
import re
from contextlib import aclosing, suppress
from typing import Any

import pytest

from nuvo_async import ClientClosedError, NuvoError, ParsingFailureError, WaitTimeoutError
from nuvo_async.testing import faults
from tests.batches.conftest import listed, until


@pytest.mark.parametrize("how", ["break", "exception", "aclosing"])
async def test_leaving_the_iterator_early_stops_the_waiting(
    nuvo_server, nuvo_client, executions, how, caplog
):
    caplog.set_level(logging.DEBUG, logger="nuvo_async")
    nuvo_server.add_pipeline("long", duration=60)
    [long] = await nuvo_client.create_execution("long")
    before = asyncio.all_tasks()
    if how == "break":
        async for _ in nuvo_client.as_completed([*executions, long]):
            break
    elif how == "exception":
        with suppress(ZeroDivisionError):
            async for _ in nuvo_client.as_completed([*executions, long]):
                raise ZeroDivisionError
    else:
        async with aclosing(nuvo_client.as_completed([*executions, long])) as ended:
            await anext(ended)
        assert asyncio.all_tasks() == before
    gc.collect()
    for _ in range(50):
        await asyncio.sleep(0.01)
        if asyncio.all_tasks() == before:
            break
    assert asyncio.all_tasks() == before
    assert re.search(f"go on remotely: .*{long.id}", caplog.text)


async def test_cancelling_names_what_goes_on(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("long", duration=60, files=30)
    executions = await nuvo_client.create_execution("long")
    before = asyncio.all_tasks()
    for waiting in (
        nuvo_client.wait_for_all(executions),
        listed(nuvo_client.as_completed(executions)),
        nuvo_client.run_pipeline("long"),
        listed(nuvo_client.run_pipelines(["long"])),
    ):
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        [note] = caught.value.__notes__
        assert "go on remotely: " in note
        assert note.endswith(" and 10 more")
        assert asyncio.all_tasks() == before


async def test_cancelling_names_the_triggers_that_were_cut_off(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.delay(30), times=3)
    task = asyncio.create_task(listed(nuvo_client.run_pipelines(["orders"] * 3)))
    await until(lambda: len(nuvo_server.requests) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    notes = [note for note in caught.value.__notes__ if "it may have been received" in note]
    assert len(notes) == 3


async def test_an_iterator_that_is_never_begun_does_nothing(nuvo_server, nuvo_client):
    nuvo_client.run_pipelines(["orders"])
    nuvo_client.as_completed(["1"])
    await asyncio.sleep(0.05)
    assert nuvo_server.requests == []


@pytest.mark.parametrize("of", ["as_completed", "wait_for_all", "run_pipeline", "run_pipelines"])
async def test_closing_the_client_ends_it(nuvo_server, make_client, of):
    client = make_client()
    nuvo_server.add_pipeline("long", duration=60)
    executions = await client.create_execution("long")
    work = {
        "as_completed": lambda: listed(client.as_completed(executions)),
        "wait_for_all": lambda: client.wait_for_all(executions),
        "run_pipeline": lambda: client.run_pipeline("long"),
        "run_pipelines": lambda: listed(client.run_pipelines(["long", "long"])),
    }[of]
    before = asyncio.all_tasks()
    task = asyncio.create_task(work())
    await asyncio.sleep(0.2)
    await client.close()
    with pytest.raises(ClientClosedError) as caught:
        await task
    assert executions[0].id in str(caught.value.__notes__) or of.startswith("run")
    assert asyncio.all_tasks() == before
    with pytest.raises(ClientClosedError):
        await work()


class MistakeError(NuvoError):
    pass


@pytest.mark.parametrize(
    "mistake", [KeyError("mine"), MistakeError("mine"), asyncio.CancelledError()]
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_what_a_callback_raises_comes_out(nuvo_server, nuvo_client, mistake, is_async):
    """It is the caller's mistake, not a pipeline's."""
    nuvo_server.add_pipeline("orders", duration=0.1)

    def fail(_: Any) -> None:
        raise mistake

    async def fail_later(_: Any) -> None:
        await asyncio.sleep(0)
        raise mistake

    on_poll = fail_later if is_async else fail
    before = asyncio.all_tasks()
    for work in (
        listed(nuvo_client.run_pipelines(["orders", "orders"], on_poll=on_poll)),
        listed(
            nuvo_client.as_completed(await nuvo_client.create_execution("orders"), on_poll=fail)
        ),
        nuvo_client.run_pipeline("orders", on_poll=on_poll),
    ):
        with pytest.raises(type(mistake)):
            await work
    assert asyncio.all_tasks() == before


class Mistake(BaseException):
    """As pytest's own failures are, no `Exception`."""


async def test_a_mistake_of_any_kind_comes_out_as_it_is(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders")
    [execution] = await nuvo_client.create_execution("orders")

    def fail(_):
        raise Mistake

    with pytest.raises(Mistake):
        await nuvo_client.wait_for_all([execution], on_poll=fail)
    with pytest.raises(Mistake):
        await listed(nuvo_client.run_pipelines(["orders"], on_poll=fail))


async def test_mistakes_at_the_same_time_come_out_too(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("failing", files=8, error="PARSING_FAILURE", duration=0.1)
    runs = nuvo_client.run_pipelines(
        ["failing"], with_logs=False, on_poll=lambda one: one.raise_for_failure()
    )
    with pytest.raises(ParsingFailureError):
        await listed(runs)


async def test_a_failure_leaves_no_cancellation_behind_in_its_task(nuvo_server, nuvo_client):
    """Up to Python 3.12, a task group would: the next timeout there is then no `TimeoutError`."""
    nuvo_server.add_pipeline("orders", duration=60)
    [execution] = await nuvo_client.create_execution("orders")

    async def wait_in_vain():
        with pytest.raises(WaitTimeoutError):
            await nuvo_client.wait_for_all([execution], timeout=0.05)
        with pytest.raises(WaitTimeoutError):
            await listed(nuvo_client.as_completed([execution], timeout=0.05))
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await wait_in_vain()


async def test_a_cancellation_comes_out_whatever_else_fails_meanwhile(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders", duration=60)
    [execution] = await nuvo_client.create_execution("orders")

    async def clean_up(_):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)

    nuvo_server.add_fault("read", faults.status(403), times=9, of="unknown")
    waiting = asyncio.create_task(
        nuvo_client.wait_for_all([execution, "unknown"], on_poll=clean_up)
    )
    await asyncio.sleep(0.1)  # It has failed, and waits for the callback to clean up.
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

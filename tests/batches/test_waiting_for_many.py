"""`as_completed`, `wait_for_all`, `run_pipeline`: results as they end, or all together."""

import asyncio
import json
from datetime import datetime

import pytest
from attrs import evolve

from nuvo_async import (
    CreateOutcomeUnknownError,
    Execution,
    ExecutionsFailed,
    NotFoundError,
    ParsingFailureError,
    PollPolicy,
    SourceDataEmptyError,
    WaitTimeoutError,
)
from nuvo_async.testing import faults
from tests.batches.conftest import collect, listed


async def test_executions_are_yielded_as_they_end(nuvo_client, executions):
    ended = await listed(nuvo_client.as_completed(executions))
    assert [one.pipeline for one in ended] == ["quick", "failing", "slow"]
    assert ended[1].failed
    assert ended[1].logs


async def test_ids_will_do_and_one_may_come_twice(nuvo_client, executions):
    ids = [executions[1].id, executions[1], executions[1].id]
    assert [one.id for one in await listed(nuvo_client.as_completed(ids))] == [ids[0]] * 3


async def test_any_iterable_will_do(nuvo_client, executions):
    assert len(await listed(nuvo_client.as_completed(one for one in executions))) == 3
    assert await listed(nuvo_client.as_completed([])) == []
    assert await nuvo_client.wait_for_all(iter([])) == []


async def test_a_timeout_is_for_all_together_and_names_the_rest(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("long", duration=60)
    nuvo_server.add_pipeline("quick")
    [quick] = await nuvo_client.create_execution("quick")
    long = [(await nuvo_client.create_execution("long"))[0] for _ in range(3)]
    ended: list[Execution] = []
    with pytest.raises(WaitTimeoutError) as caught:
        await collect(nuvo_client.as_completed([quick, *long], timeout=0.5), ended)
    assert [one.id for one in ended] == [quick.id]
    error = caught.value
    assert error.timeout == 0.5
    assert error.finished == tuple(ended)
    assert list(error.pending) == [one.id for one in long]
    assert error.execution_id == long[0].id
    assert error.last
    assert error.last.status == "PROCESSING"
    with pytest.raises(WaitTimeoutError) as caught:
        await nuvo_client.wait_for_all([quick, *long], timeout=0.3)
    assert len(caught.value.pending) == 3
    assert [one.id for one in caught.value.finished] == [quick.id]


async def test_an_error_comes_out_as_it_is(nuvo_client, executions):
    """Not as a group; and what is no longer waited for is named."""
    with pytest.raises(NotFoundError) as caught:
        await listed(nuvo_client.as_completed([*executions, "nope"]))
    assert type(caught.value) is NotFoundError
    with pytest.raises(NotFoundError):
        await nuvo_client.wait_for_all([*executions, "nope"])


async def test_all_are_returned_in_the_order_given(nuvo_client, executions):
    ended = await nuvo_client.wait_for_all(executions, raise_on_failure=False)
    assert [one.id for one in ended] == [one.id for one in executions]


async def test_failures_are_raised_together_once_all_have_ended(nuvo_client, executions):
    with pytest.raises(ExecutionsFailed) as caught:
        await nuvo_client.wait_for_all(executions)
    assert [type(one) for one in caught.value.exceptions] == [ParsingFailureError]
    assert all(one.is_finished for one in caught.value.executions)
    assert [one.id for one in caught.value.executions] == [one.id for one in executions]
    assert "1 of 3 executions failed" in str(caught.value)


async def test_a_pipeline_is_run(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders", files=3, duration=0.1)
    assert all(one.succeeded for one in await nuvo_client.run_pipeline("orders"))
    nuvo_server.add_pipeline("orders", files=0)
    assert await nuvo_client.run_pipeline("orders") == []
    nuvo_server.add_pipeline("orders", files=2, error="SOURCE_DATA_EMPTY")
    try:
        await nuvo_client.run_pipeline("orders")
    except* SourceDataEmptyError as group:
        assert len(group.exceptions) == 2
    with pytest.raises(NotFoundError):
        await nuvo_client.run_pipeline("nope")


async def test_the_timeout_of_a_run_begins_with_its_executions(nuvo_server, make_client):
    nuvo_server.add_pipeline("orders", duration=0.1)
    nuvo_server.add_fault("create", faults.delay(0.4))
    assert await make_client().run_pipeline("orders", timeout=0.3)


FAULTS = {
    "500": faults.status(500),
    "429": faults.status(429, retry_after=0.05),
    "503": faults.status(503, retry_after=0.05),
    "cut": faults.cut(acted=False),
    "half an answer": faults.truncated(),
    "HTML": faults.html_page(502),
    "silence": faults.delay(1.5),
    "stale": faults.stale_listing(30),
    "no JSON": faults.not_json(),
    "403": faults.status(403),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_every_fault_in_the_middle_of_many_waits(nuvo_server, make_client, fault):
    client = make_client(request_timeout=1, poll=PollPolicy(min_interval=0.03, max_interval=0.2))
    nuvo_server.add_pipeline("orders", duration=0.1, files=250)
    nuvo_server.add_pipeline("failing", duration=0.2, files=250, error="PARSING_FAILURE")
    executions = [
        *await client.create_execution("orders"),
        *await client.create_execution("failing"),
    ]
    nuvo_server.add_fault("list", fault, times=6)
    if fault not in {FAULTS["no JSON"], FAULTS["403"]}:  # Those would be final for a read.
        nuvo_server.add_fault("read", fault, times=6)
    ended = await client.wait_for_all(executions, raise_on_failure=False, timeout=60)
    assert [one.succeeded for one in ended] == [True] * 250 + [False] * 250
    assert len(nuvo_server.requests) < 5 * 500


async def test_a_timeout_that_a_callback_raises_is_the_callbacks_own(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders")
    [execution] = await nuvo_client.create_execution("orders")
    own = WaitTimeoutError(7, pending={"something else": None})

    def give_up(_):
        raise own

    with pytest.raises(WaitTimeoutError) as caught:
        await nuvo_client.wait_for_all([execution], on_poll=give_up)
    assert caught.value is own
    with pytest.raises(WaitTimeoutError) as caught:
        await listed(nuvo_client.run_pipelines(["orders"], on_poll=give_up))
    assert caught.value is own


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ".."}, r"executions\[1\].id must be an id"),
        ({"id": "a\nb"}, r"executions\[1\].id must not hold a control character"),
        ({"id": 5}, r"executions\[1\].id must be a string"),
        ({"updated_at": datetime(2026, 1, 1)}, "must be an aware datetime"),  # noqa: DTZ001
    ],
)
async def test_an_execution_that_cannot_be_waited_for_harms_no_other_wait(
    nuvo_client, executions, changes, message
):
    other = asyncio.create_task(nuvo_client.wait_for_completion(executions[0]))
    await asyncio.sleep(0.05)
    with pytest.raises((TypeError, ValueError), match=message):
        await nuvo_client.wait_for_all([executions[1], evolve(executions[1], **changes)])
    assert (await other).succeeded


async def test_an_odd_id_in_an_answer_ends_nothing_else(nuvo_server, nuvo_client, executions):
    odd = {"id": "..", "pipeline": "odd", "status": "PROCESSING", "trigger_type": "MANUAL"}
    nuvo_server.add_fault("create", faults.body(json.dumps({"data": [odd]})), of="odd")
    other = asyncio.create_task(nuvo_client.wait_for_completion(executions[0]))
    [run] = await listed(nuvo_client.run_pipelines(["odd"]))
    assert isinstance(run.error, CreateOutcomeUnknownError)
    assert "data[0].id: expected an id" in str(run.error.__cause__)
    assert (await other).succeeded

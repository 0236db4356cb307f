"""`as_completed`, `wait_for_all`, `run_pipeline`, `run_pipelines`: results as they end."""

import asyncio
import gc
import json
import logging
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

import pytest
from attrs import evolve

from nuvo_async import (
    ClientClosedError,
    CreateOutcomeUnknownError,
    Execution,
    ExecutionsFailed,
    NotFoundError,
    NuvoError,
    ParsingFailureError,
    PollPolicy,
    RetryPolicy,
    SourceDataEmptyError,
    WaitOutageError,
    WaitTimeoutError,
)
from nuvo_async.testing import faults
from tests.conftest import calls

QUICK = PollPolicy(min_interval=0.02, max_interval=0.05)


@pytest.fixture
async def executions(nuvo_server, nuvo_client):
    """Three executions, of which the second ends first, and the third has failed."""
    nuvo_server.add_pipeline("slow", duration=0.3)
    nuvo_server.add_pipeline("quick")
    nuvo_server.add_pipeline("failing", duration=0.15, error="PARSING_FAILURE", message="torn")
    return [
        execution
        for pipeline in ("slow", "quick", "failing")
        for execution in await nuvo_client.create_execution(pipeline)
    ]


async def listed(iterator):
    return [one async for one in iterator]


async def collect(iterator, into):
    async for one in iterator:
        into.append(one)


def own_tasks():
    """The tasks of this test, without those of the embedded server."""
    return {one for one in asyncio.all_tasks() if "RequestHandler" not in repr(one.get_coro())}


# as_completed.


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


@pytest.mark.parametrize("how", ["break", "exception", "aclosing"])
async def test_leaving_the_iterator_early_stops_the_waiting(
    nuvo_server, nuvo_client, executions, how, caplog
):
    caplog.set_level(logging.DEBUG, logger="nuvo_async")
    nuvo_server.add_pipeline("long", duration=60)
    [long] = await nuvo_client.create_execution("long")
    before = own_tasks()
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
        assert own_tasks() == before
    gc.collect()
    for _ in range(50):
        await asyncio.sleep(0.01)
        if own_tasks() == before:
            break
    assert own_tasks() == before
    assert f"go on remotely: {executions[0].id}" in caplog.text
    assert long.id in caplog.text


async def test_cancelling_names_what_goes_on(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("long", duration=60, files=30)
    executions = await nuvo_client.create_execution("long")
    before = own_tasks()
    for waiting in (
        nuvo_client.wait_for_all(executions),
        listed(nuvo_client.as_completed(executions)),
        nuvo_client.run_pipeline("long"),
        listed(nuvo_client.run_pipelines(["long"])),
    ):
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        [note] = caught.value.__notes__
        assert "go on remotely: " in note
        assert note.endswith(" and 10 more")
        assert own_tasks() == before


async def test_an_iterator_that_is_never_begun_does_nothing(nuvo_server, nuvo_client):
    nuvo_client.run_pipelines(["orders"])
    nuvo_client.as_completed(["1"])
    await asyncio.sleep(0.05)
    assert nuvo_server.requests == []


# wait_for_all and run_pipeline.


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


# run_pipelines.


async def test_each_pipeline_is_yielded_as_it_ends_with_what_went_wrong(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("slow", duration=0.3, files=2)
    nuvo_server.add_pipeline("empty", files=0)
    nuvo_server.add_pipeline("failing", duration=0.2, error="PARSING_FAILURE")
    nuvo_server.add_pipeline("long", duration=60)
    nuvo_server.add_fault("create", faults.cut(acted=True), of="cut")
    nuvo_server.add_pipeline("cut")
    ids = ["slow", "empty", "failing", "nope", "long", "cut"]
    runs = {}
    async for run in nuvo_client.run_pipelines(ids, timeout=0.6):
        runs[run.pipeline_id] = run
    assert list(runs)[-2:] == ["slow", "long"]
    assert set(runs) == set(ids)
    assert runs["slow"].succeeded
    assert len(runs["slow"].executions) == 2
    assert runs["empty"].succeeded
    assert runs["empty"].executions == ()
    assert isinstance(runs["failing"].error, ExecutionsFailed)
    assert runs["failing"].executions[0].logs
    assert isinstance(runs["nope"].error, NotFoundError)
    assert isinstance(runs["long"].error, WaitTimeoutError)
    assert runs["long"].executions[0].status == "PROCESSING"
    unknown = runs["cut"].error
    assert isinstance(unknown, CreateOutcomeUnknownError)
    assert len(unknown.candidates) == 1
    for name in ("failing", "nope", "long", "cut"):
        assert not runs[name].succeeded
        with pytest.raises(NuvoError):
            runs[name].raise_for_failure()


async def test_no_more_pipelines_are_under_way_than_asked_for(nuvo_server, nuvo_client):
    started = ended = most = 0

    async def count(request, act):
        nonlocal started, most
        started += 1
        most = max(most, started - ended)
        return await act()

    nuvo_server.add_pipeline("orders", duration=0.05)
    nuvo_server.add_fault("create", count, times=20)
    async for run in nuvo_client.run_pipelines(["orders"] * 20, concurrency=3):
        assert run.succeeded
        ended += 1
    assert most <= 3 + 1  # One may be in the consumer's hands.
    assert calls(nuvo_server).count("create") == 20


async def test_a_slow_consumer_holds_back_what_is_started(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders")
    async with aclosing(nuvo_client.run_pipelines(["orders"] * 50, concurrency=2)) as runs:
        await anext(runs)
        await asyncio.sleep(0.3)
        assert calls(nuvo_server).count("create") <= 6


async def test_the_same_pipeline_twice_is_two_runs(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders")
    runs = await listed(nuvo_client.run_pipelines(["orders", "orders"]))
    assert len({run.executions[0].id for run in runs}) == 2


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
    before = own_tasks()
    for work in (
        listed(nuvo_client.run_pipelines(["orders", "orders"], on_poll=on_poll)),
        listed(
            nuvo_client.as_completed(await nuvo_client.create_execution("orders"), on_poll=fail)
        ),
        nuvo_client.run_pipeline("orders", on_poll=on_poll),
    ):
        with pytest.raises(type(mistake)):
            await work
    assert own_tasks() == before


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_was_started_is_told_before_it_ends(
    nuvo_server, nuvo_client, tmp_path, is_async
):
    """Also by a journal that is taken up again: whoever is interrupted knows what goes on."""
    nuvo_server.add_pipeline("sftp", files=2, duration=60)
    nuvo_server.add_pipeline("empty", files=0)
    ids = ["sftp", "empty", "nowhere"]
    started: dict[str, list[str]] = {}

    def note(pipeline_id, executions):
        started[pipeline_id] = [one.id for one in executions]

    async def note_later(pipeline_id, executions):
        await asyncio.sleep(0)
        note(pipeline_id, executions)

    on_start = note_later if is_async else note
    for _ in range(2):
        started.clear()
        runs = await listed(
            nuvo_client.run_pipelines(
                ids, timeout=0.2, journal=tmp_path / f"j{is_async}", on_start=on_start
            )
        )
        assert len(runs) == 3
        server_ids = [one["id"] for one in nuvo_server.executions]
        assert started.pop("sftp") == server_ids
    assert started == {}  # What had ended is told as ended.


async def test_what_on_start_raises_comes_out(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders", duration=60)

    def fail(*_: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await listed(nuvo_client.run_pipelines(["orders"], on_start=fail))
    with pytest.raises(TypeError, match="on_start must be callable"):
        nuvo_client.run_pipelines(["orders"], on_start=5)


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
    before = own_tasks()
    task = asyncio.create_task(work())
    await asyncio.sleep(0.2)
    await client.close()
    with pytest.raises(ClientClosedError) as caught:
        await task
    assert executions[0].id in str(caught.value.__notes__) or of.startswith("run")
    assert own_tasks() == before
    with pytest.raises(ClientClosedError):
        await work()


async def test_an_outage_is_an_error_of_its_pipeline(nuvo_server, make_client):
    client = make_client(retry=RetryPolicy(max_attempts=1))
    nuvo_server.add_pipeline("orders", duration=60)
    nuvo_server.add_fault("read", faults.status(502), times=999)
    policy = PollPolicy(min_interval=0.02, max_outage=0.2)
    [run] = await listed(client.run_pipelines(["orders"], poll=policy))
    assert isinstance(run.error, WaitOutageError)
    assert run.executions[0].id == run.error.execution_id


BAD = [
    ({"timeout": -1}, ValueError, "timeout"),
    ({"poll": 5}, TypeError, "poll must be"),
    ({"on_poll": 5}, TypeError, "on_poll must be callable"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
async def test_bad_options_are_refused_at_once(nuvo_server, nuvo_client, options, error, message):
    for call in (nuvo_client.as_completed, nuvo_client.run_pipelines):
        with pytest.raises(error, match=message):
            call(["1"], **options)
    for call in (nuvo_client.wait_for_all, nuvo_client.run_pipeline):
        with pytest.raises(error, match=message):
            await call("1" if call == nuvo_client.run_pipeline else ["1"], **options)
    assert nuvo_server.requests == []


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ("65f0", TypeError, "must be an iterable of ids, not a single str"),
        (b"65f0", TypeError, "not a single bytes"),
        (5, TypeError, "must be an iterable"),
        (["1", ""], ValueError, r"\[1\] must not be empty"),
        (["1", 5], TypeError, r"\[1\] must be (a string|an Execution or its id), not int"),
        (["1", "a\nb"], ValueError, "control character"),
    ],
)
async def test_of_a_list_all_are_checked_first(nuvo_server, nuvo_client, ids, error, message):
    for call in (nuvo_client.as_completed, nuvo_client.run_pipelines):
        with pytest.raises(error, match=message):
            call(ids)
    with pytest.raises(error, match=message):
        await nuvo_client.wait_for_all(ids)
    assert nuvo_server.requests == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"concurrency": 0}, ValueError),
        ({"concurrency": 1.5}, TypeError),
        ({"journal": 5}, TypeError),
        ({"journal": ""}, ValueError),
        ({"journal": "a\0b"}, ValueError),
    ],
)
async def test_bad_options_of_run_pipelines(nuvo_client, options, error):
    with pytest.raises(error):
        nuvo_client.run_pipelines(["orders"], **options)


async def test_many_at_once_against_a_real_server(nuvo_server, nuvo_client):
    """200 pipelines; what is asked is far less than each for itself would ask."""
    nuvo_server.add_pipeline("orders", duration=0.5)
    runs = await listed(nuvo_client.run_pipelines(["orders"] * 200, with_logs=False))
    assert all(run.succeeded for run in runs)
    counted = calls(nuvo_server)
    assert counted.count("create") == 200
    assert counted.count("list") > 0
    assert len(counted) - 200 < 200


FAULTS = {
    "500": faults.status(500),
    "429": faults.status(429, retry_after=0.05),
    "503": faults.status(503, retry_after=0.05),
    "cut": faults.cut(acted=False),
    "half an answer": faults.truncated(),
    "HTML": faults.html_page(502),
    "silence": faults.delay(0.3),
    "stale": faults.stale_listing(30),
    "no JSON": faults.not_json(),
    "403": faults.status(403),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_every_fault_in_the_middle_of_many_waits(nuvo_server, make_client, fault):
    client = make_client(request_timeout=0.2, poll=PollPolicy(min_interval=0.03, max_interval=0.2))
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


# What a hostile reading has found.


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


async def test_what_was_started_is_named_when_a_callback_ends_it_all(
    nuvo_server, nuvo_client, caplog
):
    nuvo_server.add_pipeline("orders", duration=60)
    caplog.set_level(logging.DEBUG, logger="nuvo_async")

    def fail(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await listed(nuvo_client.run_pipelines(["orders"], on_start=fail))
    [execution] = nuvo_server.executions
    assert any(execution["id"] in note for note in caught.value.__notes__)
    assert f"these executions go on remotely: {execution['id']}" in caplog.text


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

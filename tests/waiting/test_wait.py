"""`wait_for_completion`: what ends it, what does not, and when."""

import asyncio
import logging
import math
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from nuvo_async import (
    APIError,
    AuthenticationError,
    Execution,
    InvalidResponseError,
    NotFoundError,
    ParsingFailureError,
    PermissionDeniedError,
    PollPolicy,
    RetryPolicy,
    ServerError,
    TransportError,
    WaitOutageError,
    WaitTimeoutError,
)
from nuvo_async.testing import NuvoServer, faults
from tests.conftest import calls, payload

QUICK = PollPolicy(min_interval=0.02, max_interval=0.05)
NO_RETRY = RetryPolicy(max_attempts=1)


async def started(server, client, **script):
    """Script a pipeline, trigger it, and return its one execution."""
    server.add_pipeline("orders", **script)
    [execution] = await client.create_execution("orders")
    return execution


async def elapsed(awaitable):
    loop = asyncio.get_running_loop()
    began = loop.time()
    result = await awaitable
    return loop.time() - began, result


async def test_a_wait_ends_when_the_execution_does(nuvo_server, nuvo_client):
    execution = await started(nuvo_server, nuvo_client, duration=0.2)
    seconds, finished = await elapsed(nuvo_client.wait_for_completion(execution))
    assert finished.succeeded
    assert finished.latest_run.data.total_rows == 100
    assert 0.15 < seconds < 10


async def test_an_id_will_do(nuvo_server, nuvo_client):
    execution = await started(nuvo_server, nuvo_client)
    assert (await nuvo_client.wait_for_completion(execution.id)).id == execution.id


async def test_a_failed_run_is_never_returned_as_success(nuvo_server, nuvo_client):
    execution = await started(
        nuvo_server, nuvo_client, error="PARSING_FAILURE", message="line 3 is torn"
    )
    with pytest.raises(ParsingFailureError, match="line 3 is torn") as caught:
        await nuvo_client.wait_for_completion(execution)
    assert caught.value.execution.id == execution.id
    assert caught.value.execution.logs


async def test_a_failure_is_returned_where_asked_for(nuvo_server, nuvo_client):
    execution = await started(nuvo_server, nuvo_client, error="SOURCE_DATA_EMPTY")
    finished = await nuvo_client.wait_for_completion(execution, raise_on_failure=False)
    assert finished.failed


async def test_an_execution_that_was_finished_is_asked_for_again(nuvo_server, nuvo_client):
    """It may have been fixed since: FAILED is not the end of its life."""
    execution = await started(
        nuvo_server, nuvo_client, duration=0.1, error="PARSING_FAILURE", fixed_after=0.1
    )
    failed = await nuvo_client.wait_for_completion(execution, raise_on_failure=False)
    await asyncio.sleep(0.12)
    fixed = await nuvo_client.wait_for_completion(failed)
    assert fixed.succeeded
    assert [run.type for run in fixed.logs] == ["CREATE", "FIX"]


# Time.


@pytest.mark.parametrize("silent", [False, True], ids=["still running", "no answer"])
async def test_a_timeout_bounds_the_whole_wait(nuvo_server, nuvo_client, silent):
    execution = await started(nuvo_server, nuvo_client, duration=60)
    if silent:
        nuvo_server.add_fault("read", faults.delay(60))
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(WaitTimeoutError) as caught:
        await nuvo_client.wait_for_completion(execution, timeout=0.3)
    assert 0.29 < loop.time() - began < 5
    error = caught.value
    assert error.timeout == 0.3
    assert error.execution_id == execution.id
    assert error.finished == ()
    assert error.pending == {execution.id: error.last}
    if silent:
        assert error.last is None
    else:
        assert error.last
        assert error.last.status == "PROCESSING"


@pytest.mark.parametrize(
    "fault", [faults.status(503, retry_after=30), faults.status(500), faults.cut(acted=False)]
)
async def test_a_timeout_cuts_retries_and_pauses_too(nuvo_server, make_client, fault):
    client = make_client(retry=RetryPolicy(base_delay=10, max_delay=10))
    nuvo_server.add_fault("read", fault, times=99)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(WaitTimeoutError):
        await client.wait_for_completion("65f0", timeout=0.3)
    assert loop.time() - began < 5


async def test_a_wait_that_timed_out_in_trouble_names_it(nuvo_server, make_client):
    nuvo_server.add_fault("read", faults.status(500), times=999)
    with pytest.raises(WaitTimeoutError) as caught:
        await make_client().wait_for_completion("65f0", timeout=0.5)
    assert isinstance(caught.value.__cause__, ServerError)


async def test_a_wait_can_be_taken_up_again_after_a_timeout(nuvo_server, nuvo_client):
    execution = await started(nuvo_server, nuvo_client, duration=0.3)
    with pytest.raises(WaitTimeoutError) as caught:
        await nuvo_client.wait_for_completion(execution, timeout=0.05)
    assert (await nuvo_client.wait_for_completion(caught.value.execution_id)).succeeded


async def test_delays_grow_with_the_time_waited(nuvo_server, make_client):
    client = make_client(poll=PollPolicy(min_interval=0.01, growth=0.5, jitter=0))
    execution = await started(nuvo_server, client, duration=1)
    await client.wait_for_completion(execution)
    # At most 0.01 x 1.5**n seconds are waited at poll n: the 12th is past 0.8 s.
    assert 8 <= calls(nuvo_server).count("read") <= 15


async def test_a_wait_may_have_a_policy_of_its_own(nuvo_server, make_client):
    client = make_client(poll=PollPolicy(min_interval=30))
    execution = await started(nuvo_server, client, duration=0.1)
    assert (await client.wait_for_completion(execution, poll=QUICK, timeout=5)).succeeded


# Trouble that passes, and trouble that does not.

PASSING = {
    "429": faults.status(429),
    "500": faults.status(500),
    "502": faults.html_page(502),
    "503": faults.status(503),
    "408": faults.status(408),
    "404 at first": faults.status(404),
    "cut": faults.cut(acted=False),
    "half an answer": faults.truncated(),
    "empty": faults.body(b""),
    "not JSON": faults.not_json(),
    "silence": faults.delay(5),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_one_bad_poll_does_not_kill_a_healthy_wait(nuvo_server, make_client, fault):
    client = make_client(request_timeout=0.2, retry=NO_RETRY)
    execution = await started(nuvo_server, client)
    nuvo_server.add_fault("read", fault, times=3)
    assert (await client.wait_for_completion(execution, timeout=10)).succeeded


FINAL = {
    "401": (faults.status(401), AuthenticationError),
    "403": (faults.status(403), PermissionDeniedError),
    "400": (faults.status(400), APIError),
    "another shape": (faults.body(b'{"data": {"id": 1}}'), InvalidResponseError),
    "redirect": (faults.redirect("https://elsewhere.example"), InvalidResponseError),
    "another execution": (
        faults.body(
            b'{"data": {"id": "x", "pipeline": "p", "status": "FAILED", "trigger_type": ""}}'
        ),
        InvalidResponseError,
    ),
}


@pytest.mark.parametrize(("fault", "error"), FINAL.values(), ids=FINAL)
async def test_a_permanent_refusal_ends_the_wait_at_once(nuvo_server, make_client, fault, error):
    client = make_client()
    execution = await started(nuvo_server, client, duration=60)
    nuvo_server.add_fault("read", fault, times=99)
    with pytest.raises(error):
        await client.wait_for_completion(execution, timeout=10)
    assert calls(nuvo_server).count("read") == 1


async def test_a_404_ends_the_wait_after_the_grace(nuvo_server, make_client):
    client = make_client(poll=PollPolicy(min_interval=0.05, not_found_grace=0.3))
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(NotFoundError):
        await client.wait_for_completion("65f0")
    assert 0.28 < loop.time() - began < 5


async def test_a_404_without_grace_ends_the_wait_at_once(nuvo_server, make_client):
    with pytest.raises(NotFoundError):
        await make_client(poll=PollPolicy(not_found_grace=0)).wait_for_completion("65f0")
    assert calls(nuvo_server) == ["read"]


async def test_an_outage_is_neither_success_nor_failure(nuvo_server, make_client):
    client = make_client(retry=NO_RETRY)
    execution = await started(nuvo_server, client, duration=60)
    states = []

    def break_down(state):
        states.append(state)
        nuvo_server.add_fault("read", faults.status(502), times=999)

    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(WaitOutageError) as caught:
        await client.wait_for_completion(
            execution,
            on_poll=break_down,
            poll=PollPolicy(min_interval=0.05, max_interval=0.1, max_outage=0.4),
        )
    assert 0.4 <= loop.time() - began < 5
    error = caught.value
    assert error.execution_id == execution.id
    assert error.last == states[0]
    assert isinstance(error.__cause__, ServerError)
    assert timedelta(seconds=0.3) < datetime.now(UTC) - error.since < timedelta(seconds=30)


async def test_an_outage_does_not_end_a_wait_with_a_timeout(nuvo_server, make_client):
    client = make_client(retry=NO_RETRY)
    nuvo_server.add_fault("read", faults.status(502), times=999)
    with pytest.raises(WaitTimeoutError):
        await client.wait_for_completion(
            "65f0", timeout=0.3, poll=PollPolicy(min_interval=0.02, max_outage=0.05)
        )


async def test_trouble_that_was_over_does_not_count(nuvo_server, make_client):
    """Only unbroken trouble is an outage."""
    client = make_client(retry=NO_RETRY)
    execution = await started(nuvo_server, client, duration=0.8)

    def break_down_again(_):
        nuvo_server.clear_faults()
        nuvo_server.add_fault("read", faults.status(502), times=2)

    policy = PollPolicy(min_interval=0.05, max_interval=0.05, jitter=0, max_outage=0.3)
    finished = await client.wait_for_completion(execution, poll=policy, on_poll=break_down_again)
    assert finished.succeeded


async def test_no_server_at_all_is_an_outage(make_client):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    client = make_client(base_url=f"http://127.0.0.1:{port}/", retry=NO_RETRY)
    with pytest.raises(WaitOutageError) as caught:
        await client.wait_for_completion("65f0", poll=PollPolicy(min_interval=0.02, max_outage=0.2))
    assert isinstance(caught.value.__cause__, TransportError)
    assert caught.value.last is None


async def test_a_retry_after_longer_than_the_outage_is_heeded_for_half_of_it(
    nuvo_server, make_client
):
    nuvo_server.add_fault("read", faults.status(429, retry_after=1000), times=9)
    with pytest.raises(WaitOutageError):
        await make_client().wait_for_completion(
            "65f0", poll=PollPolicy(min_interval=0.02, max_outage=2.0)
        )
    assert 2 <= len(calls(nuvo_server)) <= 3  # After half of it, and at its end.


async def test_an_expired_token_is_renewed_in_the_middle(nuvo_server, make_client, license_key):
    client = make_client(license_key)
    execution = await started(nuvo_server, client, duration=0.3)
    expired: list[None] = []

    def expire(_):
        if not expired:
            expired.append(nuvo_server.expire_tokens())

    assert (await client.wait_for_completion(execution, on_poll=expire)).succeeded
    assert calls(nuvo_server).count("token") == 2


async def test_an_unknown_status_is_no_end_and_logged_once(nuvo_server, make_client, caplog):
    client = make_client()
    execution = await started(nuvo_server, client)
    body = payload(id=execution.id, status="PAUSED")
    nuvo_server.add_fault("read", faults.body(str_json(body)), times=3)
    with caplog.at_level(logging.WARNING, logger="nuvo_async"):
        seen: list[str] = []
        finished = await client.wait_for_completion(
            execution, on_poll=lambda state: seen.append(state.status)
        )
    assert finished.succeeded
    assert seen == ["PAUSED"] * 3 + ["SUCCESSFUL"]
    warnings = [one.message for one in caplog.records if one.levelno >= logging.WARNING]
    assert warnings == ["unknown status 'PAUSED': it is not taken for an end of the execution"]


def str_json(body):
    import json

    return json.dumps(body)


async def test_silence_is_an_outage_to_the_moment(nuvo_server, make_client):
    client = make_client(request_timeout=30)
    nuvo_server.add_fault("read", faults.delay(30), times=99)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(WaitOutageError) as caught:
        await client.wait_for_completion("65f0", poll=PollPolicy(min_interval=0.02, max_outage=0.3))
    assert 0.29 < loop.time() - began < 5
    assert caught.value.since <= datetime.now(UTC)


async def test_an_outage_in_the_middle_of_retries_names_the_trouble(nuvo_server, make_client):
    nuvo_server.add_fault("read", faults.status(503), times=99)
    policy = PollPolicy(min_interval=0.02, max_outage=0.2)
    with pytest.raises(WaitOutageError) as caught:
        await make_client().wait_for_completion("65f0", poll=policy)
    assert isinstance(caught.value.__cause__, ServerError)


async def test_a_user_timeout_in_the_middle_of_retries_names_the_trouble(nuvo_server, make_client):
    client = make_client(retry=RetryPolicy(base_delay=30, max_delay=30))
    nuvo_server.add_fault("list", faults.status(503, retry_after=30))
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.2):
            await client.list_executions()
    # Early releases of Python 3.11 do not make the cancellation its `__cause__`.
    assert caught.value.__context__ is not None
    assert isinstance(caught.value.__context__.__cause__, ServerError)


async def test_queueing_is_no_outage(nuvo_server, make_client):
    client = make_client(max_concurrency=1)
    execution = await started(nuvo_server, client)
    nuvo_server.add_fault("read", faults.delay(0.05), times=20)
    policy = PollPolicy(max_outage=0.5)
    waits = (client.wait_for_completion(execution, poll=policy) for _ in range(20))
    assert all(one.succeeded for one in await asyncio.gather(*waits))


async def test_a_callback_that_keeps_its_cancellation_to_itself_does_not_stop_the_clock(
    nuvo_server, make_client
):
    client = make_client()
    execution = await started(nuvo_server, client, duration=60)

    async def linger(_):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(30)

    with pytest.raises(WaitTimeoutError):
        await client.wait_for_completion(execution, timeout=0.2, on_poll=linger)


async def test_no_outage_at_all_still_asks(nuvo_server, make_client):
    client = make_client(retry=NO_RETRY)
    policy = PollPolicy(min_interval=0.02, max_outage=0)
    execution = await started(nuvo_server, client, duration=0.1)
    nuvo_server.add_fault("read", faults.status(500))  # A single failure is no outage.
    assert (await client.wait_for_completion(execution, poll=policy)).succeeded
    nuvo_server.add_fault("read", faults.status(500), times=2)
    with pytest.raises(WaitOutageError):
        await client.wait_for_completion(execution, poll=policy)


async def test_an_absurd_retry_after_does_not_put_an_end_to_polling(nuvo_server, make_client):
    client = make_client(poll=PollPolicy(min_interval=0.02, max_interval=0.2, max_outage=1.0))
    execution = await started(nuvo_server, client)
    nuvo_server.add_fault("read", faults.status(503, retry_after=10**9))
    assert (await client.wait_for_completion(execution, timeout=20)).succeeded


async def test_a_404_of_the_token_endpoint_has_no_grace(nuvo_server, make_client, license_key):
    nuvo_server.add_fault("token", faults.status(404), times=99)
    with pytest.raises(NotFoundError, match="auth/access-token"):
        await make_client(license_key).wait_for_completion("65f0", timeout=5)
    assert calls(nuvo_server) == ["token"]


# on_poll.


async def test_on_poll_sees_every_state(nuvo_server, nuvo_client):
    execution = await started(nuvo_server, nuvo_client, duration=0.2)
    seen: list[Execution] = []
    seen_async: list[str] = []

    async def see(state):
        await asyncio.sleep(0)
        seen_async.append(state.status)

    await nuvo_client.wait_for_completion(execution, on_poll=seen.append)
    await nuvo_client.wait_for_completion(execution, on_poll=see)
    assert len(seen) + len(seen_async) == calls(nuvo_server).count("read")
    assert {state.status for state in seen} == {"PROCESSING", "SUCCESSFUL"}
    assert seen_async == ["SUCCESSFUL"]


@pytest.mark.parametrize(
    "error", [KeyError("mine"), TimeoutError("mine"), asyncio.CancelledError()]
)
async def test_what_on_poll_raises_comes_out(nuvo_server, nuvo_client, error):
    execution = await started(nuvo_server, nuvo_client)

    def fail(_):
        raise error

    with pytest.raises(type(error)) as caught:
        await nuvo_client.wait_for_completion(execution, on_poll=fail, timeout=5)
    assert caught.value is error


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"timeout": -1}, ValueError, "timeout must be a finite number"),
        ({"timeout": math.nan}, ValueError, "timeout"),
        ({"timeout": math.inf}, ValueError, "timeout"),
        ({"timeout": "5"}, TypeError, "timeout must be a number"),
        ({"on_poll": "print"}, TypeError, "on_poll must be callable"),
        ({"poll": 5}, TypeError, "poll must be a PollPolicy"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    nuvo_server, nuvo_client, options, error, message
):
    with pytest.raises(error, match=message):
        await nuvo_client.wait_for_completion("65f0", **options)
    assert nuvo_server.requests == []


# Cancellation.


@pytest.mark.parametrize("moment", ["asleep", "asking", "in on_poll", "queueing"])
async def test_cancelling_a_wait_ends_it_at_once_and_leaves_nothing(
    nuvo_server, make_client, moment
):
    client = make_client(max_concurrency=1, poll=PollPolicy(min_interval=30))
    execution = await started(nuvo_server, client, duration=60)
    if moment == "asking":
        nuvo_server.add_fault("read", faults.delay(30))
    if moment == "queueing":
        nuvo_server.add_fault("list", faults.delay(0.5))
    before = asyncio.all_tasks()
    other = asyncio.create_task(client.list_executions()) if moment == "queueing" else None
    await asyncio.sleep(0.05 if other else 0)

    async def linger(_):
        await asyncio.sleep(30 if moment == "in on_poll" else 0)

    waiting = asyncio.create_task(client.wait_for_completion(execution, on_poll=linger))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await waiting
    assert caught.value.__notes__ == [
        f"execution {execution.id} was being waited for; it goes on remotely"
    ]
    if other is not None:
        await other
    assert asyncio.all_tasks() - before - handlers(nuvo_server) <= {asyncio.current_task()}
    await client.list_executions()  # The one place in flight is free again.


def handlers(_: NuvoServer):
    """The tasks of the server itself, which runs in the same loop."""
    return {task for task in asyncio.all_tasks() if "RequestHandler" in repr(task.get_coro())}

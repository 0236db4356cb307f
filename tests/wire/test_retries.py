"""Reads are tried again, after the delay that the server names; 429 holds back the whole client."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from nuvo_async import (
    APIError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from nuvo_async.testing import faults
from tests.conftest import calls

PASSING = {
    "408": faults.status(408),
    "429": faults.status(429),
    "500": faults.status(500),
    "502": faults.html_page(502),
    "503": faults.status(503),
    "504": faults.status(504),
    "cut": faults.cut(acted=False),
    "half an answer": faults.truncated(),
    "silence": faults.delay(5),
    "wrong encoding": faults.body(b"no gzip", headers={"Content-Encoding": "gzip"}),
}
FINAL = {
    "400": (faults.status(400), APIError),
    "401": (faults.status(401), APIError),
    "403": (faults.status(403), PermissionDeniedError),
    "404": (faults.status(404), NotFoundError),
    "501": (faults.status(501), ServerError),
    "no JSON": (faults.not_json(), InvalidResponseError),
    "HTML": (faults.html_page(200), InvalidResponseError),
    "empty": (faults.body(b""), InvalidResponseError),
    "redirect": (faults.redirect("https://elsewhere.example/"), InvalidResponseError),
    "over the limit": (faults.gzip_bomb(200_000), InvalidResponseError),
    "long": (faults.body(b'"' + b"x" * 200_000 + b'"'), InvalidResponseError),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_a_read_is_tried_again_after_trouble_that_passes(nuvo_server, make_client, fault):
    nuvo_server.add_pipeline("orders")
    [execution_id] = nuvo_server.start("orders")
    nuvo_server.add_fault("read", fault, times=2)
    execution = await make_client(request_timeout=0.3).get_execution(execution_id)
    assert execution.id == execution_id
    assert len(nuvo_server.requests) == 3


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_trouble_that_does_not_pass_is_raised(nuvo_server, make_client, fault):
    nuvo_server.add_fault("list", fault, times=99)
    client = make_client(request_timeout=0.3, retry=RetryPolicy(max_attempts=2, base_delay=0))
    with pytest.raises((APIError, TransportError, InvalidResponseError)):
        await client.list_executions()
    assert len(nuvo_server.requests) == 2


@pytest.mark.parametrize(("fault", "error"), FINAL.values(), ids=FINAL)
async def test_a_final_answer_is_not_asked_for_again(nuvo_server, make_client, fault, error):
    nuvo_server.add_fault("list", fault, times=99)
    with pytest.raises(error):
        await make_client(max_body_size=100_000).list_executions()
    assert calls(nuvo_server) == ["list"]


async def test_one_attempt_means_no_retry(nuvo_server, make_client):
    nuvo_server.add_fault("list", faults.status(503))
    with pytest.raises(ServerError):
        await make_client(retry=RetryPolicy(max_attempts=1)).list_executions()
    assert calls(nuvo_server) == ["list"]


async def elapsed(awaitable):
    """Seconds on the loop's clock."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    await awaitable
    return loop.time() - started


@pytest.mark.parametrize(("status", "seconds"), [(429, 1), (503, 0.3)])
async def test_retry_after_in_seconds_is_waited_for(nuvo_server, make_client, status, seconds):
    nuvo_server.add_fault("list", faults.status(status, retry_after=seconds))
    assert await elapsed(make_client().list_executions()) >= seconds - 0.01


async def test_retry_after_as_a_date_is_waited_for(nuvo_server, make_client):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    nuvo_server.add_fault("list", faults.status(429, retry_after=later))
    assert await elapsed(make_client().list_executions()) >= 0.9  # Whole seconds, both of them.


@pytest.mark.parametrize("retry_after", [61, 10**30, "9" * 400])
async def test_a_retry_after_beyond_the_policy_fails_at_once(nuvo_server, make_client, retry_after):
    nuvo_server.add_fault("list", faults.status(429, retry_after=retry_after))
    client = make_client()
    with pytest.raises(RateLimitError) as caught:
        await client.list_executions()
    assert caught.value.retry_after == float(retry_after)
    await client.list_executions()
    assert calls(nuvo_server) == ["list", "list"]


async def test_after_a_429_the_whole_client_waits(nuvo_server, make_client):
    client = make_client()
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("list", faults.status(429, retry_after=0.5))
    listing = asyncio.create_task(client.list_executions())
    await asyncio.sleep(0.1)
    assert await elapsed(client.create_execution("orders")) >= 0.3
    await listing
    assert sorted(calls(nuvo_server)) == ["create", "list", "list"]


async def test_queueing_is_no_timeout(nuvo_server, make_client):
    """`request_timeout` starts when the request does, not when it is asked for."""
    client = make_client(max_concurrency=1, request_timeout=0.3)
    nuvo_server.add_fault("list", faults.delay(0.1), times=5)
    await asyncio.gather(*(client.list_executions() for _ in range(5)))
    assert calls(nuvo_server) == ["list"] * 5


async def test_no_more_requests_are_in_flight_than_allowed(nuvo_server, make_client):
    in_flight = most = 0

    async def count(request, act):
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0.01)
        in_flight -= 1
        return await act()

    nuvo_server.add_fault("list", count, times=40)
    client = make_client(max_concurrency=4)
    await asyncio.gather(*(client.list_executions() for _ in range(40)))
    assert most == 4


async def test_a_timeout_covers_the_body(nuvo_server, make_client):
    async def drip(request, act):
        from aiohttp import web

        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    nuvo_server.add_fault("list", drip, times=99)
    client = make_client(request_timeout=0.2, retry=RetryPolicy(max_attempts=1))
    with pytest.raises(RequestTimeoutError, match=r"not within 0.2 s"):
        await client.list_executions()

"""The life of a client: settings, sessions, loops, and the end."""

import asyncio
import gc
import warnings

import aiohttp
import pytest
from yarl import URL

from nuvo_async import (
    ClientClosedError,
    ConfigurationError,
    NuvoClient,
    PollPolicy,
    RetryPolicy,
)
from nuvo_async.testing import NuvoServer, faults
from nuvo_async.wire.transport import checked_base_url


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("", "must have the form"),
        ("/dp/api/v1/", "must have the form"),
        ("https:///dp/api/v1/", "must have the form"),
        ("ftp://example.com/", "must have the form"),
        ("example.com/dp/api/v1/", "must have the form"),
        ("https://example.com/?a=b", "query or fragment"),
        ("https://example.com/#a", "query or fragment"),
        ("https://user:pw@example.com/", "user or password"),
        ("https://example.com:port/", "not a URL"),
        ("http://example.com/", "must be https"),
        ("http://10.0.0.1/", "must be https"),
        ("http://localhost.example.com/", "must be https"),
        ("http://0.0.0.0/", "must be https"),
        ("https://a..b/", "not a URL"),
        (f"https://{'a' * 70}.example.com/", "not a URL"),
        ("https://example.com /", "blanks"),
        ("https://example.com/dp/ ", "blanks"),
        ("https://example%00.com/", "blanks"),
        ("https://example.com\n/", "blanks"),
    ],
)
def test_a_base_url_that_will_not_do_is_refused(base_url, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        NuvoClient("t0ken", base_url=base_url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://example.com/dp/api/v1",
        "https://example.com",
        "http://localhost:8080/x",
        "http://127.0.0.1/",
        "http://127.9.9.9/",
        "http://[::1]:80/",
        URL("https://example.com/a%2Fb/"),
    ],
)
def test_https_or_loopback_will_do(base_url):
    NuvoClient("t0ken", base_url=base_url)


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://localhost", "http://localhost/"),
        ("https://example.com:8443", "https://example.com:8443/"),
        ("https://example.com//", "https://example.com/"),
        ("https://example.com/dp", "https://example.com/dp/"),
    ],
)
def test_no_path_can_be_taken_for_a_part_of_the_host(base_url, expected):
    assert str(checked_base_url(base_url)) == expected


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"base_url": 5}, TypeError, "base_url must be a string"),
        ({"request_timeout": 0}, ValueError, "request_timeout must be a finite number, above zero"),
        ({"request_timeout": -1}, ValueError, "request_timeout"),
        ({"request_timeout": float("nan")}, ValueError, "request_timeout"),
        ({"request_timeout": None}, TypeError, "request_timeout"),
        ({"max_concurrency": 0}, ValueError, "max_concurrency must be 1 or more"),
        ({"max_concurrency": 1.0}, TypeError, "max_concurrency"),
        ({"max_body_size": 0}, ValueError, "max_body_size"),
        ({"retry": PollPolicy()}, TypeError, "retry must be a RetryPolicy"),
        ({"poll": RetryPolicy()}, TypeError, "poll must be a PollPolicy"),
        ({"session": object()}, TypeError, "session must be a ClientSession"),
    ],
)
def test_settings_are_checked_when_the_client_is_made(options, error, message):
    with pytest.raises(error, match=message):
        NuvoClient("t0ken", **options)


async def test_a_session_with_an_auth_of_its_own_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "pw"))
    async with session:
        with pytest.raises(ConfigurationError, match="no auth of its own"):
            NuvoClient("t0ken", session=session)


async def test_a_session_that_was_closed_elsewhere_is_said_so(nuvo_server):
    async with aiohttp.ClientSession() as session:
        client = NuvoClient("t0ken", base_url=nuvo_server.base_url, session=session)
    with pytest.raises(ClientClosedError, match="session that the client was given is closed"):
        await client.list_executions()


async def test_waiting_for_a_callers_connection_is_no_timeout(nuvo_server):
    """A session with few connections bounds the requests in flight, so that none queues in it."""
    nuvo_server.add_fault("list", faults.delay(0.2), times=4)
    connector = aiohttp.TCPConnector(limit=2, limit_per_host=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = NuvoClient(
            nuvo_server.access_token,
            base_url=nuvo_server.base_url,
            session=session,
            request_timeout=0.4,
        )
        await asyncio.gather(*(client.list_executions() for _ in range(4)))
    assert len(nuvo_server.requests) == 4


async def test_no_cookie_is_kept(nuvo_server, make_client):
    # By name: even a jar that keeps cookies keeps none of an address.
    nuvo_client = make_client(base_url=nuvo_server.base_url.replace("127.0.0.1", "localhost"))
    page = '{"data": [], "pagination": {"total": 0, "offset": 0, "limit": 1}}'
    nuvo_server.add_fault("list", faults.body(page, headers={"Set-Cookie": "a=b"}))
    await nuvo_client.list_executions()
    await nuvo_client.list_executions()
    assert "Cookie" not in nuvo_server.requests[1].headers


async def test_a_client_works_without_a_context(nuvo_server):
    client = NuvoClient(nuvo_server.access_token, base_url=nuvo_server.base_url)
    await client.list_executions()
    await client.close()
    await client.close()
    gc.collect()  # An unclosed session would warn, and warnings are errors here.


async def test_a_client_that_was_never_used_closes():
    await NuvoClient("t0ken").close()


async def test_a_closed_client_says_so(nuvo_server, make_client):
    client = make_client()
    await client.close()
    for call in (
        client.list_executions(),
        client.get_execution("1"),
        client.create_execution("orders"),
        client.wait_for_completion("1"),
        client.revoke_token(),
        anext(client.iter_executions()),
        client.__aenter__(),
    ):
        with pytest.raises(ClientClosedError, match="make a new one"):
            await call
    assert nuvo_server.requests == []


@pytest.mark.parametrize("moment", ["asleep", "asking", "in a retry", "queueing", "exchanging"])
@pytest.mark.parametrize("own_session", [True, False])
async def test_close_ends_waits_at_once(nuvo_server, make_client, license_key, moment, own_session):
    nuvo_server.add_pipeline("orders", duration=60)
    [execution_id] = nuvo_server.start("orders")
    if moment == "asking":
        nuvo_server.add_fault("read", faults.delay(30), times=99)
    if moment == "in a retry":
        nuvo_server.add_fault("read", faults.status(503, retry_after=30), times=99)
    if moment == "exchanging":
        nuvo_server.add_fault("token", faults.delay(30))
    session = None if own_session else aiohttp.ClientSession()
    client = make_client(
        license_key if moment == "exchanging" else None,
        session=session,
        max_concurrency=1 if moment == "queueing" else 10,
        poll=PollPolicy(min_interval=30),
    )
    waits = [
        asyncio.create_task(client.wait_for_completion(execution_id, timeout=timeout))
        for timeout in (None, 60, None)
    ]
    await asyncio.sleep(0.1)
    await client.close()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(result) for result in results] == [ClientClosedError] * 3
    if session is not None:
        assert not session.closed
        await session.close()


async def test_a_wait_may_close_its_own_client(nuvo_server, make_client):
    nuvo_server.add_pipeline("orders", duration=60)
    [execution_id] = nuvo_server.start("orders")
    client = make_client(poll=PollPolicy(min_interval=30))
    async with asyncio.timeout(5):
        with pytest.raises(ClientClosedError):
            await client.wait_for_completion(execution_id, on_poll=lambda _: client.close())


@pytest.mark.parametrize("of", ["as_completed", "wait_for_all", "run_pipeline", "run_pipelines"])
async def test_a_callback_may_close_the_client_of_many_waits(nuvo_server, make_client, of):
    nuvo_server.add_pipeline("orders", duration=60)
    executions = nuvo_server.start("orders") + nuvo_server.start("orders")
    client = make_client(poll=PollPolicy(min_interval=0.05))

    async def all_of(iterator):
        return [one async for one in iterator]

    async def close(_):
        await client.close()

    work = {
        "as_completed": lambda: all_of(client.as_completed(executions, on_poll=close)),
        "wait_for_all": lambda: client.wait_for_all(executions, on_poll=close),
        "run_pipeline": lambda: client.run_pipeline("orders", on_poll=close),
        "run_pipelines": lambda: all_of(client.run_pipelines(["orders"] * 2, on_poll=close)),
    }[of]
    async with asyncio.timeout(5):
        with pytest.raises(ClientClosedError):
            await work()


async def test_leaving_the_context_ends_what_is_under_way(nuvo_server):
    nuvo_server.add_fault("list", faults.delay(30))
    async with NuvoClient(nuvo_server.access_token, base_url=nuvo_server.base_url) as client:
        listing = asyncio.create_task(client.list_executions())
        await asyncio.sleep(0.05)
    with pytest.raises(ClientClosedError, match="while the call was under way"):
        await listing


def test_a_second_event_loop_is_told_about():
    async def first_use():
        async with NuvoServer() as server, aiohttp.ClientSession() as session:
            client = NuvoClient(server.access_token, base_url=server.base_url, session=session)
            await client.list_executions()
            return client

    client = asyncio.run(first_use())
    for call in (client.list_executions, lambda: client.wait_for_completion("1"), client.close):

        async def use_again(call=call):
            await call()

        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(use_again())


async def test_a_user_timeout_around_a_call_is_the_users(nuvo_server, nuvo_client):
    nuvo_server.add_fault("list", faults.delay(30))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await nuvo_client.list_executions()


@pytest.mark.parametrize("header", ["Authorization", "authorization", "access_token"])
async def test_a_session_with_credentials_of_its_own_is_refused(header):
    """They would go with the exchange of a licence key, too."""
    async with aiohttp.ClientSession(headers={header: "Basic c2VjcmV0"}) as session:
        with pytest.raises(ConfigurationError, match="must have no default header") as caught:
            NuvoClient("t0ken", session=session)
    assert "c2VjcmV0" not in str(caught.value)

"""What goes out, and what does not: a session of the caller's adds nothing, and repeats nothing."""

import asyncio

import aiohttp
import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from nuvo_async import (
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    CreateOutcomeUnknownError,
    RetryPolicy,
    TransportError,
)
from nuvo_async.testing import faults
from tests.conftest import calls
from tests.fronts import listening
from tests.wire.test_create import full_backlog

RETRY = RetryPolicy(max_attempts=3, base_delay=0.01)


@pytest.fixture
def netrc(monkeypatch, tmp_path):
    """Write the user's `.netrc`."""

    def write(text):
        (tmp_path / "netrc").write_text(text)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    return write


@pytest.fixture
def client_with(make_client):
    """Make a client with a session of the caller's own."""

    def make(session, credentials=None, **options):
        return make_client(credentials, session=session, retry=RETRY, **options)

    return make


@pytest.mark.parametrize("entry", ["default", "machine 127.0.0.1"])
async def test_netrc_adds_no_credentials(nuvo_server, client_with, license_key, netrc, entry):
    netrc(f"{entry} login user password pw-of-netrc\n")
    nuvo_server.add_pipeline("orders", duration=0.05)
    async with aiohttp.ClientSession(trust_env=True) as session:
        client = client_with(session, license_key)
        [execution] = await client.run_pipeline("orders")
        assert execution.succeeded
        await client.revoke_token()
    for request in nuvo_server.requests:
        sent = request.headers.get("Authorization")
        if request.call == "token":
            assert sent is None
        else:
            assert sent is not None
            assert sent.startswith("Bearer ")


async def test_a_netrc_that_cannot_be_read_does_no_harm(nuvo_server, client_with, netrc):
    netrc("machine machine machine\n")
    async with aiohttp.ClientSession(trust_env=True) as session:
        assert (await client_with(session).list_executions()).data == ()


@pytest.mark.parametrize("proxy", ["http://user:pw-of-proxy@127.0.0.1:port", "http://[::1"])
async def test_a_proxy_whose_address_is_none_is_a_plain_error(
    nuvo_server, client_with, monkeypatch, proxy
):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    async with aiohttp.ClientSession(trust_env=True) as session:
        client = client_with(session)
        for call in (
            client.create_execution("orders"),
            client.get_execution("1"),
            client.wait_for_completion("1", timeout=5),
        ):
            with pytest.raises(ConfigurationError, match="check the proxy settings") as caught:
                await call
            assert "pw-of-proxy" not in f"{caught.value}{caught.value.__cause__!r}"
    assert nuvo_server.requests == []


async def test_a_header_that_cannot_be_sent_is_a_plain_error(nuvo_server, client_with):
    headers = {"X-Trace": "a\r\nX-Injected: b"}
    async with aiohttp.ClientSession(headers=headers) as session:
        client = client_with(session)
        for call in (client.create_execution("orders"), client.list_executions()):
            with pytest.raises(ConfigurationError, match="headers of the session"):
                await call
    assert nuvo_server.requests == []


async def resend(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """A middleware that tries everything three times, as many do."""
    response: ClientResponse | None = None
    for _ in range(3):
        try:
            async with asyncio.timeout(1):
                response = await handler(request)
        except (aiohttp.ClientError, TimeoutError):
            continue
        if response.ok:
            return response
    if response is None:
        raise aiohttp.ClientConnectionError("three times")
    return response


@pytest.mark.parametrize(
    "fault",
    [faults.cut(acted=True), faults.status(500), faults.delay(5)],
    ids=["cut", "500", "silence"],
)
async def test_no_middleware_sends_a_create_twice(nuvo_server, client_with, fault):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", fault, times=99)
    async with aiohttp.ClientSession(middlewares=(resend,)) as session:
        with pytest.raises(CreateOutcomeUnknownError):
            await client_with(session).create_execution("orders")
    assert calls(nuvo_server) == ["create", "list"]


async def test_a_middleware_may_send_a_read_again(nuvo_server, client_with):
    nuvo_server.add_fault("list", faults.cut(acted=False), times=2)
    async with aiohttp.ClientSession(middlewares=(resend,)) as session:
        await client_with(session).list_executions()
    assert calls(nuvo_server) == ["list"] * 3


async def test_a_create_that_another_middleware_rewrites_is_not_sent_twice(
    nuvo_server, client_with
):
    async def rewrite(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        await request.update_body(b'{"pipeline_id": "orders"}')
        return await handler(request)

    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.cut(acted=True), times=99)
    async with aiohttp.ClientSession(middlewares=(rewrite,)) as session:
        with pytest.raises(CreateOutcomeUnknownError):
            await client_with(session).create_execution("orders")
    assert calls(nuvo_server) == ["create", "list"]


@pytest.mark.parametrize("own", [True, False])
async def test_a_revoke_is_not_sent_twice_over_a_kept_connection(
    nuvo_server, make_client, client_with, own
):
    """By itself, aiohttp does that, and the second would be refused, since the first was not."""
    nuvo_server.add_fault("revoke", faults.cut(acted=True))
    async with aiohttp.ClientSession() as session:
        client = make_client(retry=RETRY) if own else client_with(session)
        await client.list_executions()
        with pytest.raises(TransportError):
            await client.revoke_token()
        assert calls(nuvo_server) == ["list", "revoke"]
        with pytest.raises(AuthenticationError):
            await client.list_executions()


@pytest.mark.parametrize("error", [KeyError, ValueError, RuntimeError])
async def test_a_hook_that_fails_after_a_create_leaves_it_unknown(nuvo_server, client_with, error):
    async def fail(*_):
        raise error("a mistake in a hook")

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(fail)
    nuvo_server.add_pipeline("orders")
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        with pytest.raises(CreateOutcomeUnknownError) as caught:
            await client_with(session).create_execution("orders")
    assert not caught.value.candidates_read  # The hook is in the way of that, too.
    assert calls(nuvo_server).count("create") == 1
    assert "a mistake in a hook" in str(caught.value.__cause__)


@pytest.mark.parametrize("call", ["create", "list"])
async def test_a_hook_that_fails_before_anything_is_sent_is_the_callers_mistake(
    nuvo_server, client_with, call
):
    async def fail(*_):
        raise KeyError("a mistake in a hook")

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(fail)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        client = client_with(session)
        with pytest.raises(KeyError):
            await (
                client.create_execution("orders") if call == "create" else client.list_executions()
            )
    assert nuvo_server.requests == []


async def test_a_session_that_is_closed_under_a_call_is_said_so(nuvo_server, client_with):
    """Then aiohttp cancels what waits for a connection, though nobody has cancelled the call."""
    nuvo_server.add_fault("read", faults.delay(5))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        # Somebody else has the one connection.
        other = asyncio.create_task(session.get(f"{nuvo_server.base_url}execution/1"))
        while not nuvo_server.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        creating = asyncio.create_task(client_with(session).create_execution("orders"))
        await asyncio.sleep(0.05)
    with pytest.raises(ClientClosedError, match="session that the client was given is closed"):
        await creating
    await asyncio.gather(other, return_exceptions=True)
    assert calls(nuvo_server) == ["read"]


async def test_a_create_that_is_cancelled_while_it_connects_was_not_sent(make_client):
    async with full_backlog() as port:
        client = make_client(base_url=f"http://127.0.0.1:{port}/")
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await client.create_execution("orders")
    assert not getattr(caught.value.__cause__, "__notes__", [])


async def test_a_create_is_sent_over_another_connection_where_a_kept_one_is_closing(client_with):
    """What is closed when it is about to be written to has carried nothing."""
    page = b'{"data": [], "pagination": {"total": 0, "offset": 0, "limit": 1}}'
    created = (
        b'{"data": [{"id": "1", "pipeline": "orders", "status": "PROCESSING",'
        b' "trigger_type": "MANUAL"}]}'
    )
    received: list[bytes] = []
    kept: list[asyncio.StreamWriter] = []

    async def handle(reader, writer):
        kept.append(writer)
        while True:
            received.append(await reader.readuntil(b"\r\n\r\n"))
            body = page
            if received[-1].startswith(b"POST"):
                await reader.readuntil(b"}")
                body = created
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def close(*_):
        kept[-1].close()
        await asyncio.sleep(0.1)

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(close)
    async with (
        listening(handle) as port,
        aiohttp.ClientSession(trace_configs=[trace]) as session,
    ):
        client = client_with(session, base_url=f"http://127.0.0.1:{port}/")
        await client.list_executions()
        assert len(await client.create_execution("orders")) == 1
    assert [head[:4] for head in received] == [b"GET ", b"POST"]
    assert len(kept) == 2

"""HTTP proxies, which a session of the caller's own may take from the environment."""

import socket
import ssl
import traceback

import aiohttp
import pytest
import trustme

from nuvo_async import NuvoClient, RetryPolicy, TransportError
from tests.fronts import listening, proxy, tls
from tests.wire.test_tls import port_of, secured, server_context


@pytest.fixture
def environ(monkeypatch):
    """Set a proxy for all addresses, this machine's own included."""

    def set_proxy(address):
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "")
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://{address}")

    return set_proxy


async def test_a_session_may_take_a_proxy_from_the_environment(nuvo_server, environ):
    nuvo_server.add_pipeline("orders", duration=0.1)
    seen: list[str] = []
    async with proxy(seen) as port:
        environ(f"127.0.0.1:{port}")
        async with (
            aiohttp.ClientSession(trust_env=True) as session,
            NuvoClient(
                nuvo_server.access_token, base_url=nuvo_server.base_url, session=session
            ) as client,
        ):
            [execution] = await client.run_pipeline("orders")
    assert execution.succeeded
    assert seen[0] == f"POST {nuvo_server.base_url}execution/"


async def test_through_a_proxy_tls_goes_all_the_way(nuvo_server, environ):
    authority = trustme.CA()
    seen: list[str] = []
    context = server_context(authority, "localhost")
    async with proxy(seen) as proxy_port, tls(port_of(nuvo_server), context) as port:
        environ(f"127.0.0.1:{proxy_port}")
        client_context = ssl.create_default_context()
        authority.configure_trust(client_context)
        connector = aiohttp.TCPConnector(ssl=client_context)
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=True) as session,
            NuvoClient(nuvo_server.access_token, base_url=secured(port), session=session) as client,
        ):
            assert (await client.list_executions()).data == ()
    assert seen == [f"CONNECT localhost:{port}"]


async def create_through(port, environ, *, credentials=""):
    """What comes of a Create behind a proxy that lets nothing through."""
    environ(f"{credentials}127.0.0.1:{port}")
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        NuvoClient(
            "t0ken",
            base_url="https://nuvo.invalid/dp/api/v1/",
            session=session,
            request_timeout=5,
            retry=RetryPolicy(max_attempts=2, base_delay=0.01),
        ) as client,
    ):
        with pytest.raises(TransportError) as caught:
            await client.create_execution("orders")
    assert caught.value.sent_at is None  # So it is no unknown outcome, and was tried again.
    return caught.value


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "the proxy refused to connect (403 Forbidden)"),
        (407, "(407 Proxy Authentication Required); check the proxy settings, and its credentials"),
        (502, "(502 Bad Gateway)"),
        (599, "(599)"),
    ],
)
async def test_a_proxy_that_refuses_is_no_unknown_outcome(environ, status, words):
    seen: list[str] = []
    async with proxy(seen, status=status) as port:
        error = await create_through(port, environ)
    assert words in str(error)
    assert seen == ["CONNECT nuvo.invalid:443"] * 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the connection was closed before an answer came"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the proxy does not answer in HTTP; check the proxy settings"),
        (b"HTTP/1.1 200 OK\r\n\r\nno TLS", "no connection to nuvo.invalid:443"),
    ],
    ids=["silence", "no HTTP", "no TLS"],
)
async def test_a_proxy_that_breaks_off_is_no_unknown_outcome(environ, answer, words):
    asked = 0

    async def handle(reader, writer):
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(answer)
        await writer.drain()

    async with listening(handle) as port:
        error = await create_through(port, environ, credentials="user:pw-of-proxy@")
    assert words in str(error)
    assert asked == 2
    shown = "".join(traceback.format_exception(error)) + f"{error!r}{error.__cause__!r}"
    assert "pw-of-proxy" not in shown
    assert "dXNlcjpwdy1vZi1wcm94eQ" not in shown


async def test_a_proxy_that_is_not_there_is_named(environ):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    error = await create_through(port, environ, credentials="user:pw-of-proxy@")
    assert f"no connection to the proxy at 127.0.0.1:{port} (the connection was refused)" in str(
        error
    )
    assert "pw-of-proxy" not in f"{error}{error.__cause__!r}"


async def test_the_clients_own_session_takes_no_proxy(nuvo_server, nuvo_client, environ):
    seen: list[str] = []
    async with proxy(seen) as port:
        environ(f"127.0.0.1:{port}")
        await nuvo_client.list_executions()
    assert seen == []

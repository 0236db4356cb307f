"""HTTP proxies, which a session of the caller's own may take from the environment."""

import ssl

import aiohttp
import pytest
import trustme

from nuvo_async import NuvoClient, RetryPolicy, TransportError
from tests.fronts import proxy, tls
from tests.wire.test_tls import port_of, secured, server_context


@pytest.fixture
def environ(monkeypatch):
    """Set a proxy for all addresses, this machine's own included."""

    def set_proxy(port):
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "")
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")

    return set_proxy


async def test_a_session_may_take_a_proxy_from_the_environment(nuvo_server, environ):
    nuvo_server.add_pipeline("orders", duration=0.1)
    seen: list[str] = []
    async with proxy(seen) as port:
        environ(port)
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
        environ(proxy_port)
        client_context = ssl.create_default_context()
        authority.configure_trust(client_context)
        connector = aiohttp.TCPConnector(ssl=client_context)
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=True) as session,
            NuvoClient(nuvo_server.access_token, base_url=secured(port), session=session) as client,
        ):
            assert (await client.list_executions()).data == ()
    assert seen == [f"CONNECT localhost:{port}"]


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses_is_no_unknown_outcome(nuvo_server, environ, status):
    seen: list[str] = []
    async with proxy(seen, status=status) as port:
        environ(port)
        async with (
            aiohttp.ClientSession(trust_env=True) as session,
            NuvoClient(
                nuvo_server.access_token,
                base_url="https://nuvo.invalid/dp/api/v1/",
                session=session,
                retry=RetryPolicy(max_attempts=2, base_delay=0.01),
            ) as client,
        ):
            with pytest.raises(TransportError) as caught:
                await client.create_execution("orders")
    assert caught.value.sent_at is None
    assert seen == ["CONNECT nuvo.invalid:443"] * 2


async def test_the_clients_own_session_takes_no_proxy(nuvo_server, nuvo_client, environ):
    seen: list[str] = []
    async with proxy(seen) as port:
        environ(port)
        await nuvo_client.list_executions()
    assert seen == []

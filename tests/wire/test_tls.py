"""TLS for real: certificates of a private authority, right and wrong, and no way around them."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import trustme

from nuvo_async import CreateOutcomeUnknownError, NuvoClient, RetryPolicy, TransportError
from tests.fronts import listening, tls

ONCE = RetryPolicy(max_attempts=2, base_delay=0.01)


def server_context(authority, *names, **options):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, **options).configure_cert(context)
    return context


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
async def trusting_session(authority):
    """A session of the caller's own, which trusts the private authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield session


def port_of(server):
    return int(server.base_url.split(":")[2].split("/")[0])


def secured(port):
    return f"https://localhost:{port}/dp/api/v1/"


async def test_a_certificate_of_an_authority_that_the_session_trusts(
    nuvo_server, authority, trusting_session
):
    nuvo_server.add_pipeline("orders", duration=0.1)
    context = server_context(authority, "localhost")
    async with (
        tls(port_of(nuvo_server), context) as port,
        NuvoClient(
            nuvo_server.access_token, base_url=secured(port), session=trusting_session
        ) as client,
    ):
        [execution] = await client.run_pipeline("orders")
        assert execution.succeeded


CERTIFICATES: dict[str, dict[str, Any]] = {
    "of an authority that nobody trusts": {
        "names": ["localhost"],
        "trusted": False,
        "words": "unable to get local issuer certificate",
    },
    "for another host": {
        "names": ["elsewhere.example"],
        "trusted": True,
        "words": "certificate is not valid for 'localhost'",
    },
    "that has expired": {
        "names": ["localhost"],
        "trusted": True,
        "words": "certificate has expired",
        "not_after": datetime.now(UTC) - timedelta(days=1),
    },
}


@pytest.mark.parametrize("certificate", CERTIFICATES)
async def test_a_wrong_certificate_is_refused_before_anything_is_sent(
    nuvo_server, authority, trusting_session, certificate
):
    options = dict(CERTIFICATES[certificate])
    names, trusted, words = (options.pop(name) for name in ("names", "trusted", "words"))
    context = server_context(authority, *names, **options)
    session = trusting_session if trusted else None
    async with (
        tls(port_of(nuvo_server), context) as port,
        NuvoClient(
            nuvo_server.access_token, base_url=secured(port), session=session, retry=ONCE
        ) as client,
    ):
        for call in (client.list_executions(), client.create_execution("orders")):
            with pytest.raises(TransportError) as caught:
                await call
            assert caught.value.sent_at is None  # So a Create is no unknown outcome.
            assert f"the certificate of localhost:{port} is not valid (" in str(caught.value)
            assert f"{words}); check the base_url, the clock of this machine" in str(caught.value)
    assert nuvo_server.requests == []


async def test_a_server_without_tls_learns_nothing(nuvo_server):
    """There is no way down to clear text: a handshake is all that is sent."""
    received = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read(65536))
        writer.write(b"HTTP/1.1 301 Moved\r\nLocation: http://localhost/\r\n\r\n")
        await writer.drain()

    async with (
        listening(listen) as port,
        NuvoClient(nuvo_server.access_token, base_url=secured(port), retry=ONCE) as client,
    ):
        with pytest.raises(TransportError):
            await client.create_execution("orders")
    assert received
    assert nuvo_server.access_token.encode() not in received
    assert b"HTTP" not in received


async def test_a_connection_that_breaks_after_the_handshake_leaves_a_create_unknown(
    nuvo_server, authority, trusting_session
):
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with (
        listening(hang_up, server_context(authority, "localhost")) as port,
        NuvoClient(
            *(nuvo_server.access_token,),
            base_url=secured(port),
            session=trusting_session,
            retry=ONCE,
        ) as client,
    ):
        with pytest.raises(CreateOutcomeUnknownError):
            await client.create_execution("orders")

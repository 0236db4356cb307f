"""Assembles the parts of this package into the connection of one client."""

import sys

import aiohttp
from attrs import frozen
from yarl import URL

from nuvo_async import arguments
from nuvo_async.models import ConfigurationError
from nuvo_async.wire.api import ExecutionAPI
from nuvo_async.wire.attempts import Dispatcher
from nuvo_async.wire.auth import Authorizer
from nuvo_async.wire.credentials import AccessToken, LicenseKey
from nuvo_async.wire.lifetime import Lifetime
from nuvo_async.wire.redaction import Redactor
from nuvo_async.wire.retry import RetryPolicy
from nuvo_async.wire.throttle import Throttle
from nuvo_async.wire.transport import Transport, checked_base_url

__all__ = ["DEFAULT_BASE_URL", "Connection", "connect"]

DEFAULT_BASE_URL = "https://api-gateway.getnuvo.com/dp/api/v1/"


@frozen
class Connection:
    """One client's connection to the API, for the lifetime of the client."""

    api: ExecutionAPI
    lifetime: Lifetime
    max_concurrency: int
    _transport: Transport

    async def close(self) -> None:
        """End the calls and waits under way, and close the session if the client opened it."""
        lifetime = self.lifetime
        if lifetime.is_inherited or (lifetime.closed and self._transport.is_closed):
            return
        lifetime.bind()
        lifetime.closed = True
        lifetime.end(own=False)
        await self._transport.close()
        # A wait's own callback may close the client. That wait ends last, so that the session is
        # closed completely.
        lifetime.end(own=True)


def connect(
    credentials: str | AccessToken | LicenseKey,
    *,
    base_url: str | URL,
    session: aiohttp.ClientSession | None,
    request_timeout: float,
    retry: RetryPolicy,
    max_concurrency: int,
    max_body_size: int,
) -> Connection:
    """Check the settings of a client, and assemble its connection. Nothing is sent."""
    if isinstance(credentials, str):
        credentials = AccessToken(credentials)
    arguments.instance("credentials", credentials, AccessToken, LicenseKey)
    arguments.instance("retry", retry, RetryPolicy)
    lifetime = Lifetime(has_connections=session is not None)
    redactor = Redactor()
    transport = Transport(
        checked_base_url(base_url),
        session=_checked_session(session),
        request_timeout=arguments.number("request_timeout", request_timeout, positive=True),
        max_body_size=arguments.integer("max_body_size", max_body_size, minimum=1),
        lifetime=lifetime,
        redactor=redactor,
    )
    arguments.integer("max_concurrency", max_concurrency, minimum=1)
    max_concurrency = min(max_concurrency, _connection_limit(session))
    dispatcher = Dispatcher(transport, retry, Throttle(max_concurrency))
    api = ExecutionAPI(Authorizer(credentials, dispatcher, redactor))
    return Connection(api, lifetime, max_concurrency, transport)


def _checked_session(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession | None:
    if session is None:
        return None
    arguments.instance("session", session, aiohttp.ClientSession)
    if session.auth is not None:
        raise ConfigurationError(
            "session must have no auth of its own: the client sets Authorization"
        )
    if own := [name for name in ("Authorization", "access_token") if name in session.headers]:
        raise ConfigurationError(
            f"session must have no default header {' or '.join(own)}: it would be sent with calls"
            " that must not have it"
        )
    return session


def _connection_limit(session: aiohttp.ClientSession | None) -> int:
    """How many connections the session allows. Waiting for one would count as request time."""
    connector = None if session is None else session.connector
    if connector is None:
        return sys.maxsize
    return min(limit or sys.maxsize for limit in (connector.limit, connector.limit_per_host))

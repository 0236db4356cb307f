"""Sends one request over aiohttp, once and safely. Only this file uses `ClientSession` to send."""

import asyncio
import ipaddress
import logging
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from nuvo_async.models import ClientClosedError, ConfigurationError
from nuvo_async.version import __version__
from nuvo_async.wire.credentials import AccessToken
from nuvo_async.wire.diagnosis import Trouble, drop_frames, trouble_of
from nuvo_async.wire.lifetime import Lifetime
from nuvo_async.wire.protocol import Answer, Request
from nuvo_async.wire.redaction import Redactor
from nuvo_async.wire.sending import Body, authorized, is_kept_back, once

__all__ = ["Transport", "checked_base_url"]

_log = logging.getLogger("nuvo_async")
_HEADERS = {"Accept": "application/json", "User-Agent": f"nuvo-async/{__version__}"}


def checked_base_url(base_url: str | URL, name: str = "base_url") -> URL:
    """Return the URL with a trailing slash. Raises `ConfigurationError` if it cannot be used."""
    if not isinstance(base_url, str | URL):
        raise TypeError(f"{name} must be a string or a URL, not {type(base_url).__name__}")
    try:
        url = URL(base_url)
        host = url.host or ""
        host.encode("idna")
    except ValueError as error:
        raise ConfigurationError(f"{name} is not a URL: {error}") from None
    if "%" in host or re.search(r"[\s\x00-\x1f]", str(base_url)):
        raise ConfigurationError(f"{name} must not have blanks or control characters in it")
    if url.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(f"{name} must have the form https://HOST/dp/api/v1/")
    if url.user is not None or url.password is not None:
        raise ConfigurationError(f"{name} must not hold a user or password, which logs would show")
    if url.raw_query_string or url.raw_fragment:
        raise ConfigurationError(f"{name} must not have a query or fragment")
    if url.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(
            f"{name} must be https: http would send the credentials to {host} in clear text"
        )
    return url.with_path(f"{url.raw_path.rstrip('/')}/", encoded=True)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Connector(aiohttp.TCPConnector):
    """Connections that a forked process does not close when it drops its copy of them.

    aiohttp would close them in the forked process. Both processes share the event loop's list of
    sockets, so the loop of the first process would then no longer see events of these sockets.
    """

    def __init__(self) -> None:
        # The connector has no limit. The throttle limits requests before their timeout starts, so
        # that queueing never causes a timeout.
        super().__init__(limit=0)
        self._process = os.getpid()

    # `getpid` is bound here, because modules may be unloaded when the interpreter exits.
    def __del__(self, *args: Any, getpid: Callable[[], int] = os.getpid) -> None:
        if self._process == getpid():
            super().__del__(*args)


class Transport:
    """Sends over one `ClientSession`: its own, made when needed, or one from the caller."""

    def __init__(
        self,
        base_url: URL,
        *,
        session: aiohttp.ClientSession | None,
        request_timeout: float,
        max_body_size: int,
        lifetime: Lifetime,
        redactor: Redactor,
    ) -> None:
        self._base_url = base_url
        self._session = session
        self._owned = session is None
        self._max_body_size = max_body_size
        self._lifetime = lifetime
        self._redactor = redactor
        self._closing: asyncio.Task[None] | None = None
        self._sent_token: AccessToken | None = None
        self._sent_headers: CIMultiDict[str] = CIMultiDict()
        self._sent_with_body: CIMultiDict[str] = CIMultiDict()
        # The connect timeout is a little shorter than the total. So a connection that could not be
        # set up differs from an answer that does not come: only in the first case it is certain
        # that the server received nothing. The threshold prevents aiohttp from rounding up to
        # seconds.
        self._timeout = aiohttp.ClientTimeout(
            total=request_timeout,
            connect=request_timeout - min(0.1 * request_timeout, 1.0),
            ceil_threshold=float("inf"),
        )

    async def send(self, request: Request, token: AccessToken | None) -> Answer | Trouble:
        """Send a request once. Errors are returned, so that the caller can decide to retry."""
        session = self._session
        if session is None or session.closed:
            session = self._open_session()
        body = None if request.body is None else Body(request.body)
        request.sent_at, request.sent_tick = datetime.now(UTC), asyncio.get_running_loop().time()
        outcome: Answer | Trouble | None
        response: aiohttp.ClientResponse | None = None
        try:
            response = await session.request(
                request.method,
                self._url(request),
                data=body,
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                timeout=self._timeout,
                **self._options(session, request, body, token),
            )
            outcome = await self._read(request, response)
        except asyncio.CancelledError as error:
            drop_frames(error)
            if is_kept_back(body, error):
                request.sent_at = None
            self._check_cancellation(session)
            raise
        except Exception as error:
            if is_kept_back(body, error):
                request.sent_at = None
            status = None if response is None else response.status
            outcome = trouble_of(error, request, status, self._timeout, self._redactor)
            if outcome is None:
                raise
        if _log.isEnabledFor(logging.DEBUG):
            shown = outcome.status if isinstance(outcome, Answer) else outcome
            _log.debug("%s %s: %s", request.method, request.path, shown)
        return outcome

    @property
    def is_closed(self) -> bool:
        """Whether nothing is left to close. The client never closes a session from the caller."""
        if not self._owned or self._session is None:
            return True
        return self._closing is not None and self._closing.done()

    async def close(self) -> None:
        """Close the session. If this is cancelled, the next `close` waits for the rest."""
        if self.is_closed or self._session is None:
            return
        if self._closing is None:
            self._closing = asyncio.create_task(self._session.close())
        # A cancellation does not reach the task, because a partial close would leave sockets open.
        # The task ends as soon as the loop has dropped them.
        await asyncio.wait([self._closing])
        self._closing.result()

    def _open_session(self) -> aiohttp.ClientSession:
        self._lifetime.check()
        if self._session is not None:
            raise ClientClosedError("the session that the client was given is closed")
        self._session = aiohttp.ClientSession(
            connector=_Connector(), cookie_jar=aiohttp.DummyCookieJar()
        )
        # By default, aiohttp sends a GET or DELETE again when the connection breaks. This ignores
        # the retry policy, and a Revoke that was carried out would be reported as refused. There is
        # no public option to turn this off; aiohttp's own test client sets the same attribute.
        self._session._retry_connection = False  # noqa: SLF001
        return self._session

    def _check_cancellation(self, session: aiohttp.ClientSession) -> None:
        """Raise `ClientClosedError` if the session was closed and has cancelled the request."""
        task = asyncio.current_task()
        if session.closed and task is not None and not task.cancelling():
            self._open_session()

    def _url(self, request: Request) -> URL:
        base = self._base_url
        if not request.query:
            return base.with_path(base.raw_path + request.path, encoded=True)
        return URL.build(
            scheme=base.scheme,
            authority=base.raw_authority,
            path=base.raw_path + request.path,
            query_string=request.query,
            encoded=True,
        )

    def _options(
        self,
        session: aiohttp.ClientSession,
        request: Request,
        body: Body | None,
        token: AccessToken | None,
    ) -> dict[str, Any]:
        """The headers, and middlewares that stop a session from the caller from changing them."""
        headers = self._headers(request, token)
        if self._owned:
            return {"headers": headers}
        # Middlewares of a request replace those of the session, which have no public attribute.
        middlewares = [*session._middlewares]  # noqa: SLF001
        if session.trust_env:
            headers = headers.copy()
            middlewares.insert(0, authorized(headers.pop("Authorization", None)))
        if not request.repeatable:
            middlewares.append(once(body))
        return {"headers": headers, "middlewares": middlewares}

    def _headers(self, request: Request, token: AccessToken | None) -> CIMultiDict[str]:
        # Headers are built once for each token, in the type of aiohttp: this saves 3 % of a call.
        if token is not self._sent_token or not self._sent_headers:
            self._sent_token = token
            headers = CIMultiDict(_HEADERS)
            if token is not None:
                headers["Authorization"] = f"Bearer {token.token}"
            self._sent_headers = headers
            self._sent_with_body = CIMultiDict({**headers, "Content-Type": "application/json"})
        sent = self._sent_headers if request.body is None else self._sent_with_body
        return CIMultiDict([*sent.items(), *request.headers.items()]) if request.headers else sent

    async def _read(self, request: Request, response: aiohttp.ClientResponse) -> Answer:
        chunks = []
        room = self._max_body_size
        try:
            while room >= 0 and not response.content.at_eof():
                chunk = await response.content.readany()
                chunks.append(chunk[:room])
                room -= len(chunk)
        except (aiohttp.ClientError, OSError):
            if response.status < 300:
                raise
            room = -1  # The status is enough, and the body would only explain it.
        finally:
            if room < 0:
                response.close()
            response.release()
        return Answer(
            request,
            status=response.status,
            headers=response.headers,
            body=b"".join(chunks),
            complete=room >= 0,
            redactor=self._redactor,
        )

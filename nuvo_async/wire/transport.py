"""Sends one request over aiohttp, once, and safely. The only file that knows `ClientSession`."""

import asyncio
import ipaddress
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from nuvo_async.models.errors import (
    ClientClosedError,
    ConfigurationError,
    RequestTimeoutError,
    TransportError,
)
from nuvo_async.version import __version__
from nuvo_async.wire.credentials import AccessToken
from nuvo_async.wire.lifetime import Lifetime
from nuvo_async.wire.protocol import Answer, Request
from nuvo_async.wire.redaction import Redactor

__all__ = ["Transport", "checked_base_url"]

_log = logging.getLogger("nuvo_async")
_HEADERS = {"Accept": "application/json", "User-Agent": f"nuvo-async/{__version__}"}
_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
)


def checked_base_url(base_url: str | URL, name: str = "base_url") -> URL:
    """Return the URL with its trailing slash; `ConfigurationError` if it cannot be used."""
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


class Transport:
    """One `ClientSession`: made when needed and closed with the client, or the caller's own."""

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
        self._request_timeout = request_timeout
        self._max_body_size = max_body_size
        self._lifetime = lifetime
        self._redactor = redactor
        self._sent_token: AccessToken | None = None
        self._sent_headers: CIMultiDict[str] = CIMultiDict()
        self._sent_with_body: CIMultiDict[str] = CIMultiDict()
        # A connection that hangs in the making must end a little before the whole attempt does,
        # to be told apart from an answer that does not come: only then is it known that the
        # server received nothing. The threshold keeps aiohttp from rounding times up to seconds.
        self._timeout = aiohttp.ClientTimeout(
            total=request_timeout,
            connect=request_timeout - min(0.1 * request_timeout, 1.0),
            ceil_threshold=float("inf"),
        )

    async def send(self, request: Request, token: AccessToken | None) -> Answer | TransportError:
        """Send a request once. Returns trouble instead of raising it, to be looked at first."""
        session = self._session
        if session is None or session.closed:
            session = self._open_session()
        sent_at = datetime.now(UTC)
        outcome: Answer | TransportError
        try:
            response = await session.request(
                request.method,
                self._url(request),
                data=request.body,
                headers=self._headers(request, token),
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                timeout=self._timeout,
            )
            try:
                body, complete = await self._read(response)
            finally:
                response.release()
            outcome = Answer(
                request,
                status=response.status,
                headers=response.headers,
                body=body,
                complete=complete,
                sent_at=sent_at,
                redactor=self._redactor,
            )
        except asyncio.CancelledError as error:
            _drop_frames(error)
            raise
        # ValueError is what aiohttp raises for requests that it finds no way to send.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            outcome = self._trouble(request, error, sent_at)
        if _log.isEnabledFor(logging.DEBUG):
            shown = outcome.status if isinstance(outcome, Answer) else outcome
            _log.debug("%s %s: %s", request.method, request.path, shown)
        return outcome

    async def close(self) -> None:
        """Close the session, unless it is the caller's."""
        if self._owned and self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        self._lifetime.check()
        if self._session is not None:
            raise ClientClosedError("the session that the client was given is closed")
        # The connector has no limit of its own: the throttle holds back before a request's time
        # begins to count, so that queueing never ends in a timeout.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )
        # aiohttp by itself sends a GET or DELETE once more when the connection breaks: past the
        # policy, and a Revoke that was carried out would be told as refused. There is no public
        # way to have it leave that to us; its own test client does the same.
        self._session._retry_connection = False  # noqa: SLF001
        return self._session

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

    def _headers(self, request: Request, token: AccessToken | None) -> CIMultiDict[str]:
        # Made once for each token, in the form that aiohttp wants: that is 3 % of a call.
        if token is not self._sent_token or not self._sent_headers:
            self._sent_token = token
            headers = CIMultiDict(_HEADERS)
            if token is not None:
                headers["Authorization"] = f"Bearer {token.token}"
            self._sent_headers = headers
            self._sent_with_body = CIMultiDict({**headers, "Content-Type": "application/json"})
        sent = self._sent_headers if request.body is None else self._sent_with_body
        return CIMultiDict([*sent.items(), *request.headers.items()]) if request.headers else sent

    async def _read(self, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
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
            room = -1  # What came of it is but a comment on the status, which tells enough.
        if room < 0:
            response.close()
        return b"".join(chunks), room >= 0

    def _trouble(self, request: Request, cause: Exception, sent_at: datetime) -> TransportError:
        kind: type[TransportError] = TransportError
        problem = self._redactor.blank(_problem(cause))
        if isinstance(cause, TimeoutError) and not isinstance(cause, aiohttp.ClientConnectorError):
            kind = RequestTimeoutError
            problem = f"not within {self._request_timeout:g} s (request_timeout)"
        trouble = kind(
            problem,
            method=request.method,
            path=request.path,
            sent_at=None if isinstance(cause, _NOT_CONNECTED) else sent_at,
        )
        if not self._shows_secrets(cause):
            _drop_frames(cause)
            trouble.__cause__ = cause
        return trouble

    def _shows_secrets(self, cause: Exception) -> bool:
        # aiohttp's response errors show the request's headers, others what the server sent.
        shown = "".join(f"{link}{link!r}" for link in _chain(cause))
        return (
            isinstance(cause, aiohttp.ClientResponseError) or self._redactor.blank(shown) != shown
        )


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _drop_frames(error: BaseException) -> None:
    """Forget the frames so far: their variables hold the token, and some tools show variables."""
    for link in _chain(error):
        link.__traceback__ = None


def _problem(cause: Exception) -> str:
    # The text of a response error may be what the server sent, cut in the middle of a secret.
    if isinstance(cause, aiohttp.ClientResponseError) or not str(cause):
        return type(cause).__name__
    return f"{type(cause).__name__}: {cause}"

"""Detects outages of the API in the command's own session.

This is an aiohttp middleware, because the library only logs each failed attempt, and has no hook
for the beginning and end of an outage.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from http import HTTPStatus

import aiohttp
from attrs import define, field, frozen

from nuvo_async.cli.batch import now
from nuvo_async.cli.rows import clean, seconds

__all__ = ["Contact", "Outage"]

_FAILING_FOR = 2.0  # Seconds: a single failed attempt is not an outage.
_SILENT_FOR = 5.0  # Seconds: an answer may take a while.
_LOOKED_AT_EVERY = 0.5


@frozen
class Outage:
    """An outage: the API has served no request for some seconds, for this reason."""

    lasts: float
    reason: str

    def __str__(self) -> str:
        return f"API unavailable for {seconds(self.lasts)}: {self.reason}; still trying"


@define(eq=False)
class Contact:
    """Observes each attempt at a request, and records since when no request was served."""

    _under_way: dict[aiohttp.ClientRequest, float] = field(init=False, factory=dict)
    _served_at: float = field(init=False, default=float("-inf"))
    _failing_since: float | None = field(init=False, default=None)
    _reason: str = field(init=False, default="")

    def outage(self) -> Outage | None:
        """The current outage, or `None` if requests have not failed for long enough."""
        moment = now()
        if self._failing_since is not None:
            lasts = moment - self._failing_since
            return Outage(lasts, self._reason) if lasts >= _FAILING_FOR else None
        oldest = min(self._under_way.values(), default=moment)
        silence = moment - max(oldest, self._served_at)
        return Outage(silence, "no answer yet") if silence >= _SILENT_FOR else None

    async def report(self, say: Callable[[str], object]) -> None:
        """Report when an outage begins, and when it is over."""
        reported: Outage | None = None
        try:
            while True:
                await asyncio.sleep(_LOOKED_AT_EVERY)
                reported = self._report(reported, say)
        finally:  # The first answer after an outage may end the command.
            self._report(reported, say)

    def _report(self, reported: Outage | None, say: Callable[[str], object]) -> Outage | None:
        latest = self.outage()
        if latest is not None and reported is None:
            say(str(latest))
        if latest is None and reported is not None:
            say(f"API available again, after {seconds(reported.lasts)}")
        return latest

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Pass on a request. The signature is the one of aiohttp's middlewares."""
        began = self._under_way[request] = now()
        try:
            response = await handler(request)
        except (aiohttp.ClientError, OSError) as error:
            self._fail(began, _reason_of(error))
            raise
        finally:
            del self._under_way[request]
        if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= 500:
            self._fail(began, f"{response.status} {clean(response.reason or '')}".rstrip())
        else:
            self._served_at, self._failing_since = now(), None
        return response

    def _fail(self, began: float, reason: str) -> None:
        if self._failing_since is None:
            self._failing_since = max(began, self._served_at)
        self._reason = reason


def _reason_of(error: Exception) -> str:
    # The text of a response error is never used, because it shows data from the server.
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, socket.gaierror) or cause.errno is None:
            return clean(cause.strerror or cause)
        return os.strerror(cause.errno)  # aiohttp's own text names the address instead.
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answers {error.status}"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no secure connection"
    return "no answer in time" if isinstance(error, TimeoutError) else "the connection broke"

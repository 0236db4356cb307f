"""Sends a request until its answer is final: throttle, attempts and the delays between them."""

import asyncio
import logging
from collections.abc import Iterator

from nuvo_async.models import ConfigurationError, NuvoError
from nuvo_async.wire import protocol
from nuvo_async.wire.credentials import AccessToken
from nuvo_async.wire.diagnosis import Trouble
from nuvo_async.wire.protocol import Answer, Request
from nuvo_async.wire.retry import RetryPolicy
from nuvo_async.wire.throttle import Throttle
from nuvo_async.wire.transport import Transport

__all__ = ["Dispatcher"]

_log = logging.getLogger("nuvo_async")
_REPEATED_ALWAYS = {429, 503}
_REPEATED_IF_REPEATABLE = {408, 500, 502, 504}


class Dispatcher:
    """Tries a request again where the `RetryPolicy` and the kind of request allow it."""

    def __init__(self, transport: Transport, retry: RetryPolicy, throttle: Throttle) -> None:
        self._transport = transport
        self._retry = retry
        self._throttle = throttle

    async def send(self, request: Request, token: AccessToken | None) -> Answer:
        """Return the last attempt's answer, with any status, or raise the last attempt's error."""
        delays: Iterator[float] | None = None
        trouble: NuvoError | None = None
        attempt = 1
        try:
            while True:
                if (entered := self._throttle.enter_at_once()) is None:
                    entered = await self._throttle.enter()
                try:
                    if request.hooks.before_sending is not None:
                        await request.hooks.before_sending(request)
                        entered = await self._throttle.sit_out()
                    outcome = await self._transport.send(request, token)
                    if isinstance(outcome, Answer) and outcome.status < 400:
                        self._throttle.relax()
                        return outcome
                    delays = delays or self._retry.delays()
                    # A pause that the server asks for begins before the next request gets a slot.
                    delay = self._next_delay(request, outcome, delays, entered)
                finally:
                    self._throttle.leave()
                if delay is None or attempt == self._retry.max_attempts:
                    return _final(outcome)
                attempt += 1
                request.sent_at = None
                trouble = _trouble(outcome)
                _log.info("%s; attempt %d follows in %.2f s", trouble, attempt, delay)
                if request.hooks.on_trouble is not None:
                    request.hooks.on_trouble(trouble)
                await asyncio.sleep(delay)
        except asyncio.CancelledError as cancelled:
            # The cause shows the caller why the call had no answer yet.
            raise cancelled from trouble

    def _next_delay(
        self,
        request: Request,
        outcome: Answer | Trouble,
        delays: Iterator[float],
        entered: float,
    ) -> float | None:
        if not isinstance(outcome, Answer):
            return next(delays) if _may_pass(request, outcome) else None
        wanted = protocol.retry_after(outcome)
        too_long = wanted is not None and wanted > self._retry.max_retry_after
        backoff = next(delays)
        delay = backoff if too_long else wanted or backoff
        if outcome.status == 429 or (outcome.status == 503 and wanted):
            self._throttle.pause(delay, entered=entered)
        else:
            self._throttle.relax()
        return None if too_long or not _may_pass(request, outcome) else delay


def _final(outcome: Answer | Trouble) -> Answer:
    if not isinstance(outcome, Answer):
        raise outcome
    return outcome


def _trouble(outcome: Answer | Trouble) -> NuvoError:
    return protocol.error_of(outcome) if isinstance(outcome, Answer) else outcome


def _may_pass(request: Request, outcome: Answer | Trouble) -> bool:
    """Whether the error may be temporary, and the request may be sent again."""
    if isinstance(outcome, ConfigurationError):
        return False
    if not isinstance(outcome, Answer):
        return request.repeatable or not request.in_doubt
    return outcome.status in _REPEATED_ALWAYS or (
        request.repeatable and outcome.status in _REPEATED_IF_REPEATABLE
    )

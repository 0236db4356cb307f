"""Sends a request until it has an answer to go by: throttle, attempts and the delays between."""

import asyncio
import logging

from nuvo_async import protocol
from nuvo_async.credentials import AccessToken
from nuvo_async.errors import TransportError
from nuvo_async.protocol import Answer, Request
from nuvo_async.retry import RetryPolicy
from nuvo_async.throttle import Throttle
from nuvo_async.transport import Transport

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
        """Return the last attempt's answer, whatever its status; raise its `TransportError`."""
        delays = self._retry.delays()
        attempt = 1
        outcome = await self._attempt(request, token)
        while _may_pass(request, outcome):
            delay = self._delay(outcome, next(delays))
            if delay is None or attempt == self._retry.max_attempts:
                break
            attempt += 1
            trouble = outcome if isinstance(outcome, TransportError) else protocol.error_of(outcome)
            _log.info("%s; attempt %d follows in %.2f s", trouble, attempt, delay)
            try:
                await asyncio.sleep(delay)
                outcome = await self._attempt(request, token)
            except asyncio.CancelledError as cancelled:
                # Whoever cuts the call short can tell what has kept it from an answer.
                raise cancelled from trouble
        if isinstance(outcome, TransportError):
            raise outcome
        return outcome

    async def _attempt(
        self, request: Request, token: AccessToken | None
    ) -> Answer | TransportError:
        async with self._throttle.slot():
            if request.on_sent is not None:
                request.on_sent()
            return await self._transport.send(request, token)

    def _delay(self, outcome: Answer | TransportError, backoff: float) -> float | None:
        """Decide how long to wait; `None` if the server wants longer than the policy allows."""
        if isinstance(outcome, TransportError):
            return backoff
        wanted = protocol.retry_after(outcome)
        too_long = wanted is not None and wanted > self._retry.max_retry_after
        delay = backoff if too_long else wanted or backoff
        if outcome.status == 429 or (outcome.status == 503 and wanted):
            self._throttle.pause(delay)
        return None if too_long else delay


def _may_pass(request: Request, outcome: Answer | TransportError) -> bool:
    """Whether the trouble may pass, and the request may be sent again."""
    if isinstance(outcome, TransportError):
        return request.repeatable or outcome.sent_at is None
    return outcome.status in _REPEATED_ALWAYS or (
        request.repeatable and outcome.status in _REPEATED_IF_REPEATABLE
    )

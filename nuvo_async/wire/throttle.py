"""Limits the requests in flight, and adapts the limit to the server's refusals."""

import asyncio
import logging
from collections import deque

__all__ = ["Throttle"]

_log = logging.getLogger("nuvo_async")


class Throttle:
    """Limits the requests of one client.

    At most `max_concurrency` requests are in flight. When the server asks for less, all requests
    pause. After that the limit is half of what was in flight, and grows by one for each round of
    answers (additive increase, multiplicative decrease).
    """

    def __init__(self, max_concurrency: int) -> None:
        self._most = max_concurrency
        self._room = float(max_concurrency)
        self._in_flight = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._resume_at = self._tuned_at = float("-inf")

    def enter_at_once(self) -> float | None:
        """Take a slot if one is free, and return the time by the loop's clock; else `None`."""
        now = asyncio.get_running_loop().time()
        if self._queue or not self._has_room(now):
            return None
        self._in_flight += 1
        return now

    async def enter(self) -> float:
        """Wait for a slot, and for the end of a pause; return the time at which it was taken.

        The caller must then call `leave`.
        """
        if (entered := self.enter_at_once()) is not None:
            return entered
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._queue.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # It was admitted at the same moment.
                self.leave()
            raise
        return loop.time()

    def leave(self) -> None:
        """Release the slot to the next request in the queue."""
        self._in_flight -= 1
        if self._queue:
            self._admit()

    def _has_room(self, now: float) -> bool:
        return self._in_flight < int(self._room) and now >= self._resume_at

    def _admit(self) -> None:
        while self._queue and self._has_room(asyncio.get_running_loop().time()):
            turn = self._queue.popleft()
            if not turn.done():  # The waiting task may have been cancelled.
                self._in_flight += 1
                turn.set_result(None)

    def pause(self, seconds: float, *, entered: float) -> None:
        """Send nothing for that long, and then less: the server refused a request.

        `entered` is when that request took its slot. A pause is never shortened. The limit is not
        lowered again for a request that was sent before it was last lowered, so many refusals at
        once count as one.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if entered > self._tuned_at:
            self._tuned_at = now
            self._room = float(max(1, min(int(self._room), self._in_flight) // 2))
            _log.info(
                "the server asks for less: %d of %d at once from now on",
                int(self._room),
                self._most,
            )
        if now + seconds > self._resume_at:
            self._resume_at = now + seconds
            loop.call_at(self._resume_at, self._resume, self._resume_at)
            _log.info("the server asks for less: nothing is sent for %.2f s", seconds)

    def _resume(self, planned: float) -> None:
        # The clock is not checked: timers have the resolution of the system's ticks, and may fire
        # a little early.
        if self._resume_at == planned:
            self._resume_at = float("-inf")
            self._admit()

    async def sit_out(self) -> float:
        """Wait for the end of a pause that began after `enter`; return the time after the wait."""
        loop = asyncio.get_running_loop()
        # The pause may have been extended meanwhile.
        while (left := self._resume_at - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
        return loop.time()

    def relax(self) -> None:
        """Raise the limit, because the server has answered."""
        if self._room == self._most:
            return
        before = int(self._room)
        self._room = min(self._room + 1 / before, float(self._most))
        if int(self._room) > before:
            _log.debug("the server keeps up: %d of %d at once", int(self._room), self._most)
            self._admit()

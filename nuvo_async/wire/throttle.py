"""How much is sent at once: the requests in flight, tuned by what the server refuses."""

import asyncio
import logging
from collections import deque

__all__ = ["Throttle"]

_log = logging.getLogger("nuvo_async")


class Throttle:
    """Holds back the requests of one client.

    At most `max_concurrency` are in flight. When the server asks for less, all of them pause, and
    then fewer are let through: half of what was in flight, and one more for each round of answers
    (additive increase, multiplicative decrease).
    """

    def __init__(self, max_concurrency: int) -> None:
        self._most = max_concurrency
        self._room = float(max_concurrency)
        self._in_flight = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._resume_at = self._tuned_at = float("-inf")

    def enter_at_once(self) -> float | None:
        """Take a place if there is one; return when that was, by the loop's clock."""
        now = asyncio.get_running_loop().time()
        if self._queue or not self._has_room(now):
            return None
        self._in_flight += 1
        return now

    async def enter(self) -> float:
        """Wait for a place, and for the end of a pause; return when that was.

        Whoever has entered must `leave`.
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
            if not turn.cancelled():  # It was admitted at that very moment.
                self.leave()
            raise
        return loop.time()

    def leave(self) -> None:
        """Give the place to the next in the queue."""
        self._in_flight -= 1
        if self._queue:
            self._admit()

    def _has_room(self, now: float) -> bool:
        return self._in_flight < int(self._room) and now >= self._resume_at

    def _admit(self) -> None:
        while self._queue and self._has_room(asyncio.get_running_loop().time()):
            turn = self._queue.popleft()
            if not turn.done():  # Whoever waited for it may have been cancelled.
                self._in_flight += 1
                turn.set_result(None)

    def pause(self, seconds: float, *, entered: float) -> None:
        """Send nothing for that long, and then less: the server refused what `entered` then.

        A pause under way is never shortened. What was sent before the last tuning tells nothing of
        it, so many refusals at once count as one.
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
        # By the clock it may be a little too early: timers are as exact as the system's ticks.
        if self._resume_at == planned:
            self._resume_at = float("-inf")
            self._admit()

    async def sit_out(self) -> float:
        """Wait for the end of a pause that began after entering; return when that was."""
        loop = asyncio.get_running_loop()
        # It may have been made longer meanwhile.
        while (left := self._resume_at - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
        return loop.time()

    def relax(self) -> None:
        """Let more through: the server has answered."""
        if self._room == self._most:
            return
        before = int(self._room)
        self._room = min(self._room + 1 / before, float(self._most))
        if int(self._room) > before:
            _log.debug("the server keeps up: %d of %d at once", int(self._room), self._most)
            self._admit()

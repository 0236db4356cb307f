"""The reading of a listing in progress: its requests, and how far they are."""

from collections import deque
from collections.abc import Iterable

from attrs import define, field

from nuvo_async.waiting.effects import ReadIds, ReadPage
from nuvo_async.waiting.state import State

__all__ = ["MOST_AT_ONCE", "Sweep"]

MOST_AT_ONCE = 16
# Seconds without an answer, after which Read by ID is used to check that the server answers.
_LATE = 5.0


@define(eq=False)
class Sweep:
    """The reading in progress, or the last one. Times are on the loop's clock.

    `is_covering` says that the pages of the change feed were read, and that what they have not
    shown is being read by ids. `is_complete` says that every execution was asked for. `found` is
    how many executions the last `pages` have shown that no listing had shown before.
    """

    state: State
    began: float = float("-inf")
    is_covering: bool = False
    is_complete: bool = False
    found: int = 0
    pages: int = 1
    _queue: "deque[ReadIds | ReadPage]" = field(factory=deque)
    _asked: set[int] = field(factory=set)

    @property
    def is_under_way(self) -> bool:
        """Whether requests are queued or in flight."""
        return bool(self._queue or self._asked)

    def begin(self, now: float, requests: Iterable[ReadIds | ReadPage]) -> None:
        """Begin another reading."""
        self.began = now
        self.is_covering, self.is_complete = False, True
        self.found, self.pages = 0, 1
        self._queue.extend(requests)

    def add(self, requests: Iterable[ReadIds | ReadPage]) -> None:
        """Add requests to the reading."""
        self._queue.extend(requests)

    def send(self) -> None:
        """Send queued requests, up to the limit."""
        while self._queue and len(self._asked) < MOST_AT_ONCE:
            self._asked.add(self.state.ask(self._queue.popleft()))

    def close(self, number: int) -> bool:
        """Record that a request has ended. Return whether it belongs to this reading."""
        is_own = number in self._asked
        self._asked.discard(number)
        return is_own

    def abort(self, now: float) -> None:
        """Cancel the reading. The next one begins after a full interval."""
        if self.is_under_way:
            self.began = now
        self._queue.clear()
        for number in self._asked:
            self.state.give_up(number)
        self._asked.clear()

    def late_at(self) -> list[float]:
        """Return when each request without an answer counts as late."""
        sent = (self.state.tickets[number].sent_at for number in self._asked)
        return [at + _LATE for at in sent if at is not None]

    def is_late(self, now: float) -> bool:
        """Whether a request has had no answer for too long."""
        return any(at < now for at in self.late_at())

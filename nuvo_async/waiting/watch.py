"""What is known about each awaited execution, and when something is due for it."""

import heapq
from datetime import datetime
from itertools import count

from attrs import define, field, frozen

from nuvo_async.models import Execution, NuvoError
from nuvo_async.waiting.contact import Contact
from nuvo_async.waiting.wait import Wait

__all__ = ["LISTED", "Due", "Listed", "Reading", "Schedule", "Watch"]

_NEVER = float("inf")


@frozen
class Due:
    """The execution is read by its id at that time, unless a listing shows it first.

    It is `urgent` if a listing cannot settle its state.
    """

    at: float
    urgent: bool = False


@frozen
class Listed:
    """The state is known, and the listing will show the next change."""


@frozen
class Reading:
    """The execution is being read by its id. `before` is its standing afterwards, by default."""

    number: int
    before: Due | Listed


LISTED = Listed()


@define(eq=False)
class Watch:
    """One execution, and the waits for it.

    `updated_at` is that of the newest state that was read, `told_at` when a state was last told;
    `wake` is its place in the schedule; `refusal` is the 404 that was tolerated last;
    `unshown` tells that a listing was asked for it by id, and did not show it.
    """

    execution_id: str
    waits: list[Wait] = field(factory=list)
    standing: Due | Listed | Reading = Due(0.0)
    updated_at: datetime | None = None
    told_at: float = -_NEVER
    contact: Contact | None = None
    refusal: NuvoError | None = None
    wake: float = _NEVER
    unshown: bool = False

    @property
    def settled(self) -> Due | Listed:
        """The standing without a reading in progress."""
        return self.standing.before if isinstance(self.standing, Reading) else self.standing

    def delay(self, now: float, dice: float) -> float:
        """Return the seconds until the next poll by id, for the most eager wait."""
        return min(wait.policy.delay(now - wait.started, dice) for wait in self.waits)

    def is_older(self, execution: Execution) -> bool:
        """Whether a newer state than this one is known."""
        if self.updated_at is None or execution.updated_at is None:
            return False
        return execution.updated_at < self.updated_at

    def next_wake(self, now: float, *, is_queued: bool) -> float:
        """Return when something is due for it, apart from a reading that `is_queued`."""
        moments = [wait.last_look_at for wait in self.waits]
        if self.contact is not None:
            moments += [
                self.contact.outage_at(wait.started, wait.policy.max_outage)
                for wait in self.waits
                if wait.deadline is None
            ]
        moments = [at for at in moments if at > now]
        if isinstance(self.standing, Due) and not is_queued:
            moments.append(self.standing.at)
        return min(moments, default=_NEVER)


class Schedule:
    """A heap of watches by when something is due. A watch that moves leaves an old entry behind."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Watch]] = []
        self._ties = count()

    def put(self, watch: Watch, when: float) -> None:
        """Schedule a watch for that time only."""
        if watch.wake != when:
            watch.wake = when
            if when != _NEVER:
                heapq.heappush(self._heap, (when, next(self._ties), watch))

    def first(self) -> float:
        """Return the time of the first watch."""
        while self._heap and self._heap[0][0] != self._heap[0][2].wake:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else _NEVER

    def pop(self) -> Watch:
        """Remove and return the watch that `first` has found."""
        watch = heapq.heappop(self._heap)[2]
        watch.wake = _NEVER
        return watch

    def tidy(self, alive: int) -> None:
        """Drop old entries once they are in the majority."""
        if len(self._heap) > 4 * alive + 64:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].wake]
            heapq.heapify(self._heap)

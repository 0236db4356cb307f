"""What is known of each execution that is waited for, and when something is due for it."""

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
    """It is to be read by its id at that time, unless a listing shows it before.

    It is `urgent` where a listing cannot tell what became of it.
    """

    at: float
    urgent: bool = False


@frozen
class Listed:
    """Its state is known, and the listing will show what becomes of it."""


@frozen
class Reading:
    """It is being read by its id; `before` is its standing if the answer tells nothing."""

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
        """The standing, apart from a reading under way."""
        return self.standing.before if isinstance(self.standing, Reading) else self.standing

    def delay(self, now: float, dice: float) -> float:
        """Return the seconds until the next poll by id: the most eager wait decides."""
        return min(wait.policy.delay(now - wait.started, dice) for wait in self.waits)

    def is_older(self, execution: Execution) -> bool:
        """Whether a newer state than this one is known."""
        if self.updated_at is None or execution.updated_at is None:
            return False
        return execution.updated_at < self.updated_at

    def next_wake(self, now: float, *, is_queued: bool) -> float:
        """Return when something is to be decided for it; `is_queued` where its reading is."""
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
    """The watches by when something is due. A watch that moves leaves an old entry behind."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Watch]] = []
        self._ties = count()

    def put(self, watch: Watch, when: float) -> None:
        """Have a watch come up at that time, and at no other."""
        if watch.wake != when:
            watch.wake = when
            if when != _NEVER:
                heapq.heappush(self._heap, (when, next(self._ties), watch))

    def first(self) -> float:
        """Return when the first watch comes up."""
        while self._heap and self._heap[0][0] != self._heap[0][2].wake:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else _NEVER

    def pop(self) -> Watch:
        """Take out the watch that `first` has found."""
        watch = heapq.heappop(self._heap)[2]
        watch.wake = _NEVER
        return watch

    def tidy(self, alive: int) -> None:
        """Drop old entries once they are most of what there is."""
        if len(self._heap) > 4 * alive + 64:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].wake]
            heapq.heapify(self._heap)

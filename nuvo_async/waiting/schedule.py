"""Which execution is to be read by its id next, and when."""

import asyncio
import heapq
from datetime import datetime
from itertools import count

from attrs import define, field

from nuvo_async.waiting.wait import Wait

__all__ = ["Schedule", "Watch"]


@define(eq=False)
class Watch:
    """One execution that is waited for, by one or more waits. Times are the loop's.

    It is to be read by its id when it is `due`, and at the latest at `read_by`, whatever listings
    show; `scheduled` is its place in the schedule. `must_be_read` tells that only Read by ID can
    say what became of it, `asked_at` when the `reading` under way was sent, and `silent_from` since
    when there has been no answer. `updated_at` is that of the newest state that was read,
    `listed_by` the listing that has shown it, and `before` what that listing had reached when the
    watch began.
    """

    execution_id: str
    waits: list[Wait] = field(factory=list)
    due: float = 0.0
    read_by: float = float("inf")
    scheduled: float | None = None
    must_be_read: bool = False
    reading: asyncio.Task[int] | None = None
    asked_at: float = 0.0
    silent_from: float | None = None
    updated_at: datetime | None = None
    before: datetime | None = None
    listed_by: object = None

    def delay(self, now: float) -> float:
        """Return the seconds until the next poll: the most eager of the waits sets the pace."""
        return min(wait.options.policy.delay(now - wait.started) for wait in self.waits)


class Schedule:
    """A heap of watches by when they are due. One that was put anew leaves an old entry behind."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Watch]] = []
        self._ties = count()

    def put(self, watch: Watch) -> None:
        """Have a watch come up when it is due, and at no other time."""
        if watch.scheduled != watch.due:
            watch.scheduled = watch.due
            heapq.heappush(self._heap, (watch.due, next(self._ties), watch))

    def first(self) -> Watch | None:
        """Return the watch that is due first."""
        while self._heap and not _is_valid(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None

    def pop(self) -> None:
        """Take out the first."""
        _, _, watch = heapq.heappop(self._heap)
        watch.scheduled = None

    def tidy(self, alive: int) -> None:
        """Drop what is left of old entries once they are most of what there is."""
        if len(self._heap) > 4 * alive + 64:
            self._heap = [entry for entry in self._heap if _is_valid(*entry)]
            heapq.heapify(self._heap)


def _is_valid(due: float, _: int, watch: Watch) -> bool:
    return bool(watch.waits) and watch.scheduled == due

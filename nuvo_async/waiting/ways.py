"""The two ways to read many executions at once: by ids, and from a feed of changes.

| way | request | costs for n executions | of no use where |
| --- | --- | --- | --- |
| by ids | `filters[id][$in]` | n / 50 | the server ignores the filter |
| change feed | `sort[updated_at]=desc` | 1 + changes / 100 | it is not sorted, or dates are wrong |
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from math import ceil
from urllib.parse import quote

from attrs import define, field

from nuvo_async.models import States
from nuvo_async.waiting.contact import Contact
from nuvo_async.waiting.effects import ReadIds, ReadPage
from nuvo_async.waiting.trust import Trust

__all__ = ["ByIds", "ChangeFeed", "Unfit", "Way"]

_PAGE_SIZE = 100
_MOST_IDS = 50
# The bytes that an id adds to a URL beside its own, and the limit for all: servers accept 4,000.
_BYTES_BESIDE_AN_ID = 40
_MOST_BYTES = 3_600
# Changes can become visible out of order. This many known entries are read again each time.
_OVERLAP = 10
_WEIGHT_OF_NEWS = 0.2


class Unfit(Exception):  # noqa: N818 - it ends the use of a way, and no wait
    """The answer cannot be used; the text says why."""


@define(eq=False)
class ByIds:
    """Read all, filtered by ids."""

    trust: Trust = field(factory=lambda: Trust("by ids"))
    contact: Contact = field(factory=Contact)
    size: int = _MOST_IDS

    def cost(self, watches: int, _: float = 0.0) -> float:
        """Return the requests that it takes to read so many executions."""
        return ceil(watches / self.size)

    def requests(self, ids: Iterable[str]) -> Iterator[ReadIds]:
        """Split ids into requests whose URLs are short enough for every server."""
        chunk: list[str] = []
        taken = 0
        for one in ids:
            bytes_ = len(quote(one, safe="")) + _BYTES_BESIDE_AN_ID
            if chunk and (len(chunk) >= self.size or taken + bytes_ > _MOST_BYTES):
                yield ReadIds(tuple(chunk))
                chunk, taken = [], 0
            chunk.append(one)
            taken += bytes_
        if chunk:
            yield ReadIds(tuple(chunk))

    def missing(self, request: ReadIds, states: States) -> list[str]:
        """Return the ids that were asked for and not shown. Raises `Unfit`."""
        shown = {one.id for one in states.executions}
        if not shown.issubset(request.ids) or states.count > len(request.ids):
            raise Unfit("it shows ids that were not asked for: the filter is ignored")
        if states.count < len(request.ids) and states.count >= states.limit > 0:
            self.size = states.limit  # The server's pages hold no more.
            return []
        return [one for one in request.ids if one not in shown]


@define(eq=False)
class ChangeFeed:
    """Read all, sorted by `updated_at`: read until what was known at the last reading.

    `mark` is the newest date that the last reading has shown, `floor` the oldest of all. What was
    read since the first reading began, at `covered_since`, is known: a change of it will be shown.
    """

    trust: Trust = field(factory=lambda: Trust("change feed"))
    contact: Contact = field(factory=Contact)
    mark: datetime | None = None
    floor: datetime | None = None
    covered_since: float = float("inf")
    _mark_before: datetime | None = None
    _changes_per_second: float = 0.0
    _read_at: float = float("-inf")
    _newest: datetime | None = None
    _known: int = 0
    _changed: int = 0
    _pages: int = 0
    _limit: int = _PAGE_SIZE
    _is_whole: bool = False

    def cost(self, _: int, interval: float) -> float:
        """Return the requests that a reading takes, estimated from earlier readings."""
        return 1 + self._changes_per_second * interval / self._limit

    def start_over(self) -> None:
        """Forget earlier readings, after a time without them."""
        self.mark = self.floor = self._mark_before = None
        self.covered_since = float("inf")

    def begin(self, now: float) -> ReadPage:
        """Begin a reading with its first page."""
        self.covered_since = min(self.covered_since, now)
        self._newest = None
        self._known = self._changed = self._pages = 0
        self._is_whole = False
        return ReadPage(0, _PAGE_SIZE)

    def take(self, states: States) -> None:
        """Process a page. Raises `Unfit`."""
        moments = [one.updated_at for one in states.executions if one.updated_at is not None]
        if len(moments) < len(states.executions):
            raise Unfit("there are executions without updated_at")
        if any(later > earlier for earlier, later in pairwise(moments)):
            raise Unfit("it is not sorted by updated_at")
        self._pages += 1
        if moments:
            self._newest = max(moments[0], self._newest or moments[0])
            self.floor = min(moments[-1], self.floor or moments[-1])
        known = sum(moment < self.mark for moment in moments) if self.mark else 0
        self._known += known
        self._changed += len(moments) - known
        if states.limit > 0:
            self._limit = min(states.limit, _PAGE_SIZE)
        self._is_whole |= states.count < self._limit

    def next_pages(self, *, most: int, at_once: int, is_worth_it: bool) -> list[ReadPage]:
        """Return the pages to read next, after all pages so far. Raises `Unfit`.

        The first reading has no mark to stop at. It continues while it `is_worth_it`.
        """
        is_known = not is_worth_it if self.mark is None else self._known >= _OVERLAP
        if self._is_whole or is_known:
            return []
        if self._pages >= most:
            raise Unfit(f"it takes more than {most} pages")
        size = min(self._pages + 1, at_once, most - self._pages)
        return [ReadPage((self._pages + n) * self._limit, _PAGE_SIZE) for n in range(size)]

    def finish(self, began: float) -> None:
        """End a reading, and remember how far it went."""
        self._mark_before, self.mark = self.mark, self._newest or self.mark
        if self._mark_before is not None and began > self._read_at:
            news = self._changed / (began - self._read_at) - self._changes_per_second
            self._changes_per_second += _WEIGHT_OF_NEWS * news
        self._read_at = began

    def hides(self, moment: datetime | None) -> bool:
        """Whether the feed should have shown a state of this date. It has not."""
        if moment is None or self.mark is None or self.floor is None:
            return moment is None
        return self.floor <= moment < self.mark

    def is_undated(self, end: datetime | None, before: datetime | None) -> bool:
        """Whether an end still has the date of the state before it, although time has passed."""
        if end is None or self._mark_before is None:
            return False
        return end == before and end < self._mark_before


Way = ByIds | ChangeFeed

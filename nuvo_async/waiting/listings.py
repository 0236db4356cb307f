"""The ways to learn of many executions at once from Read all, and what each can be trusted with."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import pairwise

from attrs import define, field

from nuvo_async.models.executions import Execution, ExecutionPage
from nuvo_async.waiting.groups import together
from nuvo_async.wire.pages import limit_in_force
from nuvo_async.wire.query import list_query

__all__ = ["ChangeFeed", "Listing", "ListingUnfit", "ProcessingPages", "Sweep"]

ReadPage = Callable[[str], Awaitable[ExecutionPage]]
Wanted = Callable[[str], bool]

_PAGE_SIZE = 100
_MOST_AT_ONCE = 16
# Changes can become visible in another order than they happened in: so many entries that were
# there at the last sweep are looked at once more.
_OVERLAP = 10
# What may be spent on pages that show nothing new, as a share of what single reads would cost.
_STAKE = 0.05
_EVER = datetime.min.replace(tzinfo=UTC)


class ListingUnfit(Exception):  # noqa: N818 - no error: another way is taken
    """What the server showed does not allow to go by it; the text says why."""


@define
class Sweep:
    """What one reading of a listing showed of the executions that were asked about.

    `gone` are the ids that the last sweep showed, and this one no longer.
    """

    shown: dict[str, Execution] = field(factory=dict)
    gone: Collection[str] = ()
    pages: int = 0


class ChangeFeed:
    """What changed last, read until what was seen at the last sweep: costs follow the changes."""

    name = "the change feed"

    def __init__(self) -> None:
        self.newest: datetime | None = None
        self._newest_before: datetime | None = None
        self._floor: datetime | None = None

    async def sweep(
        self, read_page: ReadPage, *, wanted: Wanted, new: Collection[str], most_pages: int
    ) -> Sweep:
        """Read the pages that have changed, and on, as long as they show more of the `new` ones."""
        sweep = Sweep()
        newest: datetime | None = None
        known = wasted = 0
        unseen = len(new)
        query = list_query(sort={"updated_at": "desc"})
        async with aclosing(_batches(read_page, query, most_pages)) as batches:
            async for batch in batches:
                found = 0
                for page in batch:
                    moments = _descending(page)
                    newest = newest or next(iter(moments), None)
                    if self.newest is not None:
                        known += sum(moment < self.newest for moment in moments)
                    for execution in page.data:
                        if wanted(execution.id) and execution.id not in sweep.shown:
                            sweep.shown[execution.id] = execution
                            found += execution.id in new
                    if moments:
                        self._floor = min(self._floor or moments[-1], moments[-1])
                sweep.pages += len(batch)
                unseen -= found
                if self.newest is not None and known < _OVERLAP:
                    continue
                # A page that shows but one of them costs what a read of its own would.
                wasted += len(batch) if found < 2 * len(batch) else 0
                if unseen <= 0 or wasted > unseen * _STAKE:
                    break
            else:
                self._floor = _EVER
        self._newest_before, self.newest = self.newest, newest or self.newest
        return sweep

    def would_show(self, execution: Execution, before: datetime | None) -> bool:
        """Whether it has to show this state of an execution that was watched since `before`."""
        moment = execution.updated_at
        if moment is None:
            return True
        return not (
            (self._floor is not None and moment < self._floor)
            or (before is not None and moment <= before)
        )

    def has_missed_end(self, shown: Execution | None) -> bool:
        """Whether a sweep that has shown this, of an execution that has ended, was wrong."""
        return shown is None or not shown.is_finished

    def is_undated(self, end: Execution, updated_at: datetime | None) -> bool:
        """Whether an end has the date of a state before it, though later dates were known then."""
        moment = end.updated_at
        if moment is None or self._newest_before is None:
            return False
        return moment == updated_at and moment < self._newest_before


class ProcessingPages:
    """All that is still PROCESSING: what was there and is no longer has ended."""

    name = "what is PROCESSING"
    newest = None

    def __init__(self) -> None:
        self._listed: set[str] = set()

    async def sweep(
        self, read_page: ReadPage, *, wanted: Wanted, new: Collection[str], most_pages: int
    ) -> Sweep:
        """Read all pages."""
        del new
        sweep = Sweep()
        query = list_query(status="PROCESSING", sort={"created_at": "asc"})
        async with aclosing(_batches(read_page, query, most_pages)) as batches:
            async for batch in batches:
                sweep.pages += len(batch)
                for page in batch:
                    sweep.shown |= {one.id: one for one in page.data if wanted(one.id)}
        sweep.gone = self._listed - sweep.shown.keys()
        self._listed = {one.id for one in sweep.shown.values() if not one.is_finished}
        return sweep

    def would_show(self, execution: Execution, before: datetime | None) -> bool:
        """Whether it has to show this state: any, an end by being gone."""
        del execution, before
        return True

    def has_missed_end(self, shown: Execution | None) -> bool:
        """Whether a sweep that has shown this, of an execution that has ended, was wrong."""
        return shown is not None and not shown.is_finished

    def is_undated(self, end: Execution, updated_at: datetime | None) -> bool:
        """Whether its date contradicts an end: none matters here."""
        del end, updated_at
        return False


Listing = ChangeFeed | ProcessingPages


def _descending(page: ExecutionPage) -> list[datetime]:
    moments = [one.updated_at for one in page.data if one.updated_at is not None]
    if len(moments) < len(page.data):
        raise ListingUnfit("there are executions without updated_at")
    if any(later > earlier for earlier, later in pairwise(moments)):
        raise ListingUnfit("it is not sorted by updated_at")
    return moments


async def _batches(
    read_page: ReadPage, query: str, most_pages: int
) -> AsyncGenerator[list[ExecutionPage]]:
    """Yield pages, more and more of them at once, until one shows to be the last."""

    async def read(offset: int) -> ExecutionPage:
        return await read_page(f"{query}&{list_query(limit=_PAGE_SIZE, offset=offset)}")

    last = await read(0)
    yield [last]
    limit = limit_in_force(_PAGE_SIZE, last)
    pages = 1
    while len(last.data) >= limit:
        if pages == most_pages:
            raise ListingUnfit(f"it takes more than {most_pages} pages")
        size = min(pages + 1, _MOST_AT_ONCE, most_pages - pages)
        batch = await together(read((pages + index) * limit) for index in range(size))
        yield batch
        last = batch[-1]
        pages += size

"""Iterates over the pages of Read all, without relying on `total`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Unpack

from nuvo_async import arguments
from nuvo_async.models import Execution, ExecutionPage
from nuvo_async.wire.query import QueryKeywords, filter_query, with_pagination

__all__ = ["iterate"]


def iterate(
    read_page: Callable[[str], Awaitable[ExecutionPage]],
    *,
    page_size: int,
    max_items: int | None,
    **query: Unpack[QueryKeywords],
) -> AsyncIterator[Execution]:
    """Yield each matching execution once, page by page. `read_page` reads the page of a query.

    The call itself raises an error for wrong arguments, before the iteration begins.
    """
    arguments.integer("page_size", page_size, minimum=1)
    if max_items is not None:
        arguments.integer("max_items", max_items, minimum=0)
    # The query is written now, because the caller may change the mappings during the iteration.
    return _iterate(read_page, filter_query(**query), page_size=page_size, max_items=max_items)


async def _iterate(
    read_page: Callable[[str], Awaitable[ExecutionPage]],
    query: str,
    *,
    page_size: int,
    max_items: int | None,
) -> AsyncIterator[Execution]:
    limit = page_size if max_items is None else min(page_size, max_items)
    offset = 0
    seen: set[str] = set()
    while max_items is None or len(seen) < max_items:
        page = await read_page(with_pagination(query, limit=limit, offset=offset))
        # Offsets shift when executions are created meanwhile, so some executions appear twice.
        new = {execution.id: execution for execution in page.data if execution.id not in seen}
        for execution in new.values():
            if len(seen) == max_items:
                return
            seen.add(execution.id)
            yield execution
        if not new or len(page.data) < _limit_in_force(limit, page):
            return
        offset += len(page.data)


def _limit_in_force(asked: int, page: ExecutionPage) -> int:
    """The limit that the server applied: it may report a lower one. Other values are ignored."""
    lowered = page.pagination.limit
    return lowered if 0 < lowered < asked else asked

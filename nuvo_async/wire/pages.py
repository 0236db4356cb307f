"""Goes through the pages of Read all, trusting no `total`."""

from collections.abc import AsyncIterator, Awaitable, Callable

from nuvo_async.models.executions import Execution, ExecutionPage

__all__ = ["iterate", "limit_in_force"]


async def iterate(
    read_page: Callable[[int, int], Awaitable[ExecutionPage]],
    *,
    page_size: int,
    max_items: int | None,
) -> AsyncIterator[Execution]:
    """Yield each execution once, page by page, until one shows to be the last."""
    limit = page_size if max_items is None else min(page_size, max_items)
    offset = 0
    seen: set[str] = set()
    while max_items is None or len(seen) < max_items:
        page = await read_page(limit, offset)
        # Offsets shift when executions are created meanwhile: some come twice.
        new = {execution.id: execution for execution in page.data if execution.id not in seen}
        for execution in new.values():
            if len(seen) == max_items:
                return
            seen.add(execution.id)
            yield execution
        if not new or len(page.data) < limit_in_force(limit, page):
            return
        offset += len(page.data)


def limit_in_force(asked: int, page: ExecutionPage) -> int:
    """The server may lower the limit, and says so; anything else that it says is not to go by."""
    lowered = page.pagination.limit
    return lowered if 0 < lowered < asked else asked

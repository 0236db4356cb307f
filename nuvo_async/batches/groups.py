"""Several tasks at once, all of which have ended before their caller goes on."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["together"]

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once, and return what they return, in order.

    The first that raises cancels the others, and its error comes out as it is, in no group. So does
    a cancellation of the caller, whatever the others raise when they end. It waits for them to
    clean up; a second cancellation ends that, too, at once.

    An `asyncio.TaskGroup` would leave a cancellation behind in the caller's task before Python
    3.13, and swallow or repeat one from outside.
    """
    tasks = [asyncio.create_task(work) for work in works]
    left = set(tasks)
    trouble: BaseException | None = None
    try:
        while left and trouble is None:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_EXCEPTION)
            errors = [task.exception() for task in done if not task.cancelled()]
            trouble = next(filter(None, errors), None)
    finally:
        await _end(left)
    if trouble is not None:
        raise trouble
    return [task.result() for task in tasks]


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks, once, so that nothing cuts off what they do to clean up, and await them."""
    for task in tasks:
        # Nobody asks for what they raise; the event loop would complain of that.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)

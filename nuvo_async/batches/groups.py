"""Runs several tasks at once. All of them have ended before their caller continues."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["together"]

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once, and return their results in order.

    The first task that raises cancels the others, and its error is raised unchanged, not in a
    group. A cancellation of the caller also cancels all tasks and is raised, even if they raise
    errors when they end. Both wait until the tasks have cleaned up. A second cancellation ends this
    wait at once.

    Before Python 3.13, an `asyncio.TaskGroup` leaves a cancellation pending in the caller's task,
    and swallows or repeats a cancellation from outside.
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
    """Cancel tasks, and await them. They are cancelled once, so that they can clean up."""
    for task in tasks:
        # Their exceptions are retrieved here, because asyncio logs exceptions that never are.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)

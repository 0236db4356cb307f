"""Several tasks at once, all of which have ended before their caller goes on."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["together"]

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once, and return what they return, in order.

    The first that raises cancels the others, and its error comes out as it is, in no group. A
    cancellation of the caller always comes out, whatever the others raise when they end.

    An `asyncio.TaskGroup` would leave a cancellation behind in the caller's task before Python
    3.13, and swallow or repeat one from outside.
    """
    tasks = [asyncio.create_task(work) for work in works]
    left = set(tasks)
    cancelled: asyncio.CancelledError | None = None
    trouble: BaseException | None = None
    is_ending = False
    while left:
        try:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
        else:
            errors = [task.exception() for task in done if not task.cancelled()]
            trouble = trouble or next(filter(None, errors), None)
        # Once, so that nothing cuts off what they do to clean up.
        if not is_ending and (cancelled is not None or trouble is not None):
            is_ending = True
            for task in left:
                task.cancel()
    if cancelled is not None:
        raise cancelled
    if trouble is not None:
        raise trouble
    return [task.result() for task in tasks]

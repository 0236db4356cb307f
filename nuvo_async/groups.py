"""Several tasks at once, all of which have ended before their caller goes on."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar, cast

__all__ = ["together"]

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once, and return what they return, in order.

    The first that raises cancels the others, and its error comes out as it is, in no group. A
    cancellation of the caller always comes out, whatever the others raise when they end.
    """
    caller = cast("asyncio.Task[Any]", asyncio.current_task())
    cancelled_before = caller.cancelling()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
            if tasks:
                # Not left to the end of the block: there, before Python 3.13, the cancellation
                # by which a group wakes its caller would stay with the caller for good.
                await asyncio.wait(tasks)
    except BaseExceptionGroup as troubles:
        trouble = troubles.exceptions[0]
        if caller.cancelling() > cancelled_before:
            raise asyncio.CancelledError from trouble
    else:
        return [task.result() for task in tasks]
    raise trouble

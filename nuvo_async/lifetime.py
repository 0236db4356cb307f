"""The life of a client: bound to one event loop at its first call, ended by `close`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nuvo_async.errors import ClientClosedError

__all__ = ["Lifetime"]


class Lifetime:
    """Knows who is inside the client, so that closing it ends every call and every wait."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inside: dict[asyncio.Timeout, asyncio.Task[object] | None] = {}
        self.closed = False

    def check(self) -> None:
        """Raise `ClientClosedError` if closed, and `RuntimeError` in another event loop."""
        if self.closed:
            raise ClientClosedError("the client is closed; make a new one")
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if loop is not self._loop:
            raise RuntimeError(
                "this NuvoClient was first used in another event loop, which its connections"
                " belong to; make one client for each event loop (each asyncio.run)"
            )

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """Be inside the client while the block runs; `end` makes it a `ClientClosedError`."""
        self.check()
        # A timeout without a deadline is asyncio's own way to cancel a block of a task from
        # elsewhere, and to tell that cancellation from any other.
        block = asyncio.timeout(None)
        try:
            async with block:
                self._inside[block] = asyncio.current_task()
                try:
                    yield
                finally:
                    del self._inside[block]
        except TimeoutError as error:
            if not block.expired():
                raise
            closed = ClientClosedError("the client was closed while the call was under way")
            # They name what goes on remotely.
            for note in getattr(error.__cause__, "__notes__", ()):
                closed.add_note(note)
        else:
            return
        raise closed

    def end(self, *, own: bool) -> None:
        """End the blocks of the current task (`own`), or those of all the others."""
        now = asyncio.get_running_loop().time()
        for block, task in self._inside.items():
            if (task is asyncio.current_task()) is own and not block.expired():
                block.reschedule(now)

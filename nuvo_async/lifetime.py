"""The life of a client: bound to one event loop at its first call, ended by `close`."""

import asyncio
from types import TracebackType

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

    def inside(self) -> "_Inside":
        """Be inside the client while the block runs; `end` makes it a `ClientClosedError`."""
        return _Inside(self)

    def end(self, *, own: bool) -> None:
        """End the blocks of the current task (`own`), or those of all the others."""
        now = asyncio.get_running_loop().time()
        for block, task in self._inside.items():
            if (task is asyncio.current_task()) is own and not block.expired():
                block.reschedule(now)

    def enter(self, block: asyncio.Timeout) -> None:
        """Have `end` expire this block, which the current task is about to run."""
        self._inside[block] = asyncio.current_task()

    def leave(self, block: asyncio.Timeout) -> None:
        """The block has ended."""
        del self._inside[block]


class _Inside:
    """A context manager that takes little memory: there is one for each of thousands of waits.

    A timeout without a deadline is asyncio's own way to cancel a block of a task from elsewhere,
    and to tell that cancellation from any other.
    """

    __slots__ = ("_block", "_lifetime")

    def __init__(self, lifetime: Lifetime) -> None:
        self._lifetime = lifetime
        self._block = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        self._lifetime.check()
        await self._block.__aenter__()
        self._lifetime.enter(self._block)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        self._lifetime.leave(self._block)
        try:
            await self._block.__aexit__(kind, error, frames)
        except TimeoutError:
            closed = ClientClosedError("the client was closed while the call was under way")
            # They name what goes on remotely.
            for note in getattr(error, "__notes__", ()):
                closed.add_note(note)
        else:
            return
        raise closed

"""A Create whose intent and outcome are in the journal."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from attrs import define, field

from nuvo_async.batches.journal import Journal
from nuvo_async.models import CreateOutcomeUnknownError, Execution, NuvoError
from nuvo_async.wire import ExecutionAPI, Hooks, Request

__all__ = ["RecordedCreate"]

# Steps of the event loop that a cancelled Create is given, to read an answer that this machine has
# received already. An answer in one piece needs two.
_STEPS = 10


@define(eq=False)
class RecordedCreate:
    """One Create for the pipeline at a position of the journal's list.

    Its intent is on disk each time before it is sent. Its answer is given to `on_created`, and to
    the journal, in the same step of the event loop in which it is read.
    """

    api: ExecutionAPI
    journal: Journal
    position: int
    pipeline_id: str
    on_created: Callable[[Sequence[Execution]], None]
    _intended: Request | None = field(init=False, default=None)

    async def send(self) -> Sequence[Execution]:
        """Return the executions; raise what `ExecutionAPI.create` raises."""
        sending = asyncio.create_task(self._send())
        try:
            await asyncio.wait([sending])
        except asyncio.CancelledError:
            await self._cancel(sending)
            raise
        return sending.result()

    async def _send(self) -> Sequence[Execution]:
        hooks = Hooks(before_sending=self._intend, on_trouble=self._withdraw)
        try:
            created = await self.api.create(self.pipeline_id, hooks)
        except CreateOutcomeUnknownError:
            raise
        except NuvoError as refusal:
            self._withdraw(refusal)
            raise
        except asyncio.CancelledError as cancelled:
            if not self._is_in_doubt:
                self._withdraw(cancelled)
            raise
        self.on_created(created)
        self.journal.note_created(self.position, created)
        return created

    async def _cancel(self, sending: asyncio.Task[Sequence[Execution]]) -> None:
        """Cancel the Create. If its answer was received, take that first, to leave no doubt."""
        with suppress(asyncio.CancelledError):  # The caller raises the first one.
            if self.journal.has_failed and self._is_in_doubt:
                await asyncio.wait([sending])  # Only the error can name what it has started.
            for _ in range(_STEPS):
                if sending.done() or not self._is_in_doubt:
                    break
                await asyncio.sleep(0)
        sending.cancel()
        while not sending.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([sending])
        if not sending.cancelled():
            sending.exception()  # So that asyncio does not report it as lost.

    async def _intend(self, request: Request) -> None:
        if not request.repeatable:  # It is the Create, and no exchange of a licence key.
            self._intended = request
            await self.journal.intend(self.position)

    @property
    def _is_in_doubt(self) -> bool:
        return self._intended is not None and self._intended.in_doubt

    def _withdraw(self, reason: BaseException) -> None:
        """Record that nothing was started."""
        if self._intended is not None:
            self._intended = None
            self.journal.note_refused(self.position, reason)

"""A Create whose intent and outcome are recorded in the journal."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from attrs import define, field

from nuvo_async.batches.journal import Journal
from nuvo_async.models import CreateOutcomeUnknownError, Execution, NuvoError
from nuvo_async.wire import ExecutionAPI, Hooks, Request

__all__ = ["RecordedCreate"]

# A cancelled Create has this many steps of the event loop to read an answer that this machine has
# already received. An answer in one piece needs two steps.
_STEPS = 10


@define(eq=False)
class RecordedCreate:
    """One Create for the pipeline at a position of the journal's list.

    Its intent is synced to disk before each time it is sent. Its answer is passed to `on_created`
    and to the journal in the same step of the event loop in which it is read.
    """

    api: ExecutionAPI
    journal: Journal
    position: int
    pipeline_id: str
    on_created: Callable[[Sequence[Execution]], None]
    _intended: Request | None = field(init=False, default=None)

    async def send(self) -> Sequence[Execution]:
        """Return the executions. Raises the same errors as `ExecutionAPI.create`."""
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
        """Cancel the Create. If its answer was received, read it first, so the outcome is known."""
        with suppress(asyncio.CancelledError):  # The caller raises the first cancellation.
            if self.journal.has_failed and self._is_in_doubt:
                # Without the journal, only the error can name the executions that it started.
                await asyncio.wait([sending])
            for _ in range(_STEPS):
                if sending.done() or not self._is_in_doubt:
                    break
                await asyncio.sleep(0)
        sending.cancel()
        while not sending.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([sending])
        if not sending.cancelled():
            sending.exception()  # Otherwise asyncio would log that it was never retrieved.

    async def _intend(self, request: Request) -> None:
        if not request.repeatable:  # It is the Create, and not the exchange of a licence key.
            self._intended = request
            await self.journal.intend(self.position)

    @property
    def _is_in_doubt(self) -> bool:
        return self._intended is not None and self._intended.in_doubt

    def _withdraw(self, reason: BaseException) -> None:
        """Record that the Create started nothing."""
        if self._intended is not None:
            self._intended = None
            self.journal.note_refused(self.position, reason)

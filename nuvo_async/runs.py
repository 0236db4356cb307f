"""Many executions, many pipelines: fan out, and hand over each result as it ends.

An iterator does its work in one task of its own, which holds a task group and ends with it. What is
no result ends the group, and comes out as the error that it is.
"""

import asyncio
import inspect
import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Sequence,
)
from datetime import datetime
from typing import Any, TypeVar

from attrs import define, evolve, field

from nuvo_async.api import ExecutionAPI
from nuvo_async.errors import ClientClosedError, JournalError, NuvoError
from nuvo_async.executions import (
    CreateOutcomeUnknownError,
    Execution,
    PipelineRun,
    WaitTimeoutError,
    failures_of,
)
from nuvo_async.journal import Journal
from nuvo_async.lifetime import Lifetime
from nuvo_async.poller import Poller
from nuvo_async.protocol import Hooks
from nuvo_async.waiting import Wait, WaitOptions

__all__ = ["PipelineBatch", "Put", "stream", "wait_for_all"]

T = TypeVar("T")
Put = Callable[[T], Awaitable[None]]

_log = logging.getLogger("nuvo_async")
_MOST_NAMED = 20


async def stream(
    lifetime: Lifetime, work: Callable[[Put[T]], Awaitable[object]], *, most: int
) -> AsyncGenerator[T]:
    """Yield what `work` puts, at most so many results ahead of whoever takes them."""
    lifetime.check()
    results: asyncio.Queue[T | None] = asyncio.Queue()
    room = asyncio.Semaphore(most)

    async def put(result: T) -> None:
        await room.acquire()
        results.put_nowait(result)

    async def run() -> None:
        with lifetime.inside():
            await work(put)

    working = asyncio.create_task(run())
    working.add_done_callback(lambda _: results.put_nowait(None))
    try:
        while (result := await results.get()) is not None:
            room.release()
            yield result
        await working
    except asyncio.CancelledError as cancelled:
        for note in await _end(working):
            cancelled.add_note(note)
        raise
    finally:
        await _end(working)


async def _end(working: asyncio.Task[None]) -> Sequence[str]:
    """Cancel the work, and return what it notes."""
    working.cancel()
    await asyncio.wait([working])
    try:
        working.exception()  # It has come out already, or whoever it was for has left.
    except asyncio.CancelledError as cancelled:
        return getattr(cancelled, "__notes__", ())
    return ()


# ── Executions ────────────────────────────────────────────────────────────────────────────────


async def wait_for_all(
    poller: Poller, waits: Sequence[Wait], put: Put[Execution] | None = None
) -> list[Execution]:
    """Return the executions, in the order given, once all have ended; `put` each as it ends."""
    ended: dict[Wait, Execution] = {}

    async def follow(wait: Wait) -> None:
        ended[wait] = await poller.wait(wait)
        if put is not None:
            await put(ended[wait])

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(follow(wait)) for wait in waits]
    except ExceptionGroup as troubles:
        trouble = troubles.exceptions[0]
    except asyncio.CancelledError as cancelled:
        _note_remote(cancelled, [wait.execution_id for wait in waits if wait not in ended])
        raise
    else:
        for task in tasks:
            task.result()  # A callback may have raised a CancelledError of its own.
        return [ended[wait] for wait in waits]
    if isinstance(trouble, WaitTimeoutError):
        raise WaitTimeoutError(
            trouble.timeout,
            pending={wait.execution_id: wait.last for wait in waits if wait not in ended},
            finished=tuple(ended.values()),
        ) from trouble.__cause__
    _note_remote(trouble, [wait.execution_id for wait in waits if wait not in ended])
    raise trouble


def _note_remote(error: BaseException, ids: Sequence[str]) -> None:
    """Say which executions go on; in the log, too, as whoever leaves an iterator sees no error."""
    if ids:
        more = len(ids) - _MOST_NAMED
        names = ", ".join(ids[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        error.add_note(f"no longer waited for, these executions go on remotely: {names}")
        _log.debug("no longer waited for, these executions go on remotely: %s", ", ".join(ids))


# ── Pipelines ─────────────────────────────────────────────────────────────────────────────────


@define(eq=False)
class PipelineBatch:
    """A list of pipelines, of which so many are under way at once."""

    api: ExecutionAPI
    poller: Poller
    options: WaitOptions
    pipeline_ids: Sequence[str]
    concurrency: int
    journal: Journal | None = None
    on_start: Callable[[str, list[Execution]], object] | None = None
    _mistake: Exception | None = field(init=False, default=None)
    _under_way: dict[int, list[str]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.options.on_poll is not None:
            self.options = evolve(self.options, on_poll=self._guarded(self.options.on_poll))

    async def run(self, put: Put[PipelineRun]) -> None:
        """Run all of them, and put each as it ends."""
        try:
            if self.journal is None:
                await self._each(map(self._run, range(len(self.pipeline_ids))), put)
            else:
                await self._run_with(self.journal, put)
        except asyncio.CancelledError as cancelled:
            _note_remote(cancelled, [one for ids in self._under_way.values() for one in ids])
            raise

    async def _run_with(self, journal: Journal, put: Put[PipelineRun]) -> None:
        try:
            await journal.open()
            await self._take_up(journal, put)
        finally:
            await journal.close()

    async def _take_up(self, journal: Journal, put: Put[PipelineRun]) -> None:
        known = {one.id for entry in journal.entries for one in entry.created or ()}
        cut_off, rest = [], []
        for position, entry in enumerate(journal.entries):
            if entry.ended is not None:
                await put(entry.ended)
            elif entry.sent_at is not None:
                cut_off.append((position, entry.sent_at))
            else:
                rest.append(position)
        # These come first: what is started from now on could be taken for what they look for.
        await self._each((self._look_for(n, sent_at, known) for n, sent_at in cut_off), put)
        await self._each(map(self._run, rest), put)

    async def _each(
        self, runs: Iterator[Coroutine[Any, Any, PipelineRun]], put: Put[PipelineRun]
    ) -> None:
        """Await them, so many at a time."""

        async def work() -> None:
            for run in runs:
                await put(await run)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work()) for _ in range(self.concurrency)]
        except ExceptionGroup as troubles:
            trouble = troubles.exceptions[0]
        else:
            for task in tasks:
                task.result()
            return
        raise trouble

    async def _run(self, position: int) -> PipelineRun:
        pipeline_id = self.pipeline_ids[position]
        executions: Sequence[Execution] = ()
        waits: list[Wait] = []
        try:
            executions = await self._create(position)
            waits = [self.options.wait_for(one) for one in executions]
            self._under_way[position] = [wait.execution_id for wait in waits]
            if self.on_start is not None:
                await self._guarded(self.on_start)(pipeline_id, list(executions))
            executions = await wait_for_all(self.poller, waits)
            del self._under_way[position]
        except (ClientClosedError, JournalError):
            raise
        except NuvoError as error:
            if error is self._mistake:
                raise
            self._under_way.pop(position, None)
            seen = (wait.last or one for wait, one in zip(waits, executions, strict=True))
            return PipelineRun(pipeline_id, tuple(seen), error)
        if self.journal is not None:
            await self.journal.note_ended(position, executions)
        return PipelineRun(pipeline_id, tuple(executions), failures_of(executions))

    async def _create(self, position: int) -> Sequence[Execution]:
        pipeline_id, journal = self.pipeline_ids[position], self.journal
        if journal is None:
            return await self.api.create(pipeline_id)
        if (created := journal.entries[position].created) is not None:
            return created
        is_intended = False

        async def intend() -> None:
            nonlocal is_intended
            await journal.intend(position)
            is_intended = True

        try:
            executions = await self.api.create(pipeline_id, Hooks(before_sending=intend))
        except (CreateOutcomeUnknownError, JournalError):
            raise
        except NuvoError as refusal:
            if is_intended:
                await journal.note_refused(position, refusal)
            raise
        await journal.note_created(position, executions)
        return executions

    async def _look_for(
        self, position: int, sent_at: datetime, known: Collection[str]
    ) -> PipelineRun:
        pipeline_id = self.pipeline_ids[position]
        unknown = await self.api.outcome_unknown(pipeline_id, sent_at, known=known)
        return PipelineRun(pipeline_id, error=unknown)

    def _guarded(self, callback: Callable[..., object]) -> Callable[..., Awaitable[None]]:
        """Remember what a callback raises: it is the caller's mistake, not a pipeline's."""

        async def guarded(*news: object) -> None:
            try:
                result = callback(*news)
                if inspect.isawaitable(result):
                    await result
            except Exception as mistake:
                self._mistake = mistake
                raise

        return guarded

"""Runs or awaits many executions or pipelines, and yields each result when it is complete.

Each iterator runs its work in a task that ends with the iterator. This task starts further tasks:
an error that is not a result ends all of them, and the iterator raises it unchanged.
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

from nuvo_async.batches.groups import together
from nuvo_async.batches.journal import Journal
from nuvo_async.batches.recorded_create import RecordedCreate
from nuvo_async.models import (
    ClientClosedError,
    Execution,
    JournalError,
    NuvoError,
    PipelineRun,
    WaitTimeoutError,
    failures_of,
)
from nuvo_async.waiting import Poller, Wait, WaitOptions
from nuvo_async.wire import ExecutionAPI, Lifetime

__all__ = ["PipelineBatch", "Put", "stream", "wait_for_all"]

T = TypeVar("T")
Put = Callable[[T], Awaitable[None]]

_log = logging.getLogger("nuvo_async")
_MOST_NAMED = 20


async def stream(
    lifetime: Lifetime, work: Callable[[Put[T]], Awaitable[object]], *, most: int
) -> AsyncGenerator[T]:
    """Yield what `work` puts. It may put at most `most` results that the caller has not taken."""
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
    """Cancel the work, and return the notes of its cancellation."""
    working.cancel()
    await asyncio.wait([working])
    try:
        working.exception()  # It was already raised, or the caller has left the iterator.
    except asyncio.CancelledError as cancelled:
        return getattr(cancelled, "__notes__", ())
    return ()


# ── Executions ────────────────────────────────────────────────────────────────────────────────


async def wait_for_all(
    poller: Poller, waits: Sequence[Wait], put: Put[Execution] | None = None
) -> list[Execution]:
    """Return the executions in the order given, once all have ended. `put` each when it ends."""
    try:
        return await _follow_all(poller, waits, put)
    except WaitTimeoutError:
        raise  # `pending` names the executions.
    except BaseException as error:
        _note_remote(error, [wait.execution_id for wait in waits if wait.ended is None])
        raise


async def _follow_all(
    poller: Poller, waits: Sequence[Wait], put: Put[Execution] | None = None
) -> list[Execution]:
    async def follow(wait: Wait) -> Execution:
        execution = await poller.wait(wait)
        if put is not None:
            await put(execution)
        return execution

    try:
        return await together(map(follow, waits))
    except WaitTimeoutError as timeout:
        if not any(wait.timed_out is timeout for wait in waits):
            raise  # A callback raised it.
        raise WaitTimeoutError(
            timeout.timeout,
            pending={wait.execution_id: wait.last for wait in waits if wait.ended is None},
            finished=[wait.ended for wait in waits if wait.ended is not None],
        ) from timeout.__cause__


def _note_remote(error: BaseException, ids: Sequence[str]) -> None:
    """Name the executions that go on, also in the log: a caller who leaves sees no error."""
    if ids:
        # If the journal has failed, this may be the only place that names them.
        named = ids if isinstance(error, JournalError) else ids[:_MOST_NAMED]
        more = len(ids) - len(named)
        names = ", ".join(named) + (f" and {more} more" if more else "")
        error.add_note(f"no longer waited for, these executions go on remotely: {names}")
        _log.debug("no longer waited for, these executions go on remotely: %s", ", ".join(ids))


# ── Pipelines ─────────────────────────────────────────────────────────────────────────────────


@define(eq=False)
class PipelineBatch:
    """A list of pipelines, of which at most `concurrency` are under way at once."""

    api: ExecutionAPI
    poller: Poller
    options: WaitOptions
    pipeline_ids: Sequence[str]
    concurrency: int
    journal: Journal | None = None
    on_start: Callable[[str, list[Execution]], object] | None = None
    _mistakes: list[Exception] = field(init=False, factory=list)
    _under_way: dict[int, Sequence[Execution]] = field(init=False, factory=dict)
    # What is to be said of Creates that were cut off; with a journal, that records them.
    _in_doubt: list[str] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        if self.options.on_poll is not None:
            self.options = evolve(self.options, on_poll=self._guarded(self.options.on_poll))

    async def run(self, put: Put[PipelineRun]) -> None:
        """Run all pipelines, and put the result of each when it ends."""
        try:
            if self.journal is None:
                await self._each(map(self._run, range(len(self.pipeline_ids))), put)
            else:
                await self._run_with(self.journal, put)
        except BaseException as error:
            started = [one for executions in self._under_way.values() for one in executions]
            if isinstance(error, JournalError):
                error.executions = tuple(started)
            _note_remote(error, [one.id for one in started if not one.is_finished])
            for note in self._in_doubt:
                error.add_note(note)
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
        # Creates with an unknown outcome come first. Otherwise, executions that this run starts
        # could be mistaken for theirs.
        await self._each((self._look_for(n, sent_at, known) for n, sent_at in cut_off), put)
        await self._each(map(self._run, rest), put)

    async def _each(
        self, runs: Iterator[Coroutine[Any, Any, PipelineRun]], put: Put[PipelineRun]
    ) -> None:
        """Await the runs, at most `concurrency` at a time."""

        async def work() -> None:
            for run in runs:
                await put(await run)

        await together(work() for _ in range(self.concurrency))

    async def _run(self, position: int) -> PipelineRun:
        run = await self._outcome(position)
        await self._settle()
        self._under_way.pop(position, None)
        return run

    async def _outcome(self, position: int) -> PipelineRun:
        pipeline_id = self.pipeline_ids[position]
        executions: Sequence[Execution] = ()
        waits: list[Wait] = []
        try:
            executions = await self._create(position)
            waits = [self.options.wait_for(one) for one in executions]
            if self.on_start is not None:
                await self._guarded(self.on_start)(pipeline_id, list(executions))
            await self._settle()
            executions = await _follow_all(self.poller, waits)
        except (ClientClosedError, JournalError):
            raise
        except NuvoError as error:
            if any(error is mistake for mistake in self._mistakes):
                raise
            seen = (wait.last or one for wait, one in zip(waits, executions, strict=True))
            return PipelineRun(pipeline_id, tuple(seen), error)
        self._under_way[position] = executions
        if self.journal is not None:
            self.journal.note_ended(position, executions)
        return PipelineRun(pipeline_id, tuple(executions), failures_of(executions))

    async def _create(self, position: int) -> Sequence[Execution]:
        def note(created: Sequence[Execution]) -> None:
            self._under_way[position] = created

        pipeline_id, journal = self.pipeline_ids[position], self.journal
        created: Sequence[Execution] | None
        if journal is None:
            created = await self._create_unrecorded(pipeline_id)
        elif (created := journal.entries[position].created) is None:
            return await RecordedCreate(self.api, journal, position, pipeline_id, note).send()
        note(created)
        return created

    async def _create_unrecorded(self, pipeline_id: str) -> Sequence[Execution]:
        try:
            return await self.api.create(pipeline_id)
        except asyncio.CancelledError as cancelled:
            self._in_doubt.extend(getattr(cancelled, "__notes__", ()))
            raise

    async def _settle(self) -> None:
        """Wait until the journal is synced to disk, before its records are reported or used."""
        if self.journal is not None:
            await self.journal.settle()

    async def _look_for(
        self, position: int, sent_at: datetime, known: Collection[str]
    ) -> PipelineRun:
        pipeline_id = self.pipeline_ids[position]
        unknown = await self.api.outcome_unknown(pipeline_id, sent_at, known=known)
        return PipelineRun(pipeline_id, error=unknown)

    def _guarded(self, callback: Callable[..., object]) -> Callable[..., Awaitable[None]]:
        """Remember a callback's exceptions: they are the caller's bugs, not a pipeline's errors."""

        async def guarded(*news: object) -> None:
            try:
                result = callback(*news)
                if inspect.isawaitable(result):
                    await result
            except Exception as mistake:
                self._mistakes.append(mistake)
                raise

        return guarded

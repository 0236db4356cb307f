"""The state of the pipelines and executions that a command follows."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from attrs import define, field

from nuvo_async.cli.rows import Row
from nuvo_async.models import (
    Execution,
    ExecutionsFailed,
    NuvoError,
    PipelineRun,
    WaitTimeoutError,
)

__all__ = ["Batch", "Listener", "now"]

_MOST_REMEMBERED = 200


def now() -> float:
    """The time of the event loop, in seconds."""
    return asyncio.get_running_loop().time()


class Listener(Protocol):
    """Is notified of each event of a batch."""

    def on_status(self, row: Row) -> None:
        """An execution is still running, and has a new status."""

    def on_end(self, row: Row) -> None:
        """An execution has ended."""

    def on_trouble(self, row: Row) -> None:
        """A wait has ended without a result, or it is not known that a pipeline has started."""

    def on_no_files(self, pipeline_id: str) -> None:
        """A pipeline found no file, and so started no execution."""


@define(eq=False)
class Batch:
    """Records events, and notifies a listener.

    `total` is the expected number of pipelines or executions, and `done` is how many have ended.
    `left` counts the runs of each pipeline that have neither executions nor an error yet.
    `unstarted` are the runs that have an error instead of executions.
    """

    listener: Listener
    total: int = field(init=False, default=0)
    done: int = field(init=False, default=0)
    failed: int = field(init=False, default=0)
    troubled: bool = field(init=False, default=False)
    timed_out: bool = field(init=False, default=False)
    rows: dict[str, Row] = field(init=False, factory=dict)
    running: dict[str, Row] = field(init=False, factory=dict)
    unstarted: list[Row] = field(init=False, factory=list)
    left: Counter[str] = field(init=False, factory=Counter)
    ended_last: deque[Row] = field(init=False, factory=lambda: deque(maxlen=_MOST_REMEMBERED))
    _reported: set[str] = field(init=False, factory=set)
    _no_files: Counter[str] = field(init=False, factory=Counter)

    # ── Expectations ──────────────────────────────────────────────────────────────────────────

    def expect_runs(self, pipeline_ids: Sequence[str]) -> None:
        """Expect the runs of a list of pipelines."""
        self.total += len(pipeline_ids)
        self.left.update(pipeline_ids)

    def expect(self, execution_ids: Iterable[str]) -> None:
        """Follow executions of which only the ids are known."""
        for one in execution_ids:
            self.total += 1
            self._row(one)

    # ── Events ────────────────────────────────────────────────────────────────────────────────

    def start(self, pipeline_id: str, executions: Sequence[Execution]) -> None:
        """Record the executions that a Create has started."""
        self.left[pipeline_id] -= 1
        for one in executions:
            self.see(one)
        if not executions:
            self._no_files[pipeline_id] += 1
            self.listener.on_no_files(pipeline_id)

    def see(self, execution: Execution) -> None:
        """Record a state that was read."""
        row = self._row(execution.id)
        is_news = row.execution is None or row.execution.status != execution.status
        row.pipeline, row.execution = execution.pipeline, execution
        if execution.is_finished:
            self._close(row)
            return
        if row.ended_at is not None and row.trouble is None:  # It is running again.
            row.ended_at, self.running[execution.id] = None, row
        if is_news:
            self.listener.on_status(row)

    def end(self, execution: Execution) -> None:
        """Record how an execution ended."""
        self.done += 1
        self._end(execution)

    def end_run(self, run: PipelineRun) -> None:
        """Record how the run of a pipeline ended."""
        self.done += 1
        self._take_up(run)
        error = None if isinstance(run.error, ExecutionsFailed) else run.error
        for one in run.executions:
            if one.is_finished:
                self._end(one)
            else:
                self.see(one)
                if error is not None:
                    self._fail(self._row(one.id), error)
        if error is not None and not run.executions:
            self.left[run.pipeline_id] -= 1
            row = Row(now(), pipeline=run.pipeline_id)
            self.unstarted.append(row)
            self._fail(row, error)

    def _take_up(self, run: PipelineRun) -> None:
        """Count a run from a journal as started, because this command has not started it."""
        if run.executions:
            if run.executions[0].id not in self.rows:
                self.left[run.pipeline_id] -= 1
        elif run.error is None:
            self._no_files[run.pipeline_id] -= 1
            if self._no_files[run.pipeline_id] < 0:
                self.start(run.pipeline_id, ())
                self._no_files[run.pipeline_id] = 0

    def fail(self, execution_id: str, error: NuvoError) -> None:
        """Record the error that ended the wait for an execution."""
        self.done += 1
        self._fail(self._row(execution_id), error)

    def _row(self, execution_id: str) -> Row:
        row = self.rows.get(execution_id)
        if row is None:
            row = self.rows[execution_id] = self.running[execution_id] = Row(now(), execution_id)
        return row

    def _end(self, execution: Execution) -> None:
        self.see(execution)
        self._reported.add(execution.id)
        self.failed += execution.failed
        self.listener.on_end(self.rows[execution.id])

    def _fail(self, row: Row, error: NuvoError) -> None:
        self._close(row)
        if row.execution_id is not None:
            self._reported.add(row.execution_id)
        row.trouble = error
        # If the last event is an error, it is not known whether the execution is still running.
        if isinstance(error, WaitTimeoutError) and error.__cause__ is None:
            self.timed_out = True
        else:
            self.troubled = True
        self.listener.on_trouble(row)

    def _close(self, row: Row) -> None:
        if row.ended_at is None:
            row.ended_at = now()
            self.ended_last.append(row)
            self.running.pop(row.execution_id or "", None)

    # ── State ─────────────────────────────────────────────────────────────────────────────────

    @property
    def executions(self) -> list[Execution]:
        """All executions that were read, in their last known state."""
        return [row.execution for row in self.rows.values() if row.execution is not None]

    @property
    def has_begun(self) -> bool:
        """Whether any pipeline or execution has had an event."""
        return bool(self.rows or self.unstarted or self.done or self._no_files.total())

    @property
    def unread_results(self) -> int:
        """How many executions have ended, but were not read with their logs yet."""
        return len(self.rows) - len(self.running) - len(self._reported)

    @property
    def going_on(self) -> list[Row]:
        """The executions that may still be running."""
        return [row for row in self.rows.values() if row.goes_on]

    def not_begun(self) -> Iterator[str]:
        """The pipelines with runs that have no result yet, once for each such run."""
        for pipeline_id, number in self.left.items():
            for _ in range(number):
                yield pipeline_id

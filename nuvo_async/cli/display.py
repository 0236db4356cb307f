"""What is shown of executions: live rows on a terminal, a plain line per event, or JSON.

Results go to stdout; what is drawn or told on the way goes to stderr.
"""

import asyncio
import json
import os
import shlex
import stat
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import TextIO

import click
from attrs import define, field
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nuvo_async.cli.rows import Row, clean, count, outcome, seconds, trouble
from nuvo_async.cli.settings import Output
from nuvo_async.models.converter import unstructure
from nuvo_async.models.errors import NuvoError
from nuvo_async.models.executions import (
    CreateOutcomeUnknownError,
    Execution,
    ExecutionsFailed,
    PipelineRun,
    WaitTimeoutError,
)

__all__ = ["Display"]

_REDRAWN_EVERY = 0.125
_MOST_FAILED = 20
_MOST_IN_A_COMMAND = 10
_SLOWEST = 3


@define(eq=False)
class Display:
    """Shows what becomes of executions, and knows what the command's exit code has to tell.

    `total` is how many executions, or pipelines, there are to be; `done` is how many have ended.
    """

    output: Output
    total: int
    done: int = field(init=False, default=0)
    troubled: bool = field(init=False, default=False)
    timed_out: bool = field(init=False, default=False)
    failed: bool = field(init=False, default=False)
    _started: int = field(init=False, default=0)
    _rows: dict[str, Row] = field(init=False, factory=dict)
    _empty: Counter[str] = field(init=False, factory=Counter)
    _unstarted: list[Row] = field(init=False, factory=list)
    _running: dict[str, Row] = field(init=False, factory=dict)
    _told: set[str] = field(init=False, factory=set)
    _ended_last: deque[Row] = field(init=False, factory=lambda: deque(maxlen=200))
    _live: Live | None = field(init=False, default=None)
    _spinner: Spinner = field(init=False, factory=lambda: Spinner("dots"))
    _out: Console = field(init=False)
    _err: Console = field(init=False)

    def __attrs_post_init__(self) -> None:
        # Whether it is a terminal is what the system says: FORCE_COLOR makes none of a pipe.
        self._out, self._err = (
            Console(
                file=stream,
                force_terminal=_is_terminal(stream),
                no_color=not self.output.color,
                highlight=False,
            )
            for stream in (sys.stdout, sys.stderr)
        )

    @property
    def is_for_people(self) -> bool:
        """Whether results are read by a person, and not by a program."""
        return self._out.is_terminal and not self.output.json

    @property
    def executions(self) -> list[Execution]:
        """All that were seen, as they were last."""
        return [row.execution for row in self._rows.values() if row.execution is not None]

    # ── What happens ──────────────────────────────────────────────────────────────────────────

    def expect(self, execution_ids: Iterable[str]) -> None:
        """Begin to follow executions of which no more is known than their ids."""
        for one in execution_ids:
            self._started += 1
            self._row(one)

    def start(self, pipeline_id: str, executions: Sequence[Execution]) -> None:
        """Take in what a Create has started."""
        self._started += 1
        for one in executions:
            self.see(one)
        if not executions:
            self._empty[pipeline_id] += 1
            self._tell(f"{pipeline_id}: there is no file, so there is no execution")

    def see(self, execution: Execution) -> None:
        """Take in a state that was read."""
        row = self._row(execution.id)
        is_news = row.execution is None or row.execution.status != execution.status
        row.pipeline, row.execution = execution.pipeline, execution
        if execution.is_finished:
            self._close(row)
        elif is_news:
            self._tell(f"{execution.pipeline}: execution {execution.id} is {execution.status}")

    def end(self, execution: Execution) -> None:
        """Take in how an execution ended."""
        self.done += 1
        self._end(execution)

    def end_run(self, run: PipelineRun) -> None:
        """Take in how the run of a pipeline ended."""
        self.done += 1
        self._started += self._is_replayed(run)
        error = None if isinstance(run.error, ExecutionsFailed) else run.error
        for one in run.executions:
            if one.is_finished:
                self._end(one)
            else:
                self.see(one)
                if error is not None:
                    self._fail(self._row(one.id), error)
        if error is not None and not run.executions:
            row = Row(_now(), pipeline=run.pipeline_id)
            self._unstarted.append(row)
            self._fail(row, error)

    def _is_replayed(self, run: PipelineRun) -> bool:
        """Whether it is told by a journal, and was never seen to start."""
        if run.executions:
            return run.executions[0].id not in self._rows
        if run.error is not None:
            return False
        self._empty[run.pipeline_id] -= 1
        return self._empty[run.pipeline_id] < 0

    def fail(self, execution_id: str, error: NuvoError) -> None:
        """Take in what ended the wait for an execution."""
        self.done += 1
        self._fail(self._row(execution_id), error)

    def _row(self, execution_id: str) -> Row:
        row = self._rows.get(execution_id)
        if row is None:
            row = self._rows[execution_id] = Row(_now(), execution_id)
            self._running[execution_id] = row
        return row

    def _end(self, execution: Execution) -> None:
        self.see(execution)
        self._told.add(execution.id)
        self.failed = self.failed or execution.failed
        if self.output.json:
            self.print_json(execution)
        about = f": {outcome(execution)}" if outcome(execution) else ""
        self._tell(f"{execution.pipeline}: execution {execution.id} is {execution.status}{about}")

    def _fail(self, row: Row, error: NuvoError) -> None:
        self._close(row)
        if row.execution_id is not None:
            self._told.add(row.execution_id)
        row.trouble = error
        # Where the last that was heard is trouble, whether it still runs is not known.
        if isinstance(error, WaitTimeoutError) and error.__cause__ is None:
            self.timed_out = True
        else:
            self.troubled = True
        if self.output.json and row.execution is not None:
            self.print_json(row.execution)
        if self._live is None or not self.is_for_people:
            names_itself = isinstance(error, CreateOutcomeUnknownError)
            self.complain(trouble(error) if names_itself else f"{row.subject}: {trouble(error)}")

    def _close(self, row: Row) -> None:
        if row.ended_at is None:
            row.ended_at = _now()
            self._ended_last.append(row)
            self._running.pop(row.execution_id or "", None)

    def _tell(self, event: str) -> None:
        if not self.output.json and (self._live is None or not self._out.is_terminal):
            click.echo(clean(event))

    def complain(self, problem: object) -> None:
        """Say on stderr what went wrong."""
        text = f"nuvo-async: {clean(problem)}"
        with suppress(OSError):  # Where nobody can be told, there is still the exit code.
            if self._live is None:
                click.echo(text, err=True)
            else:  # Above what is drawn.
                self._err.print(Text(text))

    def say(self, text: str) -> None:
        """Say something that is no result."""
        click.echo(text, err=self.output.json)

    def print(self, what: RenderableType) -> None:
        """Show a result to people; what does not fit on a line is cut off."""
        self._out.print(what, no_wrap=True, overflow="ellipsis")

    def print_json(self, execution: Execution) -> None:
        """Write an execution as the API does, on one line."""
        click.echo(json.dumps(unstructure(execution)))

    # ── Live ──────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Draw the rows while the block runs, if there is a terminal with nothing else on it."""
        is_free = not self.output.verbose and not _is_shared(sys.stdout, json=self.output.json)
        if not is_free or not self._err.is_terminal or self._err.is_dumb_terminal:
            yield
            return
        self._live = Live(
            console=self._err,
            get_renderable=self._screen,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        try:
            with self._live:
                drawing = asyncio.create_task(self._draw(self._live))
                try:
                    yield
                finally:
                    drawing.cancel()
                    await asyncio.wait([drawing])
        finally:
            self._live = None

    async def _draw(self, live: Live) -> None:
        while True:
            live.refresh()
            await asyncio.sleep(_REDRAWN_EVERY)

    def _screen(self) -> Group:
        bar = Table.grid(padding=(0, 1))
        progress = ProgressBar(total=max(self.total, 1), completed=self.done, width=24)
        results = len(self._rows) - len(self._running) - len(self._told)
        parts = [f"{self.done:,} of {self.total:,} done", f"{len(self._running):,} running"]
        parts += [f"{count(results, 'result')} to be read"] * (results > 0)
        bar.add_row(progress, ", ".join(parts))
        running = list(islice(self._running.values(), self._most()))
        room = self._most() - len(running)
        ended = list(self._ended_last)[-room:] if room else []
        return Group(bar, self._table([*ended, *running]))

    def _most(self) -> int:
        """How many rows there is room for."""
        return max(self._err.height - 3, 1)

    def _table(self, rows: Iterable[Row], *, with_ids: bool = False) -> Table:
        now = _now()
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=32)
        if with_ids:
            table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
        table.add_column(no_wrap=True, justify="right", width=8)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in rows:
            ids = [Text(clean(row.execution_id or ""), "dim")] * with_ids
            table.add_row(
                self._spinner.render(now) if row.ended_at is None else row.sign(),
                Text(row.subject),
                *ids,
                seconds((now if row.ended_at is None else row.ended_at) - row.since),
                row.says(),
            )
        return table

    # ── In the end ────────────────────────────────────────────────────────────────────────────

    def name_unstarted(self) -> None:
        """Tell of pipelines that were cut off before they were seen to start."""
        if left := self.total - self._started - len(self._unstarted):
            self.complain(
                f"not seen to start: {count(left, 'pipeline')}; a trigger that was under way may"
                " have arrived: `nuvo-async list --since 5m` tells"
            )

    def name_unfinished(self) -> None:
        """Tell which executions go on remotely, and how to wait for them again."""
        ids = [clean(key) for key, row in self._rows.items() if row.goes_on]
        if not ids:
            return
        with suppress(OSError):
            if len(ids) <= _MOST_IN_A_COMMAND:
                click.echo("may still be running; to wait for it again:", err=True)
                click.echo(f"  nuvo-async wait {shlex.join(ids)}", err=True)
            else:
                click.echo(
                    f"{len(ids):,} may still be running; to wait for them again, put their ids"
                    " into a file: nuvo-async wait --file FILE",
                    err=True,
                )
                click.echo("\n".join(ids), err=True)

    def summarize(self) -> None:
        """Say what became of all: counts, error types, the slowest, those that failed."""
        if self.is_for_people and len(self._rows) <= self._most():
            # Or else nothing would be left on the screen of those that the summary does not name.
            self._out.print(self.successes())
        console = self._out if self.is_for_people else self._err
        for line in self.summary():
            console.print(line, soft_wrap=not console.is_terminal)

    def successes(self) -> Table:
        """Draw the rows of those that succeeded, with the ids by which more can be asked."""
        succeeded = (row for row in self._rows.values() if row.succeeded)
        return self._table(succeeded, with_ids=True)

    def summary(self) -> Iterator[Text]:
        """The lines of that summary."""
        seen = self.executions
        ended = [one for one in seen if one.is_finished]
        yield Text(f"{count(len(self._rows), 'execution')}: {', '.join(self._counts()) or 'none'}")
        failed = [one for one in ended if one.failed]
        if failed:
            types = Counter(clean(one.error.type) if one.error else "no reason" for one in failed)
            named = ", ".join(f"{number:,} {kind}" for kind, number in types.most_common())
            yield Text(f"errors: {named}")
        slowest = sorted(filter(_duration, ended), key=_duration, reverse=True)[:_SLOWEST]
        if len(ended) > 1 and slowest:
            named = ", ".join(f"{clean(one.pipeline)} {seconds(_duration(one))}" for one in slowest)
            yield Text(f"slowest: {named}")
        for one in failed[:_MOST_FAILED]:
            yield Text(f"{clean(one.pipeline)}  {clean(one.id)}  {outcome(one)}", "red")
        if len(failed) > _MOST_FAILED:
            yield Text(
                f"and {len(failed) - _MOST_FAILED:,} more: `nuvo-async list --status FAILED` tells"
            )
        if self.is_for_people:
            for row in [*self._rows.values(), *self._unstarted]:
                if row.trouble is not None:
                    yield Text(f"{row.subject}: {trouble(row.trouble)}", "red")

    def _counts(self) -> Iterator[str]:
        statuses = Counter(clean(one.status) for one in self.executions)
        for name, number in sorted(statuses.items()):
            yield f"{number:,} {name}"
        if unread := len(self._rows) - len(self.executions):
            yield f"{unread:,} not read"
        unknown = sum(isinstance(row.trouble, CreateOutcomeUnknownError) for row in self._unstarted)
        if unknown:
            yield f"{unknown:,} started or not"
        if unstarted := len(self._unstarted) - unknown:
            yield f"{unstarted:,} not started"


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _is_shared(stream: TextIO | None, *, json: bool) -> bool:
    """Whether what goes there may be on the screen as well, where drawing would destroy it."""
    if stream is None:
        return False
    if stream.isatty():
        return json
    with suppress(OSError, ValueError):
        mode = os.fstat(stream.fileno()).st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISCHR(mode)  # A pipe leads anywhere.
    return True


def _now() -> float:
    return asyncio.get_running_loop().time()


def _duration(execution: Execution) -> float:
    run = execution.latest_run
    return run.duration.total_seconds() if run and run.duration else 0.0

"""What is shown of executions: live rows on a terminal, a plain line per event, or JSON.

Results go to stdout; what is drawn or told on the way goes to stderr.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import click
from attrs import define, field
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nuvo_async.cli.settings import Output
from nuvo_async.converter import unstructure
from nuvo_async.errors import NotFoundError, NuvoError
from nuvo_async.executions import Execution, ExecutionsFailed, PipelineRun, WaitTimeoutError
from nuvo_async.models import ExecutionStatus
from nuvo_async.redaction import printable

__all__ = ["Display", "clean", "outcome", "seconds", "status"]

_REDRAWN_EVERY = 0.125
_MOST_FAILED = 20
_SLOWEST = 3
_STYLES = {
    ExecutionStatus.SUCCESSFUL: "green",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.PROCESSING: "yellow",
}


def clean(text: object) -> str:
    """Take out what would steer a terminal: the texts come from a server."""
    return printable(str(text))


def status(execution: Execution) -> Text:
    """The status, in its colour."""
    return Text(clean(execution.status), _STYLES.get(execution.status, ""))


def seconds(count: float) -> str:
    """A duration, as people read it."""
    return f"{count:.1f} s" if count < 100 else str(timedelta(seconds=round(count)))


def outcome(execution: Execution) -> str:
    """Say in a few words what came of an execution; nothing while it runs."""
    if execution.error is not None:
        return clean(f"{execution.error.type}: {execution.error.message}")
    run = execution.latest_run
    if run is None or run.data is None or not execution.is_finished:
        return ""
    time = "" if run.duration is None else f" in {seconds(run.duration.total_seconds())}"
    return f"{run.data.total_rows:,} rows, {run.data.total_error_cells:,} error cells{time}"


@define(eq=False)
class _Row:
    """An execution that is followed, or a pipeline of which none was started."""

    since: float
    execution_id: str | None = None
    pipeline: str | None = None
    execution: Execution | None = None
    ended_at: float | None = None
    trouble: NuvoError | None = None

    @property
    def subject(self) -> str:
        return clean(self.pipeline or f"execution {self.execution_id}")

    @property
    def goes_on(self) -> bool:
        if self.execution_id is None or isinstance(self.trouble, NotFoundError):
            return False
        return self.execution is None or not self.execution.is_finished

    def says(self) -> Text:
        if self.trouble is not None:
            return Text(_trouble(self.trouble), "red")
        if self.execution is None:
            return Text("not read yet", "dim")
        return status(self.execution).append(f"  {outcome(self.execution)}", "default")


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
    _rows: dict[str, _Row] = field(init=False, factory=dict)
    _unstarted: list[_Row] = field(init=False, factory=list)
    _running: dict[str, _Row] = field(init=False, factory=dict)
    _ended_last: deque[_Row] = field(init=False, factory=lambda: deque(maxlen=200))
    _live: Live | None = field(init=False, default=None)
    _spinner: Spinner = field(init=False, factory=lambda: Spinner("dots"))
    _out: Console = field(init=False)
    _err: Console = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._out = Console(no_color=not self.output.color, highlight=False)
        self._err = Console(no_color=not self.output.color, highlight=False, stderr=True)

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
        error = None if isinstance(run.error, ExecutionsFailed) else run.error
        for one in run.executions:
            if one.is_finished:
                self._end(one)
            else:
                self.see(one)
                if error is not None:
                    self._fail(self._row(one.id), error)
        if error is not None and not run.executions:
            row = _Row(_now(), pipeline=run.pipeline_id)
            self._unstarted.append(row)
            self._fail(row, error)

    def fail(self, execution_id: str, error: NuvoError) -> None:
        """Take in what ended the wait for an execution."""
        self.done += 1
        self._fail(self._row(execution_id), error)

    def _row(self, execution_id: str) -> _Row:
        row = self._rows.get(execution_id)
        if row is None:
            row = self._rows[execution_id] = _Row(_now(), execution_id)
            self._running[execution_id] = row
        return row

    def _end(self, execution: Execution) -> None:
        self.see(execution)
        self.failed = self.failed or execution.failed
        if self.output.json:
            self.print_json(execution)
        about = f": {outcome(execution)}" if outcome(execution) else ""
        self._tell(f"{execution.pipeline}: execution {execution.id} is {execution.status}{about}")

    def _fail(self, row: _Row, error: NuvoError) -> None:
        self._close(row)
        row.trouble = error
        if isinstance(error, WaitTimeoutError):
            self.timed_out = True
        else:
            self.troubled = True
        if self.output.json and row.execution is not None:
            self.print_json(row.execution)
        if self._live is None or not self.is_for_people:
            self.complain(f"{row.subject}: {_trouble(error)}")

    def _close(self, row: _Row) -> None:
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
        is_free = not self.output.verbose and not (self.output.json and self._out.is_terminal)
        if not is_free or not self._err.is_terminal or self._err.is_dumb_terminal:
            yield
            return
        with Live(
            console=self._err,
            get_renderable=self._screen,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as self._live:
            drawing = asyncio.create_task(self._draw(self._live))
            try:
                yield
            finally:
                drawing.cancel()
                await asyncio.wait([drawing])
        self._live = None

    async def _draw(self, live: Live) -> None:
        while True:
            live.refresh()
            await asyncio.sleep(_REDRAWN_EVERY)

    def _screen(self) -> Group:
        bar = Table.grid(padding=(0, 1))
        progress = ProgressBar(total=max(self.total, 1), completed=self.done, width=24)
        bar.add_row(
            progress, f"{self.done:,} of {self.total:,} done, {len(self._running):,} running"
        )
        return Group(bar, self.rows(max(self._err.height - 3, 1)))

    def rows(self, most: int) -> Table:
        """Draw so many rows: what has ended last, and below it what runs, the oldest first."""
        now = _now()
        running = [row for row, _ in zip(self._running.values(), range(most), strict=False)]
        ended = list(self._ended_last)[max(0, len(self._ended_last) - most + len(running)) :]
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=32)
        table.add_column(no_wrap=True, justify="right", width=8)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in [*ended, *running]:
            good = row.execution is not None and row.execution.succeeded
            sign = Text("✔", "green") if good else Text("✘", "red")
            table.add_row(
                self._spinner.render(now) if row.ended_at is None else sign,
                row.subject,
                seconds((now if row.ended_at is None else row.ended_at) - row.since),
                row.says(),
            )
        return table

    # ── In the end ────────────────────────────────────────────────────────────────────────────

    def name_unstarted(self) -> None:
        """Tell of pipelines that were cut off before they were seen to start."""
        if count := self.total - self._started - len(self._unstarted):
            self.complain(
                f"not seen to start: {_count(count, 'pipeline')}; a trigger that was under way may"
                " have arrived: `nuvo-async list --since 5m` tells"
            )

    def name_unfinished(self) -> None:
        """Tell which executions go on remotely, and how to wait for them again."""
        if ids := [clean(key) for key, row in self._rows.items() if row.goes_on]:
            click.echo("not known to have ended; to wait again:", err=True)
            click.echo(f"  nuvo-async wait {' '.join(ids)}", err=True)

    def summarize(self) -> None:
        """Say what became of all: counts, error types, the slowest, those that failed."""
        console = self._out if self.is_for_people else self._err
        for line in self.summary():
            console.print(line, soft_wrap=not console.is_terminal)

    def summary(self) -> Iterator[Text]:
        """The lines of that summary."""
        seen = self.executions
        ended = [one for one in seen if one.is_finished]
        counts = Counter(clean(one.status) for one in seen)
        parts = [f"{count:,} {name}" for name, count in sorted(counts.items())]
        unread = len(self._rows) - len(seen)
        parts += [f"{unread:,} not read"] * bool(unread)
        parts += [f"{len(self._unstarted):,} not started"] * bool(self._unstarted)
        yield Text(f"{_count(len(self._rows), 'execution')}: {', '.join(parts) or 'none'}")
        failed = [one for one in ended if one.failed]
        if failed:
            types = Counter(clean(one.error.type) if one.error else "no reason" for one in failed)
            named = ", ".join(f"{count:,} {kind}" for kind, count in types.most_common())
            yield Text(f"errors: {named}")
        slowest = sorted(filter(_duration, ended), key=_duration, reverse=True)[:_SLOWEST]
        if len(ended) > 1 and slowest:
            named = ", ".join(f"{clean(one.pipeline)} {seconds(_duration(one))}" for one in slowest)
            yield Text(f"slowest: {named}")
        for one in failed[:_MOST_FAILED]:
            yield Text(f"{clean(one.pipeline)}  {clean(one.id)}  {outcome(one)}", "red")
        if len(failed) > _MOST_FAILED:
            yield Text(f"and {len(failed) - _MOST_FAILED:,} more; --json tells of all")
        if self.is_for_people:
            for row in [*self._rows.values(), *self._unstarted]:
                if row.trouble is not None:
                    yield Text(f"{row.subject}: {_trouble(row.trouble)}", "red")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _trouble(error: NuvoError) -> str:
    if isinstance(error, WaitTimeoutError):
        after = f"after {error.timeout:g} s"
        if error.last is None:
            return clean(f"not read {after}: {error.__cause__ or 'no answer yet'}")
        return f"still running {after}"
    return clean(error)


def _duration(execution: Execution) -> float:
    run = execution.latest_run
    return run.duration.total_seconds() if run and run.duration else 0.0

"""The output of a command: results on stdout, and progress and messages on stderr."""

import os
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TextIO

from attrs import define, field
from rich.console import Console, RenderableType
from rich.text import Text

from nuvo_async.cli.batch import Batch
from nuvo_async.cli.contact import Contact
from nuvo_async.cli.creates import Creates
from nuvo_async.cli.json_lines import JsonLines
from nuvo_async.cli.plain_lines import PlainLines
from nuvo_async.cli.rest import rest
from nuvo_async.cli.rows import Row, clean, trouble
from nuvo_async.cli.screen import Screen
from nuvo_async.cli.settings import Output
from nuvo_async.cli.summary import hanging, successes, summary
from nuvo_async.models import CreateOutcomeUnknownError, Execution, PipelineRun

__all__ = ["Display"]

_WIDTH_OF_A_FILE = 100


@define(eq=False)
class Display:
    """Records and shows the events of pipelines and executions.

    `batch`, `creates` and `contact` hold the state. `journal` is the file from which a batch can be
    resumed, if there is one.
    """

    output: Output
    batch: Batch = field(init=False)
    creates: Creates = field(init=False, factory=Creates)
    contact: Contact = field(init=False, factory=Contact)
    journal: str | None = field(init=False, default=None)
    _results: JsonLines | PlainLines = field(init=False)
    _out: Console = field(init=False)
    _err: Console = field(init=False)
    _waits: bool = field(init=False, default=False)
    _is_drawing: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.batch = Batch(self)
        self._results = (JsonLines if self.output.json else PlainLines)(self.write)
        # The system decides what is a terminal. A pipe does not become one by FORCE_COLOR.
        self._out, self._err = (
            Console(
                file=stream,
                force_terminal=stream.isatty(),
                no_color=not self.output.color,
                highlight=False,
            )
            for stream in (sys.stdout, sys.stderr)
        )

    @property
    def is_for_people(self) -> bool:
        """Whether a person reads the results, and not a program."""
        return self._out.is_terminal and not self.output.json

    # ── Events ────────────────────────────────────────────────────────────────────────────────

    def start(self, pipeline_id: str, executions: Sequence[Execution]) -> None:
        """Record the executions that a Create has started."""
        self.batch.start(pipeline_id, executions)
        self.creates.settle(pipeline_id)

    def end_run(self, run: PipelineRun) -> None:
        """Record how the run of a pipeline ended."""
        if self.creates.was_held_back(run.error):
            return
        self.batch.end_run(run)
        if isinstance(run.error, CreateOutcomeUnknownError):
            self.creates.settle(run.pipeline_id)

    # ── Notifications of the batch ────────────────────────────────────────────────────────────

    def on_status(self, row: Row) -> None:
        """An execution is still running."""
        if not self._is_seen_anyway:
            self._results.on_status(row)

    def on_end(self, row: Row) -> None:
        """An execution has ended."""
        if not self._is_seen_anyway:
            self._results.on_end(row)

    def on_no_files(self, pipeline_id: str) -> None:
        """A pipeline has started no execution."""
        if not self._is_seen_anyway:
            self._results.on_no_files(pipeline_id)

    def on_trouble(self, row: Row) -> None:
        """A wait or a pipeline has an error."""
        if self._is_seen_anyway:
            return
        self._results.on_trouble(row)
        if row.trouble is not None:
            names_itself = isinstance(row.trouble, CreateOutcomeUnknownError)
            problem = trouble(row.trouble)
            self.complain(problem if names_itself else f"{row.subject}: {problem}")

    @property
    def _is_seen_anyway(self) -> bool:
        """Whether the live screen is drawn in the same place as the results."""
        return self._is_drawing and self.is_for_people

    # ── Output ────────────────────────────────────────────────────────────────────────────────

    def write(self, result: str) -> None:
        """Write a line of results."""
        print(result, file=sys.stdout, flush=True)  # noqa: T201 - it is the command's own

    def write_json(self, execution: Execution) -> None:
        """Write an execution in the API's JSON, on one line."""
        if isinstance(self._results, JsonLines):
            self._results.execution(execution)

    @property
    def width(self) -> int:
        """The width in cells of a line for people."""
        return self._out.width

    def print(self, what: RenderableType, *, indent: int = 2) -> None:
        """Show a result to people. A text that is too long for a line is wrapped."""
        self._out.print(hanging(what, self._out, indent) if isinstance(what, Text) else what)

    def say(self, text: str) -> None:
        """Show a message that is not a result. It never mixes with JSON."""
        print(text, file=sys.stderr if self.output.json else sys.stdout, flush=True)

    def complain(self, problem: object) -> None:
        """Show an error on stderr."""
        self.note(f"nuvo-async: {clean(problem)}")

    def note(self, text: str) -> None:
        """Show a message on stderr, above the live screen."""
        self._print_wrapped(self._err, Text(text))

    @staticmethod
    def _print_wrapped(console: Console, text: Text) -> None:
        # Only a terminal has a width. A program may read a file line by line.
        console.print(hanging(text, console) if console.is_terminal else text, soft_wrap=True)

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Show progress while the block runs. Draw the live screen if there is a terminal."""
        self._waits = True
        is_free = not self.output.verbose and not _is_shared(sys.stdout, json=self.output.json)
        if not is_free or not self._err.is_terminal or self._err.is_dumb_terminal:
            yield
            return
        self._is_drawing = True
        try:
            async with Screen(self._err, self.batch, self.contact).drawn():
                yield
        finally:
            self._is_drawing = False

    # ── The end ───────────────────────────────────────────────────────────────────────────────

    def summarize(self) -> None:
        """Show a summary of everything that was waited for."""
        if not self._waits:
            return
        if self.is_for_people and len(self.batch.rows) < self._out.height - 3:
            # The summary does not name these, and the live screen is removed.
            for line in successes(self.batch, self._out.width):
                self.print(line)
        console = self._out if self.is_for_people else self._err
        for line in summary(
            self.batch, len(self.creates.in_doubt), with_troubles=self.is_for_people
        ):
            self._print_wrapped(console, line)

    def name_rest(self, *, cut_off: bool) -> None:
        """Name the executions that go on, and how to wait for them again."""
        if cut_off:
            self._results.finish(self.batch, self.creates)
        if cut_off or self._waits:
            width = self._err.width if self._err.is_terminal else _WIDTH_OF_A_FILE
            for line in rest(self.batch, self.creates, journal=self.journal, width=width):
                if line.startswith(" "):  # A command for the user to copy.
                    self._err.print(Text(line), soft_wrap=True)
                else:
                    self.note(line)


def _is_shared(stream: TextIO, *, json: bool) -> bool:
    """Whether this output may appear on the same screen, where drawing would overwrite it."""
    if stream.isatty():
        return json
    with suppress(OSError, ValueError):
        mode = os.fstat(stream.fileno()).st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISCHR(mode)  # A pipe may end at the terminal.
    return True

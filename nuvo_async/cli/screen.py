"""The live view on a terminal: a line of counts, and a line for each execution that fits."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice

from attrs import define, field
from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nuvo_async.cli.batch import Batch, now
from nuvo_async.cli.contact import Contact
from nuvo_async.cli.rows import Row, clean, count, seconds
from nuvo_async.cli.streams import writable
from nuvo_async.cli.tasks import beside

__all__ = ["Screen"]

_REDRAWN_EVERY = 0.125
_BAR = 24
_LONGEST_SUBJECT = 40
_SHORTEST_SUBJECT = 8
_LONGEST_RESULT = 32
_TIME = 8
_SHORTEST_MESSAGE = 12
# A narrower screen shows neither the bar nor times.
_NARROW = 60


@define(eq=False)
class Screen:
    """Draws the current state repeatedly, in place."""

    console: Console
    batch: Batch
    contact: Contact
    _spinner: Spinner = field(init=False)

    def __attrs_post_init__(self) -> None:
        is_utf = self.console.encoding.lower().startswith("utf")
        self._spinner = Spinner("dots" if is_utf else "line")

    @asynccontextmanager
    async def drawn(self) -> AsyncIterator[None]:
        """Draw while the block runs, and clear the drawing afterwards."""
        live = Live(
            console=self.console,
            get_renderable=self._render,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with live:
            async with beside(_redraw(live)):
                yield

    def _render(self) -> Group:
        outage = self.contact.outage()
        if outage is None:
            return Group(self._counts(), *self._lines(self._chosen()))
        note = Text(self._fit(str(outage)), "red")
        note.truncate(self.console.width, overflow="ellipsis")
        return Group(self._counts(), note, *self._lines(self._chosen(taken=1)))

    def _counts(self) -> Table:
        batch = self.batch
        parts = [f"{batch.done:,} of {batch.total:,} done"]
        parts += [f"{batch.failed:,} failed"] * (batch.failed > 0)
        parts += [f"{len(batch.running):,} running"]
        if batch.unread_results > 0:
            parts += [f"{count(batch.unread_results, 'result')} to be read"]
        is_narrow = self.console.width < _NARROW
        progress = ProgressBar(total=max(batch.total, 1), completed=batch.done, width=_BAR)
        text = Text()
        _append(text, parts, self.console.width - (0 if is_narrow else _BAR + 1))
        line = Table.grid(padding=(0, 1))
        line.add_row(*([text] if is_narrow else [progress, text]))
        return line

    def _chosen(self, taken: int = 0) -> Sequence[Row]:
        """The rows that fit: running executions, and those that ended last."""
        room = max(self.console.height - 3 - taken, 1)
        running = list(islice(self.batch.running.values(), room))
        for_ended = max(room // 3, room - len(running))
        ended = list(islice(reversed(self.batch.ended_last), for_ended))
        return [*reversed(ended), *running[: room - len(ended)]]

    def _lines(self, rows: Sequence[Row]) -> Iterable[Text]:
        width = self.console.width
        time = 0 if width < _NARROW else _TIME + 1
        result = max((cell_len(row.result().plain) for row in rows), default=0)
        longest = max((cell_len(row.subject) for row in rows), default=0)
        # The sign and two gaps. The text after the result takes the remaining width.
        room = width - 4 - time - min(result, _LONGEST_RESULT)
        subject = min(longest, _LONGEST_SUBJECT, max(room, _SHORTEST_SUBJECT))
        return [self._line(row, subject, width, with_time=time > 0) for row in rows]

    def _line(self, row: Row, subject: int, width: int, *, with_time: bool) -> Text:
        moment = now() if row.ended_at is None else row.ended_at
        sign = self._spinner.render(moment) if row.ended_at is None else row.sign()
        name = Text(self._fit(row.subject))
        name.truncate(subject, overflow="ellipsis", pad=True)
        line = Text.assemble(sign if isinstance(sign, Text) else "", " ", name, no_wrap=True)
        if with_time:
            time = "" if row.execution_id is None else seconds(moment - row.since)
            line.append(f" {time:>{_TIME}}")
        result = row.result()
        line.append(" ").append(self._fit(result.plain), result.style)
        room = width - line.cell_len - 2
        if (message := self._fit(row.message())) and room >= _SHORTEST_MESSAGE:
            about = Text(message)
            about.truncate(room, overflow="ellipsis")
            line.append("  ").append(about)
        _append(line, row.figures(), width, gap="  ")
        line.truncate(width, overflow="ellipsis")
        return line

    def _fit(self, text: str) -> str:
        """Fit the text to the column, as the encoding will write it."""
        return writable(clean(text), self.console.encoding)


def _append(line: Text, parts: Iterable[str], width: int, *, gap: str = "") -> None:
    """Append as many parts as fit, separated by commas."""
    for part in parts:
        if line.cell_len + cell_len(gap + part) > width:
            return
        line.append(gap + part)
        gap = ", "


async def _redraw(live: Live) -> None:
    while True:
        live.refresh()
        await asyncio.sleep(_REDRAWN_EVERY)

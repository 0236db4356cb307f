"""Results as plain text: one line for each event."""

from collections.abc import Callable

from nuvo_async.cli.batch import Batch
from nuvo_async.cli.creates import Creates
from nuvo_async.cli.rows import Row, clean, outcome

__all__ = ["PlainLines"]


class PlainLines:
    """Writes a line for each change of status. Errors are shown as messages, not as results."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def on_status(self, row: Row) -> None:
        """Write that an execution is still running."""
        self._write(_line(row))

    def on_end(self, row: Row) -> None:
        """Write the outcome of an execution."""
        about = "" if row.execution is None else outcome(row.execution)
        self._write(f"{_line(row)}: {about}" if about else _line(row))

    def on_trouble(self, row: Row) -> None:
        """Write nothing, because a message shows it."""

    def on_no_files(self, pipeline_id: str) -> None:
        """Write that there is no execution."""
        self._write(f"{clean(pipeline_id)}: there is no file, so there is no execution")

    def finish(self, batch: Batch, creates: Creates) -> None:
        """Write nothing, because messages show the rest."""


def _line(row: Row) -> str:
    status = "" if row.execution is None else clean(row.execution.status)
    return f"{row.subject}: execution {clean(row.execution_id)} is {status}"

"""The state of one execution, and the texts that describe it."""

from collections.abc import Sequence
from datetime import datetime

from attrs import define
from rich.text import Text

from nuvo_async.models import (
    CreateOutcomeUnknownError,
    Execution,
    ExecutionStatus,
    NotFoundError,
    NuvoError,
    WaitOutageError,
    WaitTimeoutError,
)
from nuvo_async.wire import printable

__all__ = [
    "Row",
    "clean",
    "count",
    "figures",
    "local",
    "outcome",
    "result",
    "seconds",
    "status",
    "trouble",
]

_STYLES = {
    ExecutionStatus.SUCCESSFUL: "green",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.PROCESSING: "yellow",
}


def clean(text: object) -> str:
    """Replace characters that would control a terminal, because texts come from a server."""
    return printable(str(text))


def count(number: int, what: str) -> str:
    """A number of things, such as `1 execution` or `2 executions`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def seconds(number: float) -> str:
    """A duration in readable form."""
    if number < 100:
        return f"{number:.1f} s"
    minutes, rest = divmod(int(number), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def local(moment: datetime | None) -> datetime | None:
    """The time in the local time zone, or unchanged if it is out of range there."""
    try:
        return None if moment is None else moment.astimezone()
    except (OverflowError, ValueError):
        return moment


def status(execution: Execution) -> Text:
    """The status, in its colour."""
    return Text(clean(execution.status), _STYLES.get(execution.status, ""))


def result(execution: Execution) -> Text:
    """The outcome in one word: the error type of a failed execution, otherwise the status."""
    if execution.error is None:
        return status(execution)
    return Text(clean(execution.error.type), "red")


def figures(execution: Execution) -> list[str]:
    """The figures of the latest run, the most important first. A current run has none."""
    run = execution.latest_run
    if run is None or run.data is None or not execution.is_finished:
        return []
    parts = [f"{run.data.total_rows:,} rows", f"{run.data.total_error_cells:,} error cells"]
    return parts if run.duration is None else [*parts, seconds(run.duration.total_seconds())]


def outcome(execution: Execution) -> str:
    """The outcome of an execution in a few words; empty while it is running."""
    if execution.error is not None:
        return clean(f"{execution.error.type}: {execution.error.message}")
    return ", ".join(figures(execution))


def trouble(error: NuvoError) -> str:
    """Describe the error that ended a wait, or that prevented a pipeline from starting."""
    if isinstance(error, WaitTimeoutError):
        after = f"after {error.timeout:g} s"
        if error.last is None:
            return clean(f"not read {after}: {error.__cause__ or 'no answer yet'}")
        if error.__cause__ is not None:
            return clean(f"was {error.last.status}, and not read since: {error.__cause__}")
        return f"still running {after}"
    if isinstance(error, CreateOutcomeUnknownError):
        return clean(f"{error}; what came back: {error.__cause__ or 'nothing'}")
    return clean(error)


def _trouble_in_short(error: NuvoError, *, is_started: bool) -> str:
    if isinstance(error, CreateOutcomeUnknownError):
        return "started or not"
    if not is_started:
        return "not started"
    if isinstance(error, WaitOutageError) or error.__cause__ is not None:
        return "not known"
    return "timed out" if isinstance(error, WaitTimeoutError) else "error"


@define(eq=False)
class Row:
    """An execution that is followed, or a pipeline that has started no execution.

    `since` and `ended_at` are times of the event loop.
    """

    since: float
    execution_id: str | None = None
    pipeline: str | None = None
    execution: Execution | None = None
    ended_at: float | None = None
    trouble: NuvoError | None = None

    @property
    def subject(self) -> str:
        """The pipeline or execution that the row describes."""
        return clean(self.pipeline or f"execution {self.execution_id}")

    @property
    def goes_on(self) -> bool:
        """Whether the execution may still be running."""
        if self.execution_id is None or isinstance(self.trouble, NotFoundError):
            return False
        return self.execution is None or not self.execution.is_finished

    @property
    def succeeded(self) -> bool:
        """Whether the execution has succeeded."""
        return self.execution is not None and self.execution.succeeded

    def sign(self) -> Text:
        """A symbol for the way it ended."""
        return Text("✔", "green") if self.succeeded else Text("✘", "red")

    def result(self) -> Text:
        """The result so far, in one or two words."""
        if self.trouble is not None:
            started = self.execution_id is not None
            return Text(_trouble_in_short(self.trouble, is_started=started), "red")
        return Text("not read yet", "dim") if self.execution is None else result(self.execution)

    def message(self) -> str:
        """The reason for the result, if there is one."""
        if self.trouble is not None:
            return trouble(self.trouble)
        error = None if self.execution is None else self.execution.error
        return "" if error is None else clean(error.message)

    def figures(self) -> Sequence[str]:
        """The figures of its run, if there is no message."""
        return () if self.execution is None or self.message() else figures(self.execution)

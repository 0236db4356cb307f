"""What is known of one execution, and how that is said to people."""

from datetime import datetime

from attrs import define
from rich.text import Text

from nuvo_async.models.errors import NotFoundError, NuvoError
from nuvo_async.models.executions import CreateOutcomeUnknownError, Execution, WaitTimeoutError
from nuvo_async.models.shapes import ExecutionStatus
from nuvo_async.wire.redaction import printable

__all__ = ["Row", "clean", "count", "local", "outcome", "seconds", "status", "trouble"]

_STYLES = {
    ExecutionStatus.SUCCESSFUL: "green",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.PROCESSING: "yellow",
}


def clean(text: object) -> str:
    """Take out what would steer a terminal: the texts come from a server."""
    return printable(str(text))


def count(number: int, what: str) -> str:
    """So many of something."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def seconds(number: float) -> str:
    """A duration, as people read it."""
    if number < 100:
        return f"{number:.1f} s"
    minutes, rest = divmod(int(number), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def local(moment: datetime | None) -> datetime | None:
    """The time here; as it came where that is beyond what a clock can show."""
    try:
        return None if moment is None else moment.astimezone()
    except (OverflowError, ValueError):
        return moment


def status(execution: Execution) -> Text:
    """The status, in its colour."""
    return Text(clean(execution.status), _STYLES.get(execution.status, ""))


def outcome(execution: Execution) -> str:
    """Say in a few words what came of an execution; nothing while it runs."""
    if execution.error is not None:
        return clean(f"{execution.error.type}: {execution.error.message}")
    run = execution.latest_run
    if run is None or run.data is None or not execution.is_finished:
        return ""
    time = "" if run.duration is None else f" in {seconds(run.duration.total_seconds())}"
    return f"{run.data.total_rows:,} rows, {run.data.total_error_cells:,} error cells{time}"


def trouble(error: NuvoError) -> str:
    """Say what ended a wait, or kept an execution from being started."""
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


@define(eq=False)
class Row:
    """An execution that is followed, or a pipeline of which none was seen to start."""

    since: float
    execution_id: str | None = None
    pipeline: str | None = None
    execution: Execution | None = None
    ended_at: float | None = None
    trouble: NuvoError | None = None

    @property
    def subject(self) -> str:
        """What it is about."""
        return clean(self.pipeline or f"execution {self.execution_id}")

    @property
    def goes_on(self) -> bool:
        """Whether it may still be running."""
        if self.execution_id is None or isinstance(self.trouble, NotFoundError):
            return False
        return self.execution is None or not self.execution.is_finished

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.execution is not None and self.execution.succeeded

    def sign(self) -> Text:
        """How it ended, at a glance."""
        return Text("✔", "green") if self.succeeded else Text("✘", "red")

    def says(self) -> Text:
        """What came of it so far."""
        if self.trouble is not None:
            return Text(trouble(self.trouble), "red")
        if self.execution is None:
            return Text("not read yet", "dim")
        return status(self.execution).append(f"  {outcome(self.execution)}", "default")

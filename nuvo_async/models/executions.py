"""An execution, and the exceptions that carry one.

They share a module because each needs the other: an execution raises an exception for its failure,
and the exception holds the execution.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

from attrs import frozen

from nuvo_async.models import dates
from nuvo_async.models.dates import AwareDatetime
from nuvo_async.models.errors import ConfigurationError, NuvoError
from nuvo_async.models.shapes import (
    Actor,
    ErrorDetail,
    ErrorType,
    ExecutionRun,
    ExecutionStatus,
    Pagination,
    TriggerType,
)

__all__ = [
    "CreateOutcomeUnknownError",
    "DestinationError",
    "DestinationSizeLimitError",
    "DestinationUnresponsiveError",
    "ErrorThresholdExceededError",
    "Execution",
    "ExecutionFailedError",
    "ExecutionPage",
    "ExecutionsFailed",
    "JournalError",
    "ParsingFailureError",
    "PipelineRun",
    "SourceDataEmptyError",
    "SourceError",
    "SourceUnresponsiveError",
    "States",
    "WaitOutageError",
    "WaitTimeoutError",
    "WriteFileFailureError",
    "failures_of",
]


@frozen(weakref_slot=False)
class Execution:
    """One run of a pipeline, as Create, Read by ID and Read all return it.

    Create returns the first four fields, Read all returns all but `logs` and `configuration`, and
    Read by ID returns all. Fields that a call does not return are `None`, or `()` for `logs`.
    """

    id: str
    pipeline: str
    status: ExecutionStatus
    trigger_type: TriggerType
    error: ErrorDetail | None = None
    logs: tuple[ExecutionRun, ...] = ()
    configuration: str | None = None
    created_at: AwareDatetime | None = None
    created_by: Actor | None = None
    updated_at: AwareDatetime | None = None
    updated_by: Actor | None = None

    @property
    def is_finished(self) -> bool:
        """Whether it is SUCCESSFUL or FAILED. An unknown status does not count as finished."""
        return self.succeeded or self.failed

    @property
    def succeeded(self) -> bool:
        """Whether it is SUCCESSFUL."""
        return self.status == ExecutionStatus.SUCCESSFUL

    @property
    def failed(self) -> bool:
        """Whether it is FAILED. A user may still fix it, which makes it PROCESSING again."""
        return self.status == ExecutionStatus.FAILED

    @property
    def latest_run(self) -> ExecutionRun | None:
        """The last entry of `logs`, or `None` if `logs` is empty."""
        return self.logs[-1] if self.logs else None

    def raise_for_failure(self) -> None:
        """Raise the `ExecutionFailedError` of its error type if it FAILED."""
        if self.failed:
            raise _failure_of(self)


@frozen(weakref_slot=False)
class ExecutionPage:
    """One page of Read all."""

    data: tuple[Execution, ...]
    pagination: Pagination


@frozen
class States:
    """A page of Read all as `waiting` reads it: without records that are not as documented.

    `count` is the number of entries on the page. `limit` is the limit that the server applied, or 0
    if the server did not report it.
    """

    executions: tuple[Execution, ...]
    count: int
    limit: int


class ExecutionFailedError(NuvoError):
    """An execution FAILED. Each documented error type has its own subclass.

    If the API gave no reason, `error_type` is `None` and `message` is empty.
    """

    def __init__(self, execution: Execution) -> None:
        detail = execution.error
        reason = f"{detail.message} ({detail.type})" if detail else "the API gave no reason"
        super().__init__(
            f"execution {execution.id} of pipeline {execution.pipeline} failed: {reason}"
        )
        self.execution = execution
        self.error_type: ErrorType | None = detail.type if detail else None
        self.message = detail.message if detail else ""


class SourceError(ExecutionFailedError):
    """The input caused the failure."""


class SourceUnresponsiveError(SourceError):
    """The input could not be reached (SOURCE_UNRESPONSIVE)."""


class SourceDataEmptyError(SourceError):
    """The file held no data (SOURCE_DATA_EMPTY)."""


class ParsingFailureError(SourceError):
    """The file could not be parsed (PARSING_FAILURE)."""


class DestinationError(ExecutionFailedError):
    """The output caused the failure."""


class DestinationUnresponsiveError(DestinationError):
    """The output could not be reached (DESTINATION_UNRESPONSIVE)."""


class DestinationSizeLimitError(DestinationError):
    """The output's size limit was reached (DESTINATION_SIZE_LIMIT)."""


class WriteFileFailureError(DestinationError):
    """The output was reached, but could not be written (WRITE_FILE_FAILURE)."""


class ErrorThresholdExceededError(ExecutionFailedError):
    """Too many cells were erroneous (ERROR_THRESHOLD_EXCEEDED).

    `error_ratio` is their share in the latest run, from 0 to 1, or `None` if it is not known.
    """

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution)
        run = execution.latest_run
        self.error_ratio = run.data.error_ratio if run and run.data else None
        if self.error_ratio is not None:
            self.args = (f"{self.args[0]}; {self.error_ratio:.1%} of its cells are erroneous",)


_FAILURES: Mapping[ErrorType | None, type[ExecutionFailedError]] = {
    ErrorType.SOURCE_UNRESPONSIVE: SourceUnresponsiveError,
    ErrorType.SOURCE_DATA_EMPTY: SourceDataEmptyError,
    ErrorType.PARSING_FAILURE: ParsingFailureError,
    ErrorType.DESTINATION_UNRESPONSIVE: DestinationUnresponsiveError,
    ErrorType.DESTINATION_SIZE_LIMIT: DestinationSizeLimitError,
    ErrorType.WRITE_FILE_FAILURE: WriteFileFailureError,
    ErrorType.ERROR_THRESHOLD_EXCEEDED: ErrorThresholdExceededError,
}


def _failure_of(execution: Execution) -> ExecutionFailedError:
    error_type = None if execution.error is None else execution.error.type
    return _FAILURES.get(error_type, ExecutionFailedError)(execution)


class ExecutionsFailed(NuvoError, ExceptionGroup[Exception]):  # noqa: N818 - named like the built-in ExceptionGroup
    """Several executions were awaited, and some failed. The group has one exception for each.

    `except*` selects failures by class. `executions` holds all awaited executions in order,
    including those that succeeded.
    """

    executions: tuple[Execution, ...]

    def __new__(  # noqa: D102 - as the class says
        cls, message: str, exceptions: Sequence[Exception], executions: Sequence[Execution] = ()
    ) -> Self:
        group = super().__new__(cls, message, exceptions)
        group.executions = tuple(executions)
        return group

    def __init__(
        self,
        message: str,
        exceptions: Sequence[Exception],
        executions: Sequence[Execution] = (),  # noqa: ARG002 - taken by __new__
    ) -> None:
        super().__init__(message, exceptions)

    def derive(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        excs: Sequence[Exception],  # typeshed: any group
    ) -> Self:
        """Return a group of the same kind for a part of the exceptions."""
        return type(self)(self.message, excs, self.executions)


def failures_of(executions: Sequence[Execution]) -> ExecutionsFailed | None:
    """Return a group with the failures among the executions, or `None` if all succeeded."""
    failures = [_failure_of(one) for one in executions if one.failed]
    if not failures:
        return None
    message = f"{len(failures)} of {len(executions)} executions failed"
    return ExecutionsFailed(message, failures, executions)


class JournalError(ConfigurationError):
    """A journal is corrupt, belongs to another list, is in use, was replaced, or is not writable.

    `executions` are the executions that the run had started or continued, and whose end is not in
    the journal. They go on remotely, and can be waited for by id.
    """

    executions: tuple[Execution, ...] = ()  # The default for pickles of version 0.1.

    def __init__(self, message: str, *, executions: Sequence[Execution] = ()) -> None:
        super().__init__(message)
        self.executions = tuple(executions)


class CreateOutcomeUnknownError(NuvoError):
    """A Create was sent, but it is not known whether it started an execution. It is not repeated.

    `__cause__` is the error that hid the outcome. `candidates` are the executions of the pipeline
    that Read all returned as created since `sent_at` (by this client's clock): one of them may be
    the execution that the Create started. The clocks are compared in whole seconds, so candidates
    may be up to two seconds older. If Read all failed too, `candidates_read` is `False`, and an
    empty `candidates` has no meaning.
    """

    def __init__(
        self,
        pipeline_id: str,
        *,
        sent_at: datetime,
        candidates: Sequence[Execution],
        candidates_read: bool = True,
    ) -> None:
        if candidates:
            ids = ", ".join(candidate.id for candidate in candidates)
            found = f"these executions were created since, one may be it: {ids}"
        elif candidates_read:
            found = "no execution of it was seen since; look again before you repeat it"
        else:
            found = "its executions could not be listed either; look for it before you repeat it"
        super().__init__(
            f"pipeline {pipeline_id}: Create was sent at {dates.to_text(sent_at)},"
            f" and its outcome is not known: {found}"
        )
        self.pipeline_id = pipeline_id
        self.sent_at = sent_at
        self.candidates = tuple(candidates)
        self.candidates_read = candidates_read


class WaitTimeoutError(NuvoError, TimeoutError):
    """The wait timed out. The executions go on, and can be waited for again.

    `pending` maps each id to its `Execution` as last read, or `None`. `finished` holds all
    executions that ended during this call. `timeout` is in seconds. `execution_id` and `last`
    belong to the first pending execution.
    """

    def __init__(
        self,
        timeout: float,
        *,
        pending: Mapping[str, Execution | None],
        finished: Sequence[Execution] = (),
    ) -> None:
        self.timeout = timeout
        self.pending = dict(pending)
        self.finished = tuple(finished)
        self.execution_id, self.last = next(iter(self.pending.items()))
        seen = (
            "could not be read" if self.last is None else f"was {self.last.status} when last read"
        )
        others = len(self.pending) - 1
        super().__init__(
            f"execution {self.execution_id} {seen}{f', and {others} more' if others else ''},"
            f" after {timeout:g} s of waiting; it may still go on: wait for it again by its id"
        )


class WaitOutageError(NuvoError):
    """An execution could not be read for `PollPolicy.max_outage` seconds.

    It is not known whether or how it ended. `since` is when the outage began, `last` is the last
    state that was read before it, and `__cause__` is the latest error.
    """

    def __init__(self, execution_id: str, *, last: Execution | None, since: datetime) -> None:
        super().__init__(
            f"execution {execution_id}: nothing could be read since {dates.to_text(since)}, its"
            " state is not known; wait for it again by its id when the API can be reached"
        )
        self.execution_id = execution_id
        self.last = last
        self.since = since


@frozen
class PipelineRun:
    """The result of running one pipeline: the executions it started, and the error, if any.

    `error` is `ExecutionsFailed` if executions FAILED. Any other error prevented them from being
    started or awaited; `executions` then holds them as they were last read.
    """

    pipeline_id: str
    executions: tuple[Execution, ...] = ()
    error: NuvoError | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the pipeline was started, and all its executions succeeded."""
        return self.error is None and all(one.succeeded for one in self.executions)

    def raise_for_failure(self) -> None:
        """Raise `error` if there is one, or `ExecutionsFailed` if an execution failed."""
        failed = self.error or failures_of(self.executions)
        if failed is not None:
            raise failed

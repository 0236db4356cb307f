"""The enums and the smaller shapes of the Execution API, with the API's own names.

`Execution`, which is made of these, is in `executions`.
"""

from enum import StrEnum
from typing import Self

from attrs import frozen

from nuvo_async.models.dates import AwareDatetime, Duration

__all__ = [
    "Actor",
    "ActorType",
    "ErrorDetail",
    "ErrorType",
    "ExecutionRun",
    "ExecutionStatus",
    "Pagination",
    "RunData",
    "RunType",
    "TriggerType",
]


class _OpenEnum(StrEnum):
    """An enum that keeps values it does not know, such as those that the API adds later."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member

    def __reduce_ex__(self, proto: object) -> tuple[type[Self], tuple[str]]:
        # Early releases of Python 3.11 pickle the name, which only works for known values.
        return type(self), (self.value,)

    @property
    def is_known(self) -> bool:
        """Whether this version of the package knows the value as a member."""
        return self.name in type(self).__members__


class ExecutionStatus(_OpenEnum):
    """The status of an execution, or of one run of it."""

    PROCESSING = "PROCESSING"
    SUCCESSFUL = "SUCCESSFUL"
    FAILED = "FAILED"


class TriggerType(_OpenEnum):
    """How an execution was triggered: by the API, by a schedule, or by incoming data."""

    MANUAL = "MANUAL"
    SCHEDULED = "SCHEDULED"
    EVENT = "EVENT"


class ErrorType(_OpenEnum):
    """Why an execution failed."""

    SOURCE_UNRESPONSIVE = "SOURCE_UNRESPONSIVE"
    SOURCE_DATA_EMPTY = "SOURCE_DATA_EMPTY"
    PARSING_FAILURE = "PARSING_FAILURE"
    DESTINATION_UNRESPONSIVE = "DESTINATION_UNRESPONSIVE"
    DESTINATION_SIZE_LIMIT = "DESTINATION_SIZE_LIMIT"
    WRITE_FILE_FAILURE = "WRITE_FILE_FAILURE"
    ERROR_THRESHOLD_EXCEEDED = "ERROR_THRESHOLD_EXCEEDED"


class RunType(_OpenEnum):
    """Whether a run was the first attempt, or came after a fix."""

    CREATE = "CREATE"
    FIX = "FIX"


class ActorType(_OpenEnum):
    """Whether a user or a sub-organization acted."""

    USER = "USER"
    SUB_ORG = "SUB_ORG"


@frozen(weakref_slot=False)
class ErrorDetail:
    """Why an execution failed, in the API's words (`error` of an execution)."""

    message: str
    type: ErrorType


@frozen(weakref_slot=False)
class RunData:
    """Figures of a run's output, after mapping (`data` of a run)."""

    total_rows: int
    total_cells: int
    total_error_cells: int
    total_error_rows: int

    @property
    def error_ratio(self) -> float:
        """The share of cells with an error, from 0 to 1; 0 if there are no cells."""
        if self.total_cells <= 0:
            return 0.0
        return min(max(self.total_error_cells, 0), self.total_cells) / self.total_cells


@frozen(weakref_slot=False)
class ExecutionRun:
    """One attempt at an execution (an entry of `logs`): first a `CREATE`, then one `FIX` per fix.

    `data` and `duration` can be `None` while the run is PROCESSING.
    """

    status: ExecutionStatus
    data: RunData | None
    duration: Duration | None
    started_on: AwareDatetime
    type: RunType


@frozen(weakref_slot=False)
class Actor:
    """Who created or last updated an execution (`created_by`, `updated_by`)."""

    id: str
    name: str
    identifier: str
    type: ActorType


@frozen(weakref_slot=False)
class Pagination:
    """The pagination of a page (`pagination` of Read all).

    `total` may count this page or the whole result, so do not rely on it.
    `limit` may be lower than the requested limit.
    """

    total: int
    offset: int
    limit: int

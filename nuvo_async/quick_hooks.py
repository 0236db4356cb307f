"""How executions are structured on the hot path: by hand, and without a word on what is wrong.

Calling functions is what costs here, so each model is read by one of them. What they refuse, in
whatever way, `hooks` structures once more, to tell the reason; a test holds the two together. They
take half the time of what cattrs makes.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from typing import Any, TypeVar

from nuvo_async.dates import from_text
from nuvo_async.executions import Execution, ExecutionPage
from nuvo_async.models import (
    Actor,
    ActorType,
    ErrorDetail,
    ErrorType,
    ExecutionRun,
    ExecutionStatus,
    Pagination,
    RunData,
    RunType,
    TriggerType,
)

__all__ = ["QUICK_HOOKS"]

Enum = TypeVar("Enum", bound=StrEnum)


def _lookup(enum: type[Enum]) -> dict[str, Enum]:
    return {member.value: member for member in enum}


_STATUSES = _lookup(ExecutionStatus)
_TRIGGER_TYPES = _lookup(TriggerType)
_RUN_TYPES = _lookup(RunType)
_EXECUTION = itemgetter("id", "pipeline", "status", "trigger_type")
_RUN_DATA = itemgetter("total_rows", "total_cells", "total_error_cells", "total_error_rows")
_PAGINATION = itemgetter("total", "offset", "limit")
_ACTOR = itemgetter("id", "name", "identifier", "type")
_ERROR = itemgetter("message", "type")
_NUMBERS = {int, float}


def _check(fits: object) -> None:
    if not fits:
        raise TypeError


def _page(obj: Any, _: object) -> ExecutionPage:
    entries = obj["data"]
    _check(type(entries) is list)
    numbers = _PAGINATION(obj["pagination"])
    _check({*map(type, numbers)} == {int})
    return ExecutionPage(tuple([_execution(one) for one in entries]), Pagination(*numbers))


def _execution(obj: Any, _: object = None) -> Execution:
    _check(type(obj) is dict)
    identifier, pipeline, status, trigger_type = _EXECUTION(obj)
    get = obj.get
    configuration = get("configuration")
    _check(
        type(identifier) is str
        and identifier.strip()
        and type(pipeline) is str
        and (configuration is None or type(configuration) is str)
    )
    created_at, updated_at = get("created_at"), get("updated_at")
    return Execution(
        identifier,
        pipeline,
        _STATUSES.get(status) or ExecutionStatus(status),
        _TRIGGER_TYPES.get(trigger_type) or TriggerType(trigger_type),
        None if (error := get("error")) is None else _error(error),
        () if (logs := get("logs")) is None else _runs(logs),
        configuration,
        None if created_at is None else from_text(created_at),
        None if (actor := get("created_by")) is None else _actor(*_ACTOR(actor)),
        None if updated_at is None else from_text(updated_at),
        None if (actor := get("updated_by")) is None else _actor(*_ACTOR(actor)),
    )


def _runs(entries: Any) -> tuple[ExecutionRun, ...]:
    _check(type(entries) is list)
    return tuple([_run(one) for one in entries])


def _run(obj: Any) -> ExecutionRun:
    status, kind = obj["status"], obj["type"]
    duration = obj.get("duration")
    _check(duration is None or type(duration) in _NUMBERS)
    return ExecutionRun(
        _STATUSES.get(status) or ExecutionStatus(status),
        None if (data := obj.get("data")) is None else _run_data(data),
        None if duration is None else timedelta(milliseconds=duration),
        from_text(obj["started_on"]),
        _RUN_TYPES.get(kind) or RunType(kind),
    )


def _run_data(obj: Any) -> RunData:
    numbers = _RUN_DATA(obj)
    _check({*map(type, numbers)} == {int})
    return RunData(*numbers)


# Few people start thousands of executions, each of which names them twice.
@lru_cache(maxsize=100)
def _actor(identity: str, name: str, identifier: str, kind: str) -> Actor:
    _check({type(identity), type(name), type(identifier), type(kind)} == {str})
    return Actor(identity, name, identifier, ActorType(kind))


def _error(obj: Any) -> ErrorDetail:
    message, kind = _ERROR(obj)
    _check(type(message) is str and type(kind) is str)
    return ErrorDetail(message, ErrorType(kind))


QUICK_HOOKS: Mapping[type, Callable[[Any, Any], Any]] = {
    ExecutionPage: _page,
    Execution: _execution,
}

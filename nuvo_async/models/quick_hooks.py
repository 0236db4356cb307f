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
from typing import Any, TypeVar, cast

import attrs

from nuvo_async.arguments import path_segment
from nuvo_async.models.dates import from_text
from nuvo_async.models.executions import Execution, ExecutionPage
from nuvo_async.models.shapes import (
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
Model = TypeVar("Model")


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
_MILLISECOND = timedelta(milliseconds=1)


def _twin(cls: type[Model]) -> Callable[..., Any]:
    """Return a class alike that is not frozen.

    The `__init__` of a frozen class goes through `object.__setattr__` for each field. An instance
    of its twin is made in half the time, and then becomes one of it (`__class__`), which saves a
    tenth of what a page costs.
    """
    names = [one.name for one in attrs.fields(cast("type[attrs.AttrsInstance]", cls))]
    return attrs.make_class(cls.__name__, names, slots=True, weakref_slot=False)


_make_execution = _twin(Execution)
_make_run = _twin(ExecutionRun)
_make_run_data = _twin(RunData)


def _page(obj: Any, _: object) -> ExecutionPage:
    entries = obj["data"]
    numbers = _PAGINATION(obj["pagination"])
    if type(entries) is not list or {*map(type, numbers)} != {int}:
        raise TypeError
    return ExecutionPage(tuple([_execution(one) for one in entries]), Pagination(*numbers))


def _execution(obj: Any, _: object = None) -> Execution:
    if type(obj) is not dict:
        raise TypeError
    identifier, pipeline, status, trigger_type = _EXECUTION(obj)
    get = obj.get
    configuration = get("configuration")
    if (
        type(identifier) is not str
        or not (identifier.isalnum() or path_segment("id", identifier))
        or type(pipeline) is not str
        or (configuration is not None and type(configuration) is not str)
    ):
        raise TypeError
    created_at, updated_at = get("created_at"), get("updated_at")
    execution = _make_execution(
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
    execution.__class__ = Execution
    return cast("Execution", execution)


def _runs(entries: Any) -> tuple[ExecutionRun, ...]:
    if type(entries) is not list:
        raise TypeError
    return tuple(map(_run, entries))


def _run(obj: Any) -> ExecutionRun:
    status, kind = obj["status"], obj["type"]
    run = _make_run(
        _STATUSES.get(status) or ExecutionStatus(status),
        None if (data := obj.get("data")) is None else _run_data(data),
        None if (duration := obj.get("duration")) is None else _duration(duration),
        from_text(obj["started_on"]),
        _RUN_TYPES.get(kind) or RunType(kind),
    )
    run.__class__ = ExecutionRun
    return cast("ExecutionRun", run)


def _duration(obj: Any) -> timedelta:
    if type(obj) is int:
        return obj * _MILLISECOND  # Making one takes thrice as long.
    if type(obj) is not float:
        raise TypeError
    return timedelta(milliseconds=obj)


def _run_data(obj: Any) -> RunData:
    rows, cells, error_cells, error_rows = _RUN_DATA(obj)
    if not type(rows) is type(cells) is type(error_cells) is type(error_rows) is int:
        raise TypeError
    data = _make_run_data(rows, cells, error_cells, error_rows)
    data.__class__ = RunData
    return cast("RunData", data)


# Few people start thousands of executions, each of which names them twice.
@lru_cache(maxsize=100)
def _actor(identity: str, name: str, identifier: str, kind: str) -> Actor:
    if {type(identity), type(name), type(identifier), type(kind)} != {str}:
        raise TypeError
    return Actor(identity, name, identifier, ActorType(kind))


def _error(obj: Any) -> ErrorDetail:
    message, kind = _ERROR(obj)
    if type(message) is not str:
        raise TypeError
    return ErrorDetail(message, ErrorType(kind))


QUICK_HOOKS: Mapping[type, Callable[[Any, Any], Any]] = {
    ExecutionPage: _page,
    Execution: _execution,
}

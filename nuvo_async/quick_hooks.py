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
_NUMBERS = {int, float}


def _maker(cls: type[Model]) -> Callable[..., Model]:
    """Return a function that makes frozen instances in the time that others take.

    The `__init__` of a frozen class goes through `object.__setattr__` for each field. An instance
    of a twin that is not frozen can become one of it, which saves a tenth of what a page costs.
    """
    names = [one.name for one in attrs.fields(cast("type[attrs.AttrsInstance]", cls))]
    twin = attrs.make_class(cls.__name__, names, slots=True, weakref_slot=False)

    def make(*values: object) -> Model:
        made = twin(*values)
        made.__class__ = cls
        return cast("Model", made)

    return make


_make_execution = _maker(Execution)
_make_run = _maker(ExecutionRun)
_make_run_data = _maker(RunData)


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
        or not identifier.strip()
        or type(pipeline) is not str
        or (configuration is not None and type(configuration) is not str)
    ):
        raise TypeError
    created_at, updated_at = get("created_at"), get("updated_at")
    return _make_execution(
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
    if type(entries) is not list:
        raise TypeError
    return tuple([_run(one) for one in entries])


def _run(obj: Any) -> ExecutionRun:
    status, kind = obj["status"], obj["type"]
    duration = obj.get("duration")
    if duration is not None and type(duration) not in _NUMBERS:
        raise TypeError
    return _make_run(
        _STATUSES.get(status) or ExecutionStatus(status),
        None if (data := obj.get("data")) is None else _run_data(data),
        None if duration is None else timedelta(milliseconds=duration),
        from_text(obj["started_on"]),
        _RUN_TYPES.get(kind) or RunType(kind),
    )


def _run_data(obj: Any) -> RunData:
    numbers = _RUN_DATA(obj)
    if {*map(type, numbers)} != {int}:
        raise TypeError
    return _make_run_data(*numbers)


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

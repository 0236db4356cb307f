"""The cattrs converter for the API's JSON, configured in one function.

Each hook refuses values of another type. cattrs alone would coerce them: `None` would become
`"None"`, 1.9 would become 1, and a string would become a tuple of its characters.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import attrs
from cattrs import BaseValidationError, Converter, transform_error
from cattrs.cols import homogenous_tuple_structure_factory, is_sequence
from cattrs.gen import make_dict_structure_fn, override

from nuvo_async import arguments
from nuvo_async.models import dates
from nuvo_async.models.dates import Duration
from nuvo_async.models.errors import InvalidResponseError
from nuvo_async.models.executions import Execution
from nuvo_async.models.shapes import (
    ActorType,
    ErrorType,
    ExecutionRun,
    ExecutionStatus,
    RunType,
    TriggerType,
)

__all__ = ["CONVERTER", "structure"]

T = TypeVar("T")


_JSON_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def _expected(what: str, obj: object) -> TypeError:
    # The message shows the type and not the value, which may be a secret that the server echoes.
    found = _JSON_NAMES.get(type(obj), type(obj).__name__)
    return TypeError(f"expected {what}, got {found}")


def _string(obj: object, _: object) -> str:
    if not isinstance(obj, str):
        raise _expected("a string", obj)
    return obj


def _identifier(obj: object, _: object) -> str:
    text = _string(obj, str)
    try:
        return arguments.path_segment("id", text)
    except ValueError:
        raise TypeError("expected an id, got a string that can be none") from None


def _integer(obj: object, _: object) -> int:
    if type(obj) is float:
        raise TypeError("expected an integer, got a fraction")
    if type(obj) is not int:
        raise _expected("an integer", obj)
    return obj


def _enum(obj: object, cls: Any) -> Any:
    return cls(_string(obj, cls))


def _date_time(obj: object, _: object) -> datetime:
    text = _string(obj, str)
    try:
        return dates.from_text(text)
    except ValueError:
        raise TypeError("expected an ISO 8601 date-time, got another string") from None


def _duration(obj: object, _: object) -> Duration:
    try:
        return dates.from_milliseconds(obj)
    except TypeError:
        raise _expected("a number of milliseconds", obj) from None
    except ValueError:
        raise TypeError("expected a number of milliseconds, got one out of range") from None


def _checked(kind: type, what: str, hook: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Check the type before a hook of cattrs, which would otherwise iterate over a string, too."""

    def structure_checked(obj: object, cls: Any) -> Any:
        if not isinstance(obj, kind):
            raise _expected(what, obj)
        return hook(obj, cls)

    return structure_checked


def _make_converter() -> Converter:
    converter = Converter(unstruct_collection_overrides={tuple: list})

    def model_hook(cls: type[Any]) -> Callable[[Any, Any], Any]:
        return _checked(dict, "an object", make_dict_structure_fn(cls, converter))

    def execution_hook(cls: type[Any]) -> Callable[[Any, Any], Any]:
        hook = make_dict_structure_fn(
            cls,
            converter,
            id=override(struct_hook=_identifier),
            logs=override(struct_hook=_nullable),
        )
        return _checked(dict, "an object", hook)

    def run_hook(cls: type[Any]) -> Callable[[Any, Any], Any]:
        hook = make_dict_structure_fn(cls, converter)
        absent = {"data": None, "duration": None}
        return _checked(dict, "an object", lambda obj, _: hook({**absent, **obj}, cls))

    def tuple_hook(cls: Any) -> Callable[[Any, Any], Any]:
        return _checked(list, "an array", homogenous_tuple_structure_factory(cls, converter))

    def _nullable(obj: object, cls: Any) -> Any:
        return () if obj is None else converter.structure(obj, cls)

    converter.register_structure_hook(str, _string)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(datetime, _date_time)
    converter.register_structure_hook(Duration, _duration)
    for enum in (ActorType, ErrorType, ExecutionStatus, RunType, TriggerType):
        converter.register_structure_hook(enum, _enum)
        converter.register_unstructure_hook(enum, lambda member: member.value)
    converter.register_structure_hook_factory(is_sequence, tuple_hook)
    converter.register_structure_hook_factory(attrs.has, model_hook)
    converter.register_structure_hook_factory(lambda cls: cls is Execution, execution_hook)
    converter.register_structure_hook_factory(lambda cls: cls is ExecutionRun, run_hook)
    converter.register_unstructure_hook(datetime, dates.to_text)
    converter.register_unstructure_hook(Duration, dates.to_milliseconds)
    return converter


CONVERTER = _make_converter()


def structure(obj: object, shape: type[T], where: str) -> T:
    """Structure JSON. Raises `InvalidResponseError` with the place of the first problem."""
    try:
        return CONVERTER.structure(obj, shape)
    except BaseValidationError as error:
        problems = transform_error(error, where, _describe)
    except TypeError as error:
        problems = [f"{error} @ {where}"]
    problem, _, place = problems[0].rpartition(" @ ")
    raise InvalidResponseError(problem, where=place.removeprefix("."))


def _describe(error: BaseException, _: type | None) -> str:
    return "is missing" if isinstance(error, KeyError) else str(error)

"""JSON ⇄ models, by one cattrs converter.

Unknown fields are ignored and unknown enum values kept. Nothing is coerced: a value of another
type than documented is an `InvalidResponseError` that names its place.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from nuvo_async.models.executions import Execution

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["structure", "structure_execution", "unstructure"]

T = TypeVar("T")


def structure_execution(obj: object) -> Execution:
    """Make an `Execution` of parsed JSON, as Create, Read by ID and Read all show one.

    Raises `InvalidResponseError`, with the place in the JSON, where it is not as documented.
    """
    return structure(obj, Execution)


def unstructure(model: object) -> Any:
    """Turn a model back into the API's own JSON: ISO dates, durations in milliseconds."""
    return _converter().unstructure(model)


def structure(obj: object, shape: type[T], where: str = "") -> T:
    """Make any model of parsed JSON; `where` is the place that the JSON was found at."""
    try:
        made: T = _hook(shape)(obj, shape)  # type: ignore[arg-type]  # all classes are hashable
    except Exception:  # noqa: BLE001 - whatever it was, the second reading tells it better
        from nuvo_async.models.hooks import structure_in_detail  # noqa: PLC0415 - see below
    else:
        return made

    return structure_in_detail(_converter(detailed=True), obj, shape, where)


@cache
def _converter(*, detailed: bool = False) -> "Converter":
    # cattrs is a third of what importing this package costs: wait until it is needed.
    from nuvo_async.models.hooks import make_converter  # noqa: PLC0415

    return make_converter(detailed=detailed)


@cache
def _hook(shape: type) -> Callable[[Any, Any], Any]:
    return _converter().get_structure_hook(shape)

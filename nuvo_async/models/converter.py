"""JSON ⇄ models, by one cattrs converter.

Unknown fields are ignored and unknown enum values kept. Nothing is coerced: a value of another
type than documented is an `InvalidResponseError` that names its place.
"""

from typing import Any, TypeVar

from nuvo_async.models.executions import Execution

__all__ = ["structure", "structure_execution", "unstructure"]

T = TypeVar("T")

# cattrs is a third of what importing this package costs, and most programs never need it: msgspec
# decodes what the API usually sends.


def structure_execution(obj: object) -> Execution:
    """Make an `Execution` of parsed JSON, as Create, Read by ID and Read all show one.

    Raises `InvalidResponseError`, with the place in the JSON, where it is not as documented.
    """
    return structure(obj, Execution)


def unstructure(model: object) -> Any:
    """Turn a model back into the API's own JSON: ISO dates, durations in milliseconds."""
    from nuvo_async.models.hooks import CONVERTER  # noqa: PLC0415 - see above

    return CONVERTER.unstructure(model)


def structure(obj: object, shape: type[T], where: str = "") -> T:
    """Make any model of parsed JSON; `where` is the place that the JSON was found at."""
    from nuvo_async.models import hooks  # noqa: PLC0415 - see above

    return hooks.structure(obj, shape, where)

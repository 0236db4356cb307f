"""JSON ⇄ models, by one cattrs converter.

Unknown fields are ignored, and unknown enum values are kept. Values are never coerced: a value of
an undocumented type raises an `InvalidResponseError` that names its place in the JSON.
"""

from typing import Any, TypeVar

from nuvo_async.models.executions import Execution

__all__ = ["structure", "structure_execution", "unstructure"]

T = TypeVar("T")

# cattrs accounts for a third of this package's import time, and most programs never need it:
# msgspec decodes what the API usually sends. So `hooks` is imported only when it is needed.


def structure_execution(obj: object) -> Execution:
    """Build an `Execution` from parsed JSON, as Create, Read by ID and Read all return it.

    Raises `InvalidResponseError`, with the place in the JSON, if the JSON is not as documented.
    """
    return structure(obj, Execution)


def unstructure(model: object) -> Any:
    """Turn a model back into the API's own JSON: ISO dates, durations in milliseconds."""
    from nuvo_async.models.hooks import CONVERTER  # noqa: PLC0415 - see above

    return CONVERTER.unstructure(model)


def structure(obj: object, shape: type[T], where: str = "") -> T:
    """Build any model from parsed JSON. `where` is the place of this JSON within its answer."""
    from nuvo_async.models import hooks  # noqa: PLC0415 - see above

    return hooks.structure(obj, shape, where)

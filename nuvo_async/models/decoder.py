"""JSON → models by msgspec, straight from bytes: the fast path for usual answers.

It decodes into the same classes as the cattrs converter in `hooks`. An answer that msgspec refuses
goes to cattrs, which reads unusual JSON and reports what is wrong with invalid JSON. A test checks
that the two agree.
"""

import re
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, cast

from msgspec.json import Decoder

from nuvo_async.models.dates import from_milliseconds
from nuvo_async.models.executions import Execution
from nuvo_async.models.shapes import Actor, ActorType

__all__ = ["decode", "decode_list"]

T = TypeVar("T")

# The first quote in this pattern ends a member's name: a quote within a string would be escaped.
_NAIVE_DATE = rb'(_(?:at|on)"\s*:\s*"[0-9-]{10}[Tt ][0-9:]{8}(?:\.[0-9]+)?)"'
_ACTORS = [
    (attrgetter(name), vars(Execution)[name].__set__) for name in ("created_by", "updated_by")
]


def decode(body: bytes, shape: type[T]) -> T | None:
    """Decode a usual body; return `None` if the body is unusual or invalid.

    Dates without an offset get a `Z`: a server that sends one such date sends them on every page.
    """
    model = _decoded(body, shape)
    if model is None:
        dated, count = re.subn(_NAIVE_DATE, lambda date: date[1] + b'Z"', body)
        model = _decoded(dated, shape) if count else None
    return model


def decode_list(body: bytes, shape: type[T]) -> T | None:
    """Decode a body that lists executions in `data`. Each id must be valid in a request."""
    listing: Any = decode(body, shape)
    if listing is None:
        return None
    # `arguments.path_segment` accepts a few more ids than this check, but takes ten times as long.
    if [one for one in listing.data if not (one.id.isprintable() and one.id.strip(" ."))]:
        return None
    _share_actors(listing.data)
    return cast("T", listing)


def _share_actors(executions: tuple[Execution, ...]) -> None:
    """Replace equal actors by one object, to save memory: a few actors start most executions.

    Other code has not seen these executions yet, so it is safe to change them despite `frozen`.
    """
    known: dict[Actor, Actor] = {}
    last = Actor("", "", "", ActorType.USER)
    for of, put in _ACTORS:
        for execution, actor in zip(executions, map(of, executions), strict=True):
            if actor is not None:
                # Most actors equal the one before. `==` would take twice as long as this.
                if not (
                    actor.id == last.id
                    and actor.name == last.name
                    and actor.identifier == last.identifier
                    and actor.type is last.type
                ):
                    last = known.setdefault(actor, actor)
                put(execution, last)


def _decoded(body: bytes, shape: type[T]) -> T | None:
    try:
        model: T = _decoder(shape).decode(body)  # type: ignore[arg-type]  # all classes are hashable
    except (ValueError, RecursionError):
        return None
    return model


@cache
def _decoder(shape: type) -> Decoder[Any]:
    return Decoder(shape, dec_hook=lambda _, number: from_milliseconds(number))

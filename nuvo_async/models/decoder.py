"""JSON → models by msgspec, straight from bytes: the quick reader, for what is usual.

It decodes into the same classes that cattrs structures in `hooks`. cattrs takes what is refused
here, to read what is unusual and to say what is wrong. A test holds that the two readers agree.
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

# The first quote ends the name of a member: within a string it would be escaped.
_NAIVE_DATE = rb'(_(?:at|on)"\s*:\s*"[0-9-]{10}[Tt ][0-9:]{8}(?:\.[0-9]+)?)"'
_ACTORS = [
    (attrgetter(name), vars(Execution)[name].__set__) for name in ("created_by", "updated_by")
]


def decode(body: bytes, shape: type[T]) -> T | None:
    """Decode what is usual; `None` where it is unusual, or wrong.

    Dates without an offset get a `Z`: a server that sends one sends them on every page.
    """
    model = _decoded(body, shape)
    if model is None:
        dated, count = re.subn(_NAIVE_DATE, lambda date: date[1] + b'Z"', body)
        model = _decoded(dated, shape) if count else None
    return model


def decode_list(body: bytes, shape: type[T]) -> T | None:
    """Decode what lists executions in its `data`; their ids have to be fit to be asked for."""
    listing: Any = decode(body, shape)
    if listing is None:
        return None
    # `arguments.path_segment` takes a little more than this, and ten times as long.
    if [one for one in listing.data if not (one.id.isprintable() and one.id.strip(" ."))]:
        return None
    _share_actors(listing.data)
    return cast("T", listing)


def _share_actors(executions: tuple[Execution, ...]) -> None:
    """Let actors that are equal be one: the same few start most executions, and take most memory.

    Nobody has seen these executions yet, so it does not matter that they are frozen.
    """
    known: dict[Actor, Actor] = {}
    last = Actor("", "", "", ActorType.USER)
    for of, put in _ACTORS:
        for execution, actor in zip(executions, map(of, executions), strict=True):
            if actor is not None:
                # Most often it is the one before, and `==` would take twice as long to tell.
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

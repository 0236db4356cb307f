"""Filters, sort, pagination and options of Read all → the bracket form of JavaScript's `qs`.

`{"filters": {"created_at": {"$gte": "2026"}}}` becomes
`filters%5Bcreated_at%5D%5B%24gte%5D=2026`, ready for the wire.
"""

import math
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Literal, TypedDict, Unpack
from urllib.parse import quote
from uuid import UUID

from nuvo_async import arguments
from nuvo_async.models import dates

__all__ = ["Direction", "QueryKeywords", "filter_query", "list_query", "with_pagination"]

Direction = Literal["asc", "desc"]

_MAX_DEPTH = 20
_DIRECTIONS = ("asc", "desc")


class QueryKeywords(TypedDict, total=False):
    """The keyword arguments of `filter_query`, for methods that pass them on."""

    pipeline_id: str | None
    status: str | None
    trigger_type: str | None
    filters: Mapping[str, object] | None
    sort: Mapping[str, Direction] | None
    options: Mapping[str, object] | None


def list_query(
    *, limit: int | None = None, offset: int | None = None, **query: Unpack[QueryKeywords]
) -> str:
    """Write the query of one page of Read all. Raises the same errors as `filter_query`."""
    return with_pagination(filter_query(**query), limit=limit, offset=offset)


def with_pagination(query: str, *, limit: int | None, offset: int | None) -> str:
    """Add the limit and the offset of a page to a query."""
    # The names are written in quoted form, because quoting them took a tenth of each page's call.
    members = [query] if query else []
    if limit is not None:
        members.append(f"pagination%5Blimit%5D={arguments.integer('limit', limit, minimum=1)}")
    if offset is not None:
        members.append(f"pagination%5Boffset%5D={arguments.integer('offset', offset, minimum=0)}")
    return "&".join(members)


def filter_query(
    *,
    pipeline_id: str | None = None,
    status: str | None = None,
    trigger_type: str | None = None,
    filters: Mapping[str, object] | None = None,
    sort: Mapping[str, Direction] | None = None,
    options: Mapping[str, object] | None = None,
) -> str:
    """Write the query of Read all, without its pagination.

    Raises `TypeError` or `ValueError` for a value that cannot be written.
    """
    shorthands = {"pipeline": pipeline_id, "status": status, "trigger_type": trigger_type}
    members = [
        *_written("filters", _joined(filters, shorthands)),
        *_written("sort", _directions(sort)),
        *_written("options", _mapping("options", options)),
    ]
    return "&".join(members)


def _written(group: str, mapping: Mapping[str, object]) -> list[str]:
    if not mapping:
        return []
    return [
        f"{quote(key, safe='')}={quote(text, safe='')}" for key, text in _flatten(group, mapping)
    ]


def _mapping(name: str, value: Mapping[str, object] | None) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, not {type(value).__name__}")
    return value


def _joined(
    filters: Mapping[str, object] | None, shorthands: Mapping[str, str | None]
) -> Mapping[str, object]:
    joined = dict(_mapping("filters", filters))
    for field, value in shorthands.items():
        if value is None:
            continue
        name = "pipeline_id" if field == "pipeline" else field
        if field in joined:
            raise ValueError(f"give {name} or filters[{field!r}], not both")
        joined[field] = arguments.text(name, value)
    return joined


def _directions(sort: Mapping[str, Direction] | None) -> Mapping[str, object]:
    directions = _mapping("sort", sort)
    for field, direction in directions.items():
        if direction not in _DIRECTIONS:
            raise ValueError(f"sort[{field!r}] must be 'asc' or 'desc', not {direction!r}")
    return directions


def _flatten(name: str, value: object) -> Iterator[tuple[str, str]]:
    if name.count("[") > _MAX_DEPTH:
        raise ValueError(f"{name[:100]}…: nested too deeply, or within itself")
    nested: list[tuple[object, object]]
    if isinstance(value, Mapping):
        nested = [(_key(name, key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        nested = list(enumerate(value))
    elif isinstance(value, set | frozenset):
        # Sets have no order. Sorting writes the same set in the same way each time.
        nested = list(enumerate(sorted(value, key=str)))
    else:
        yield name, _text(name, value)
        return
    if not nested:
        # `qs` omits an empty list or mapping, and an omitted filter matches everything.
        raise ValueError(f"{name} must not be empty: leave it out to mean everything")
    for key, item in nested:
        yield from _flatten(f"{name}[{key}]", item)


def _key(name: str, key: object) -> str:
    text = arguments.text(f"a key in {name}", key)
    if "[" in text or "]" in text:
        raise ValueError(f"a key in {name} must not hold brackets: {text!r}; nest mappings instead")
    return text


def _text(name: str, value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    match value:
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, not {value}")
        case int() | float() | UUID():
            return str(value)
        case str():
            if any(unicodedata.category(character) == "Cs" for character in value):
                raise ValueError(f"{name} must not hold a lone surrogate, which has no UTF-8 form")
            return value
        case datetime():
            if value.tzinfo is None:
                raise ValueError(
                    f"{name} must be an aware datetime: give it a time zone, as in tzinfo=UTC"
                )
            return dates.to_text(value)
        case date():
            return value.isoformat()
    raise TypeError(
        f"{name} must be a string, number, boolean, date, datetime, UUID, enum, or a list or"
        f" mapping of them, not {type(value).__name__}"
    )

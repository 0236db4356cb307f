"""Read all: the query's bracket form, filters, sort and pagination, over plain JSON."""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["BadQueryError", "answer_listing", "parse_query"]

_NOT_LISTED = {"logs", "configuration"}


class BadQueryError(Exception):
    """The query makes no sense; the text says why, for a 422."""


def parse_query(text: str) -> dict[str, Any]:
    """Parse `a[b][c]=d` into nested mappings, and `a[0]=b` into lists."""
    tree: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError as error:
        raise BadQueryError(str(error)) from None
    for key, value in pairs:
        match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]*\])*)", key)
        if match is None:
            raise BadQueryError(f"cannot parse the parameter {key!r}")
        names = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        node = tree
        for name in names[:-1]:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise BadQueryError(f"the parameter {key!r} contradicts another")
        node[names[-1]] = value
    return {name: _with_lists(node) for name, node in tree.items()}


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node.keys() == {""}:
        return [_with_lists(node[""])]
    if node and all(name.isdecimal() for name in node):
        return [_with_lists(node[name]) for name in sorted(node, key=int)]
    return {name: _with_lists(child) for name, child in node.items()}


def answer_listing(
    executions: list[dict[str, Any]], query: str, *, max_page_size: int, count_page: bool
) -> dict[str, Any]:
    """Make the answer to Read all; `count_page` makes `total` the size of this page alone."""
    parameters = parse_query(query)
    if unknown := parameters.keys() - {"filters", "sort", "pagination", "options"}:
        raise BadQueryError(f"unknown parameters: {', '.join(sorted(unknown))}")
    filters = _mapping(parameters, "filters")
    _check_operators(filters)
    matching = [one for one in executions if _matches(one, filters)]
    # The last key sorts first, since sorting is stable.
    for name, direction in reversed(_mapping(parameters, "sort").items()):
        if direction not in {"asc", "desc"}:
            raise BadQueryError(f"sort[{name}] must be asc or desc")
        matching.sort(key=_sort_key(name), reverse=direction == "desc")
    pagination = _mapping(parameters, "pagination")
    limit = min(_whole(pagination, "limit", max_page_size, least=1), max_page_size)
    offset = _whole(pagination, "offset", 0, least=0)
    page = matching[offset : offset + limit]
    return {
        "data": [
            {name: value for name, value in one.items() if name not in _NOT_LISTED} for one in page
        ],
        "pagination": {
            "total": len(page) if count_page else len(matching),
            "offset": offset,
            "limit": limit,
        },
    }


def _mapping(parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = parameters.get(name, {})
    if not isinstance(value, dict):
        raise BadQueryError(f"{name} must have the form {name}[...]=...")
    return value


def _whole(pagination: Mapping[str, Any], name: str, default: int, *, least: int) -> int:
    value = pagination.get(name, str(default))
    if not isinstance(value, str) or not value.isdecimal() or int(value) < least:
        raise BadQueryError(f"pagination[{name}] must be a whole number from {least}")
    return int(value)


def _reach(entity: Any, name: str) -> Any:
    for part in name.split("."):
        entity = entity.get(part) if isinstance(entity, dict) else None
    return entity


def _sort_key(name: str) -> Callable[[Any], tuple[bool, str]]:
    def key(entity: Any) -> tuple[bool, str]:
        value = _reach(entity, name)
        return value is not None, str(value)

    return key


def _matches(entity: Any, condition: Any) -> bool:
    if isinstance(condition, list):
        return any(_matches(entity, one) for one in condition)
    if not isinstance(condition, dict):
        return _compare(operator.eq, entity, condition)
    return all(
        _operate(name, entity, wanted)
        if name.startswith("$")
        else _matches(_reach(entity, name), wanted)
        for name, wanted in condition.items()
    )


def _check_operators(condition: Any) -> None:
    if isinstance(condition, dict):
        for name, wanted in condition.items():
            if name.startswith("$"):
                values = wanted if name == "$in" and isinstance(wanted, list) else [wanted]
                known = name == "$in" or name in _OPERATORS
                if not known or not all(isinstance(value, str) for value in values):
                    raise BadQueryError(f"unknown operator, or no fit value for it: {name}")
            else:
                _check_operators(wanted)


def _operate(name: str, value: Any, wanted: Any) -> bool:
    if name == "$in":
        options = wanted if isinstance(wanted, list) else [wanted]
        return any(_compare(operator.eq, value, option) for option in options)
    return _compare(_OPERATORS[name], value, wanted)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def _compare(compare: Callable[[Any, Any], bool], value: Any, wanted: str) -> bool:
    if value is None:
        return compare is operator.ne
    found, asked = _date(str(value)), _date(wanted)
    if found is not None and asked is not None:
        return compare(found, asked)
    return compare(str(value), wanted)


def _date(text: str) -> datetime | None:
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)

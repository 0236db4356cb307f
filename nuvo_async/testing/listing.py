"""Read all on plain JSON: parses the query, and applies filters, sort and pagination."""

import operator
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["BadQueryError", "answer_listing", "checked_ignores", "parse_query"]

_NOT_LISTED = {"logs", "configuration"}
_PARAMETERS = ("filters", "sort", "pagination", "options")
_MAX_DEPTH = 20
_Test = Callable[[Any], bool]


class BadQueryError(Exception):
    """The query is invalid. The message is the reason, for a 422."""


def checked_ignores(names: Collection[str]) -> tuple[str, ...]:
    """Check the names of query parts to ignore. Raises `TypeError` or `ValueError`."""
    form = rf"({'|'.join(_PARAMETERS)})(\[[^\[\]]+\])*"
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"ignores must be a collection of strings, such as {{'sort'}}: {names!r}")
    if wrong := [name for name in names if not re.fullmatch(form, name)]:
        raise ValueError(
            f"ignores must name parts of Read all's query, such as 'sort' or 'filters[id]',"
            f" not {wrong[0]!r}"
        )
    return tuple(names)


def parse_query(text: str, *, ignores: Collection[str] = ()) -> dict[str, Any]:
    """Parse `a[b][c]=d` into nested mappings, and `a[0]=b` or `a[]=b` into lists."""
    tree: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError as error:
        raise BadQueryError(str(error)) from None
    for key, value in pairs:
        if not any(key == name or key.startswith(f"{name}[") for name in ignores):
            _insert(tree, key, value)
    return {name: _with_lists(node) for name, node in tree.items()}


def _insert(tree: dict[str, Any], key: str, value: str) -> None:
    match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]*\])*)", key)
    if match is None:
        raise BadQueryError(f"cannot parse the parameter {key!r}")
    *path, last = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    if len(path) > _MAX_DEPTH:
        raise BadQueryError(f"the parameter {key!r} is nested too deeply")
    node = tree
    for name in path:
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise BadQueryError(f"the parameter {key!r} contradicts another")
    if last == "" and isinstance(values := node.setdefault("", []), list):
        values.append(value)
    elif last in node:
        raise BadQueryError(f"the parameter {key!r} is given twice, or contradicts another")
    else:
        node[last] = value


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if "" in node:
        if len(node) > 1 or not isinstance(node[""], list):
            raise BadQueryError("a parameter with [] has nothing beside it or below it")
        return node[""]
    if node and all(re.fullmatch("[0-9]{1,9}", name) for name in node):
        return [_with_lists(node[name]) for name in sorted(node, key=int)]
    return {name: _with_lists(child) for name, child in node.items()}


def answer_listing(
    executions: list[dict[str, Any]],
    query: str,
    *,
    ignores: Collection[str],
    max_page_size: int,
    count_page: bool,
) -> dict[str, Any]:
    """Make the answer to Read all. With `count_page`, `total` is the size of this page."""
    parameters = parse_query(query, ignores=ignores)
    _check_names("parameter", parameters, _PARAMETERS)
    filters, sort, pagination, _ = (_mapping(parameters, name) for name in _PARAMETERS)
    _check_names("pagination", pagination, ("limit", "offset"))
    limit = min(_whole(pagination, "limit", max_page_size, least=1), max_page_size)
    offset = _whole(pagination, "offset", 0, least=0)
    matches = _fields(filters)
    matching = [one for one in executions if matches(one)]
    # Sorting is stable, so the keys are applied from the last to the first.
    for name, direction in reversed(sort.items()):
        if direction not in ("asc", "desc"):
            raise BadQueryError(f"sort[{name}] must be asc or desc")
        matching.sort(key=_sort_key(name), reverse=direction == "desc")
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


def _check_names(what: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    if unknown := given.keys() - set(known):
        raise BadQueryError(f"unknown {what}: {', '.join(sorted(unknown))}")


def _mapping(parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = parameters.get(name, {})
    if not isinstance(value, dict):
        raise BadQueryError(f"{name} must have the form {name}[...]=...")
    return value


def _whole(pagination: Mapping[str, Any], name: str, default: int, *, least: int) -> int:
    value = pagination.get(name, str(default))
    if not isinstance(value, str) or not re.fullmatch("[0-9]{1,9}", value) or int(value) < least:
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


def _fields(filters: Mapping[str, Any]) -> _Test:
    """Return a test for entities: all fields in `filters` must meet their conditions."""
    tests = [(name, _condition(name, wanted)) for name, wanted in filters.items()]
    return lambda entity: all(test(_reach(entity, name)) for name, test in tests)


def _condition(name: str, wanted: Any) -> _Test:
    """Return a test for values: equal to a word or one of several, or according to operators."""
    if name.startswith("$"):
        raise BadQueryError(f"an operator needs a field before it: {name}")
    if not isinstance(wanted, dict):
        return _operation("$in", wanted)
    tests = [_operation(one, wanted[one]) for one in wanted if one.startswith("$")]
    below = _fields({one: wanted[one] for one in wanted if not one.startswith("$")})
    return lambda value: below(value) and all(test(value) for test in tests)


def _operation(name: str, wanted: Any) -> _Test:
    words = wanted if name == "$in" and isinstance(wanted, list) else [wanted]
    if not all(isinstance(word, str) for word in words):
        raise BadQueryError(f"no fit value for {name}: it must be a word, or a list for $in")
    if name == "$in":
        return _one_of(words)
    if name not in _OPERATORS:
        raise BadQueryError(f"unknown operator: {name}")
    return _comparison(_OPERATORS[name], words[0])


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def _one_of(words: list[str]) -> _Test:
    texts = set(words)
    dates = {date for word in words if (date := _date(word)) is not None}

    def test(value: Any) -> bool:
        if value is None:
            return False
        return str(value) in texts or (bool(dates) and _date(str(value)) in dates)

    return test


def _comparison(compare: Callable[[Any, Any], bool], wanted: str) -> _Test:
    asked = _date(wanted)

    def test(value: Any) -> bool:
        if value is None:
            return compare is operator.ne
        found = None if asked is None else _date(str(value))
        return compare(str(value), wanted) if found is None else compare(found, asked)

    return test


def _date(text: str) -> datetime | None:
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)

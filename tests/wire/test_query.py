"""The bracket form, byte by byte as JavaScript's `qs` writes it."""

import math
import string
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuvo_async import ExecutionStatus, TriggerType
from nuvo_async.wire.query import list_query


# What `qs.stringify` of qs 6.17.1 gives for the same objects.
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"filters": {"pipeline": "65f"}}, "filters%5Bpipeline%5D=65f"),
        (
            {"filters": {"status": "FAILED", "created_at": {"$gte": "2026-01-01"}}},
            "filters%5Bstatus%5D=FAILED&filters%5Bcreated_at%5D%5B%24gte%5D=2026-01-01",
        ),
        (
            {"filters": {"status": {"$in": ["FAILED", "PROCESSING"]}}},
            "filters%5Bstatus%5D%5B%24in%5D%5B0%5D=FAILED"
            "&filters%5Bstatus%5D%5B%24in%5D%5B1%5D=PROCESSING",
        ),
        (
            {"sort": {"created_by.name": "asc", "created_at": "desc"}},
            "sort%5Bcreated_by.name%5D=asc&sort%5Bcreated_at%5D=desc",
        ),
        ({"limit": 50, "offset": 0}, "pagination%5Blimit%5D=50&pagination%5Boffset%5D=0"),
        ({"options": {"attach_meta": True}}, "options%5Battach_meta%5D=true"),
        (
            {"filters": {"created_by": {"name": "Zoë & Co/ü+ä%?#=[x]~!*()'"}}},
            "filters%5Bcreated_by%5D%5Bname%5D="
            "Zo%C3%AB%20%26%20Co%2F%C3%BC%2B%C3%A4%25%3F%23%3D%5Bx%5D~%21%2A%28%29%27",
        ),
        (
            {"filters": {"n": 1.5, "b": False, "i": -3}},
            "filters%5Bn%5D=1.5&filters%5Bb%5D=false&filters%5Bi%5D=-3",
        ),
        (
            {"filters": {"a": {"b": {"c": [1, [2, 3], {"d": "e"}]}}}},
            "filters%5Ba%5D%5Bb%5D%5Bc%5D%5B0%5D=1&filters%5Ba%5D%5Bb%5D%5Bc%5D%5B1%5D%5B0%5D=2"
            "&filters%5Ba%5D%5Bb%5D%5Bc%5D%5B1%5D%5B1%5D=3"
            "&filters%5Ba%5D%5Bb%5D%5Bc%5D%5B2%5D%5Bd%5D=e",
        ),
        ({"filters": {"x": ""}}, "filters%5Bx%5D="),
        (
            {
                "filters": {
                    "created_at": {"$lt": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)}
                }
            },
            "filters%5Bcreated_at%5D%5B%24lt%5D=2026-01-02T03%3A04%3A05.678Z",
        ),
        ({"filters": {"x": "😀"}}, "filters%5Bx%5D=%F0%9F%98%80"),
        ({}, ""),
        ({"filters": {}, "sort": {}, "options": {}}, ""),
    ],
)
def test_a_query_is_written_as_qs_writes_it(query, expected):
    assert list_query(**query) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ExecutionStatus.FAILED, "FAILED"),
        (ExecutionStatus("PAUSED"), "PAUSED"),
        (date(2026, 1, 2), "2026-01-02"),
        (
            datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-02T03:00:00+02:00",
        ),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (True, "true"),
    ],
)
def test_values_are_written_as_the_api_reads_them(value, expected):
    assert unquote(list_query(filters={"x": value})) == f"filters[x]={expected}"


def test_a_set_is_written_in_one_order():
    query = unquote(list_query(filters={"status": {"$in": {"b", "a", "c"}}}))
    assert query == "&".join(f"filters[status][$in][{n}]={x}" for n, x in enumerate("abc"))


def test_short_hands_join_the_filters():
    query = list_query(
        pipeline_id="65f",
        status=ExecutionStatus.FAILED,
        trigger_type=TriggerType.EVENT,
        filters={"configuration": "c1"},
    )
    assert unquote(query) == (
        "filters[configuration]=c1&filters[pipeline]=65f"
        "&filters[status]=FAILED&filters[trigger_type]=EVENT"
    )


def test_filters_within_themselves_are_refused():
    filters: dict[str, Any] = {}
    filters["self"] = filters
    with pytest.raises(ValueError, match="nested too deeply"):
        list_query(filters=filters)


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ({"limit": 0}, ValueError, "limit must be 1 or more"),
        ({"limit": "5"}, TypeError, "limit must be an integer"),
        ({"limit": True}, TypeError, "limit must be an integer"),
        ({"offset": -1}, ValueError, "offset must be 0 or more"),
        ({"sort": {"created_at": "down"}}, ValueError, r"sort\['created_at'\] must be 'asc' or"),
        ({"sort": "created_at"}, TypeError, "sort must be a mapping"),
        ({"filters": [("a", 1)]}, TypeError, "filters must be a mapping"),
        ({"options": "x"}, TypeError, "options must be a mapping"),
        ({"filters": {"a": None}}, TypeError, r"filters\[a\] must be a string, number"),
        ({"filters": {"a": object()}}, TypeError, r"filters\[a\] must be"),
        ({"filters": {"a": b"x"}}, TypeError, r"filters\[a\] must be"),
        ({"filters": {"a": math.nan}}, ValueError, r"filters\[a\] must be a finite"),
        ({"filters": {"a": datetime(2026, 1, 2)}}, ValueError, "aware datetime"),  # noqa: DTZ001
        ({"filters": {"a": {"$in": []}}}, ValueError, r"filters\[a\]\[\$in\] must not be empty"),
        ({"filters": {"a": {}}}, ValueError, "must not be empty"),
        ({"filters": {"a]": 1}}, ValueError, "must not hold brackets"),
        ({"filters": {"": 1}}, ValueError, "a key in filters must not be empty"),
        ({"filters": {5: 1}}, TypeError, "a key in filters must be a string"),
        ({"filters": {"a": "\ud800"}}, ValueError, "lone surrogate"),
        ({"pipeline_id": " "}, ValueError, "pipeline_id must not be empty"),
        ({"status": 5}, TypeError, "status must be a string"),
        (
            {"pipeline_id": "a", "filters": {"pipeline": "b"}},
            ValueError,
            "pipeline_id or filters",
        ),
    ],
)
def test_what_has_no_form_is_refused_by_name(query, error, message):
    with pytest.raises(error, match=message):
        list_query(**query)


def parse_brackets(query: str) -> Any:
    """Read the bracket form on its own terms: one character at a time."""
    tree: Any = {}
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        steps, step = [], ""
        for character in unquote(key):
            if character in "[]":
                if step:
                    steps.append(step)
                step = ""
            else:
                step += character
        if step:
            steps.append(step)
        node = tree
        for inner in steps[:-1]:
            node = node.setdefault(inner, {})
        node[steps[-1]] = unquote(value)
    return tree


def in_words(value: Any) -> Any:
    """What a server gets to see of a value: words, and lists as mappings from their indices."""
    if isinstance(value, dict):
        return {key: in_words(child) for key, child in value.items()}
    if isinstance(value, list):
        return {str(index): in_words(child) for index, child in enumerate(value)}
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


KEYS = st.text(string.ascii_letters + string.digits + "$._- &=%+ü", min_size=1).filter(str.strip)
VALUES = (
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
)
NESTED = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(KEYS, inner, min_size=1, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(KEYS, NESTED, min_size=1, max_size=3))
def test_any_filters_come_back_from_an_independent_parser(filters):
    query = list_query(filters=filters)
    assert query.isascii()
    assert parse_brackets(query) == {"filters": in_words(filters)}

"""JSON ⇄ models: nothing is coerced, invented or lost."""

import copy
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuvo_async import ExecutionPage, ExecutionStatus, InvalidResponseError, Pagination
from nuvo_async.models.converter import structure, structure_execution, unstructure
from tests.conftest import payload

REQUIRED = {"id", "pipeline", "status", "trigger_type"}
OPTIONAL = set(payload()) - REQUIRED


def replaced(path: list[Any], value: object) -> dict[str, Any]:
    """A payload with another value at one place, or without it for `...`."""
    changed = payload()
    node: Any = changed
    for step in path[:-1]:
        node = node[step]
    if value is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return changed


def test_unstructure_gives_back_what_structure_took():
    assert unstructure(structure_execution(payload())) == payload()


def test_create_returns_four_fields_and_the_rest_is_none():
    created = structure_execution({name: payload()[name] for name in REQUIRED})
    assert created.logs == ()
    assert {getattr(created, name) for name in OPTIONAL - {"logs"}} == {None}


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_an_optional_field_may_be_null_or_absent(name):
    empty = () if name == "logs" else None
    assert getattr(structure_execution(replaced([name], None)), name) == empty
    assert getattr(structure_execution(replaced([name], ...)), name) == empty


@pytest.mark.parametrize("name", ["data", "duration"])
def test_a_run_that_is_processing_may_lack_figures(name):
    for value in (None, ...):
        run = structure_execution(replaced(["logs", 0, name], value)).logs[0]
        assert getattr(run, name) is None


def test_unknown_fields_are_ignored_and_unknown_values_kept():
    execution = structure_execution(payload(status="PAUSED", added_later={"x": 1}))
    assert execution.status == "PAUSED"
    assert execution.status not in list(ExecutionStatus)
    assert unstructure(execution)["status"] == "PAUSED"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02 03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        (
            "2026-01-02T03:04:05+05:30",
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        ),
        ("2026-01-02T03:04:05.1Z", datetime(2026, 1, 2, 3, 4, 5, 100_000, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1234Z", datetime(2026, 1, 2, 3, 4, 5, 123_400, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123_457, tzinfo=UTC)),
    ],
)
def test_dates_are_read_in_every_form_and_aware(text, expected):
    created_at = structure_execution(payload(created_at=text)).created_at
    assert created_at
    assert created_at == expected
    assert created_at.utcoffset() == expected.utcoffset()


@pytest.mark.parametrize("milliseconds", [0, 1, 1500, 0.5, 86_400_000])
def test_durations_are_milliseconds(milliseconds):
    execution = structure_execution(replaced(["logs", 0, "duration"], milliseconds))
    assert execution.logs[0].duration == timedelta(milliseconds=milliseconds)
    again = unstructure(execution)["logs"][0]["duration"]
    assert again == milliseconds
    assert type(again) is type(milliseconds)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["id"], 123, "data.id: expected a string, got a number"),
        (["id"], None, "data.id: expected a string, got null"),
        (["id"], ..., "data.id: is missing"),
        (["status"], True, "data.status: expected a string, got a boolean"),
        (["error"], "torn", "data.error: expected an object, got a string"),
        (["error"], {"message": "torn"}, "data.error.type: is missing"),
        (["logs"], {}, "data.logs: expected an array, got an object"),
        (["logs"], "abc", "data.logs: expected an array, got a string"),
        (["logs"], [7], "data.logs[0]: expected an object, got a number"),
        (["logs", 0, "status"], None, "data.logs[0].status: expected a string, got null"),
        (
            ["logs", 0, "duration"],
            "1500",
            "data.logs[0].duration: expected a number of milliseconds, got a string",
        ),
        (
            ["logs", 0, "duration"],
            True,
            "data.logs[0].duration: expected a number of milliseconds, got a boolean",
        ),
        (
            ["logs", 0, "duration"],
            1e300,
            "data.logs[0].duration: expected a number of milliseconds, got one out of range",
        ),
        (
            ["logs", 0, "data", "total_rows"],
            1.9,
            "data.logs[0].data.total_rows: expected an integer, got a fraction",
        ),
        (
            ["logs", 0, "data", "total_cells"],
            True,
            "data.logs[0].data.total_cells: expected an integer, got a boolean",
        ),
        (
            ["created_at"],
            "yesterday",
            "data.created_at: expected an ISO 8601 date-time, got another string",
        ),
        (["created_at"], 1735787045, "data.created_at: expected a string, got a number"),
        (["created_by", "name"], None, "data.created_by.name: expected a string, got null"),
        (["id"], " ", "data.id: expected an id, got a string that can be none"),
        (["id"], "..", "data.id: expected an id, got a string that can be none"),
        (["id"], "a\nb", "data.id: expected an id, got a string that can be none"),
        (["configuration"], 5, "data.configuration: expected a string, got a number"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(path, value, message):
    with pytest.raises(InvalidResponseError) as caught:
        structure(replaced(path, value), type(structure_execution(payload())), "data")
    assert str(caught.value) == message
    assert caught.value.where == message.partition(":")[0]


@pytest.mark.parametrize("json", [None, 5, "x", [], True])
def test_something_else_than_an_object_is_no_execution(json):
    with pytest.raises(InvalidResponseError, match="expected an object, got"):
        structure_execution(json)


def test_a_place_in_a_page_has_its_index():
    bad = replaced(["logs", 0, "type"], 5)
    page = {"data": [payload(), bad], "pagination": {"total": 2, "offset": 0, "limit": 100}}
    with pytest.raises(InvalidResponseError) as caught:
        structure(page, ExecutionPage)
    assert caught.value.where == "data[1].logs[0].type"


def test_a_page_is_structured_and_given_back():
    page = {"data": [payload()], "pagination": {"total": 1, "offset": 0, "limit": 100}}
    model = structure(page, ExecutionPage)
    assert model.pagination == Pagination(total=1, offset=0, limit=100)
    assert unstructure(model) == page


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        items = list(node.items())
    elif isinstance(node, list):
        items = list(enumerate(node))
    return [place for key, child in items for place in [(*path, key), *places(child, (*path, key))]]


@given(place=st.sampled_from(places(payload())), value=JSON)
def test_any_json_in_any_position_gives_a_model_or_an_error_that_says_where(place, value):
    changed = replaced(list(place), copy.deepcopy(value))
    try:
        execution = structure_execution(changed)
    except InvalidResponseError as error:
        assert error.where.startswith(str(place[0]))
    else:
        assert structure_execution(unstructure(execution)) == execution


@given(JSON)
def test_any_json_gives_a_model_or_an_error(value):
    with pytest.raises(InvalidResponseError):
        structure_execution(value)


def test_mappings_and_strings_of_other_kinds_will_do():
    """As a driver of a database gives them."""

    class Text(str):
        __slots__ = ()

    stored = OrderedDict(payload(id=Text("65f0")))
    assert structure_execution(stored) == structure_execution(payload())


@pytest.mark.parametrize("milliseconds", [2**53 + 1, 86_399_999_999_999])
def test_long_durations_keep_each_millisecond(milliseconds):
    json = payload()
    json["logs"][0]["duration"] = milliseconds
    execution = structure_execution(json)
    assert unstructure(execution)["logs"][0]["duration"] == milliseconds

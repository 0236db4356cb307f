"""msgspec and cattrs read one API: what the quick reader takes, the other reads alike."""

import copy
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from nuvo_async import ExecutionPage, InvalidResponseError
from nuvo_async.models.converter import structure
from nuvo_async.models.decoder import decode_list
from tests.conftest import payload

BODIES = int(os.environ.get("NUVO_ASYNC_BODIES", "10000"))
PAGINATION = {"total": 1, "offset": 0, "limit": 100}


def page(*entries: Any, **members: Any) -> dict[str, Any]:
    return {"data": list(entries), "pagination": PAGINATION, **members}


# ── What is usual is read quickly ─────────────────────────────────────────────────────────────


def rewritten(text: str) -> bytes:
    """A page whose dates are told in another way."""
    body = msgspec.json.encode(page(payload()))
    return body.replace(b"2026-01-02T03:04:05.678Z", text.encode())


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-01-02T03:04:05Z", 0),
        ("2026-01-02T03:04:05z", 0),
        ("2026-01-02t03:04:05.5Z", 500_000),
        ("2026-01-02 03:04:05.678901Z", 678_901),
        ("2026-01-02T03:04:05", 0),
        ("2026-01-02 03:04:05.678", 678_000),
        ("2026-01-02T03:04:05.6789019", 678_902),
        ("2026-01-02T03:04:05.9999994Z", 999_999),
        ("2026-01-02T05:04:05.000000999+02:00", 1),
        ("2026-01-02T05:04:05+0200", 0),
    ],
)
def test_dates_are_read_quickly_in_every_form_that_servers_use(text, microsecond):
    """A page that goes to cattrs takes five times as long."""
    quick = decode_list(rewritten(text), ExecutionPage)
    assert quick is not None
    expected = datetime(2026, 1, 2, 3, 4, 5, microsecond, tzinfo=UTC)
    assert quick.data[0].logs[0].started_on == expected


def test_the_text_of_a_message_is_never_rewritten():
    message = '"created_at": "2026-01-02T03:04:05", and "updated_at":"2026-01-02T03:04:05.123"'
    json = page(
        payload(
            created_at="2026-01-02T03:04:05",
            configuration="2026-01-02T03:04:05",
            error={"message": message, "type": "PARSING_FAILURE"},
        )
    )
    quick = decode_list(msgspec.json.encode(json), ExecutionPage)
    assert quick is not None
    assert quick.data[0].error is not None
    assert quick.data[0].error.message == message
    assert quick.data[0].configuration == "2026-01-02T03:04:05"


@pytest.mark.parametrize(
    "change",
    [
        {"status": "PAUSED", "trigger_type": "WEBHOOK"},
        {"error": {"message": "torn", "type": "ADDED_LATER"}},
        {"added_later": {"x": [1.5, None]}, "id": "6f9619ff-8b86-d011-b42d-00c04fc964ff"},
        {"created_by": None, "updated_by": None, "created_at": None, "updated_at": None},
        {"logs": [{**payload()["logs"][0], "data": None, "duration": None}]},
        {"logs": [{**payload()["logs"][0], "duration": 0.25}]},
        {"pipeline": "Überweisungen", "configuration": None},
    ],
)
def test_what_the_api_may_send_is_read_quickly(change):
    json = page(payload(**change))
    quick = decode_list(msgspec.json.encode(json), ExecutionPage)
    assert quick == structure(json, ExecutionPage)


def test_equal_actors_of_a_page_are_one():
    other = {**payload()["created_by"], "name": "Another"}
    entries = [payload(), payload(created_by=other), payload(updated_by=None), payload()]
    quick = decode_list(msgspec.json.encode(page(*entries)), ExecutionPage)
    assert quick is not None
    assert quick == structure(page(*entries), ExecutionPage)
    first, second, third, fourth = quick.data
    assert first.created_by is third.created_by is fourth.created_by
    assert first.created_by != first.updated_by
    assert second.created_by is not None
    assert second.created_by.name == "Another"


# ── The two readers agree ─────────────────────────────────────────────────────────────────────

NUMBERS = [
    *("0", "-0", "1", "-1", "1.0", "1.5", "-0.0", "1e2", "1E2", "0.1e1", "1e-7", "1e15", "1e16"),
    *("1e300", "1e308", "86399999999999", "86400000000000001", "99999999999999.9", "0.0005"),
    *(str(2**63 - 1), str(2**63), str(2**64), str(-(2**63) - 1), "9" * 40, "-" + "9" * 400),
    *("true", "false", "null"),
]
TEXTS = [
    *("", " ", "  ", ".", "..", "...", " .", "a b", " a", "a/b", "a?b", "%2e", "ü", "\u00a0"),
    *("a\nb", "\0", "\x7f", "\x85", "\u2028", "a\u200bb", "\U0001f600", "6f9619ff-8b86", "x" * 99),
    *("SUCCESSFUL", "successful", "MANUAL", "USER", "PARSING_FAILURE", "ADDED_LATER", "CREATE"),
]
ODDITIES = [
    *(b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0041"', b'"a\\/b"', b'"\xff"', b'"\xed\xa0\x80"'),
    *(b"NaN", b"Infinity", b"1e999", b"01", b"1.", b"+1", b"tru", b"", b"1 2", b"'x'", b'"\t"'),
    *(b"[1,]", b'{"a":1,}', b"9" * 5000, b"[" * 3000, b"[" * 60 + b"]" * 60),
]
USUAL_DATES = st.tuples(
    st.sampled_from(["2026-01-02", "2024-02-29", "0001-01-01", "9999-12-31"]),
    st.sampled_from("TTt "),
    st.sampled_from(["03:04:05", "23:59:59"]),
    st.sampled_from(
        ["", ".1", ".123", ".000", ".123456", ".999999", ".1234565", ".9999995", ".123456500000"]
    ),
    st.sampled_from(["Z", "", "z", "+00:00", "-00:00", "+05:30", "-0800", "+23:59", "-23:59"]),
).map("".join)
ODD_DATES = st.tuples(
    st.sampled_from(
        ["2026-01-02", "2026-02-29", "0000-01-01", "20260102", "2026-W01-5", "2026-1-2"]
    ),
    st.sampled_from("T_ü"),
    st.sampled_from(["03:04:05", "23:59:60", "24:00:00", "25:00:00", "03:04", "030405"]),
    st.sampled_from(["", ".", ".123", ",123", ",1234567", ".12a"]),
    st.sampled_from(["", "Z", "+05", "+24:00", "+05:60", "+05:30:15", "+5:30", "Y", "ZZ", " Z"]),
).map("".join)
FAILED = payload(error={"message": "torn", "type": "PARSING_FAILURE"})
RUN = FAILED["logs"][0]
STRINGS = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
FIGURES = st.sampled_from([msgspec.Raw(number.encode()) for number in NUMBERS])
ANYTHING = st.one_of(
    *(USUAL_DATES, ODD_DATES, STRINGS, FIGURES),
    st.sampled_from([msgspec.Raw(oddity) for oddity in ODDITIES]),
    st.sampled_from([None, [], {}, [None], [{}], [RUN, RUN], {**RUN, "added_later": 1}]),
    st.sampled_from([FAILED["created_by"], RUN["data"], FAILED["error"], ...]),
)
PLACES: dict[tuple[Any, ...], st.SearchStrategy[Any]] = {
    **{(name,): STRINGS for name in FAILED},
    **{(name,): USUAL_DATES | ODD_DATES for name in ("created_at", "updated_at")},
    **{(name,): st.sampled_from([None, ...]) for name in ("error", "logs", "created_by")},
    **{("logs", 0, name): STRINGS for name in ("status", "type")},
    **{("logs", 0, name): st.sampled_from([None, ...]) for name in ("data", "duration")},
    ("logs", 0, "started_on"): USUAL_DATES | ODD_DATES,
    ("logs", 0, "duration"): FIGURES,
    **{("logs", 0, "data", name): FIGURES for name in RUN["data"]},
    **{("created_by", member): STRINGS for member in FAILED["created_by"]},
    **{("error", member): STRINGS for member in FAILED["error"]},
}
FITTING = st.one_of([st.tuples(st.just(place), values) for place, values in PLACES.items()])
REPLACED = [
    (b"", b""),
    (b'":', b'"\t:\r\n '),
    (b'"created_at"', b'"created\\u005fat"'),
    (b'"created_at":', b'"deleted_at":"2026-01-02T03:04:05.12345678","created_at":'),
    (b'"created_at":', b'"created_at":"2026-01-02T03:04:05","created_at":'),
    (b'"id":', b'"id":5,"id":'),
    (b'"message":', b'"message":"a\\\\\\"created_at\\":\\"2026-01-02T03:04:05","message":'),
    (b'"logs":', b'"logs":null,"logs":'),
    (b'"type":', b'"type":"ADDED_LATER","type":'),
    (b'"total_rows":', b'"total_columns":{"a":[1.5,"\\u00fc"]},"total_rows":'),
    (b'"limit":100', b'"limit":1e2'),
    (b"]}", b"]} "),
    (b"]}", b"]"),
    (b'{"data"', b'\xef\xbb\xbf{"data"'),
]


def put(node: Any, place: Sequence[Any], value: object) -> None:
    """Set what is at a place, if it is still there, or remove it for `...`."""
    *steps, last = place
    try:
        for step in steps:
            node = node[step]
        node[last]
    except (KeyError, IndexError, TypeError):
        return
    if value is ...:
        del node[last]
    else:
        node[last] = value


@given(
    st.lists(FITTING, max_size=3)
    | st.lists(st.tuples(st.sampled_from([*PLACES]), ANYTHING), max_size=3),
    st.sampled_from(REPLACED),
)
@settings(max_examples=BODIES)
def test_the_two_readers_agree_on_the_value_or_the_refusal(changes, replaced):
    """What the quick reader refuses, the other one reads or refuses: nothing else can come out."""
    entry = copy.deepcopy(FAILED)
    for place, value in changes:
        put(entry, place, copy.deepcopy(value))
    body = msgspec.json.encode(page(payload(), entry)).replace(*replaced)
    quick = decode_list(body, ExecutionPage)
    try:
        expected = structure(msgspec.json.decode(body), ExecutionPage)
    except (InvalidResponseError, ValueError, RecursionError):
        event("refused")
        assert quick is None
    else:
        event("read quickly" if quick else "read in detail")
        assert quick is None or repr(quick) == repr(expected)


@pytest.mark.parametrize("junk", [b"1e999", b'"\xff"'])
def test_what_nobody_reads_is_not_judged(junk):
    """Members that no model has are skipped, so that they need only be JSON in outline."""
    body = msgspec.json.encode(page(payload(added_later=msgspec.Raw(junk))))
    assert decode_list(body, ExecutionPage) == structure(page(payload()), ExecutionPage)

"""The records of a journal: what is written, what a file means, and which files are refused."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nuvo_async import (
    ExecutionsFailed,
    JournalError,
    NotFoundError,
    ParsingFailureError,
    PipelineRun,
)
from nuvo_async.batches import journal_records as records
from nuvo_async.batches.journal_records import Contents, Entry
from nuvo_async.models.converter import structure_execution
from tests.conftest import payload

VERSION_1 = Path(__file__).parent / "data" / "version-1.journal"
# The list that it belongs to.
IDS = ["orders", "stock", "empty", "missing", "lost", "long", "retried", "orders"]
PATH = Path("runs.journal")
STARTED = structure_execution(payload(status="PROCESSING"))
ENDED = structure_execution(payload())


def read(content: bytes, ids=IDS) -> Contents:
    return records.read(io.BytesIO(content), PATH, ids)


def shown(contents: Contents) -> str:
    """Exceptions are equal to themselves only, but look the same."""
    return repr(contents)


def header(ids=IDS) -> bytes:
    return read(b"", ids).missing


def test_a_journal_of_format_version_1_can_be_read():
    """It was written by release 0.1.0."""
    content = VERSION_1.read_bytes()
    contents = read(content)
    assert contents.length == len(content)
    assert contents.missing == b""
    orders, stock, empty, missing, lost, long, retried, again = contents.entries
    assert orders.ended
    assert orders.ended.succeeded
    figures = [one.logs[0].data for one in orders.ended.executions]
    assert [one and one.total_error_cells for one in figures] == [3, 3]
    assert stock.ended
    with pytest.raises(ExecutionsFailed) as caught:
        stock.ended.raise_for_failure()
    [failure] = caught.value.exceptions
    assert isinstance(failure, ParsingFailureError)
    assert failure.message == "line 3: “;” expected"
    assert empty == Entry(created=(), ended=PipelineRun("empty"))
    assert missing == Entry()
    assert lost == Entry(sent_at=datetime(2026, 11, 25, 9, 29, 41, 127159, UTC))
    assert long.created
    assert [one.status for one in long.created] == ["PROCESSING"]
    assert long.ended is None
    assert retried.ended
    assert retried.ended.succeeded
    assert again.ended
    assert again.ended.executions != orders.ended.executions


def test_what_is_written_is_read_again():
    ids = ["orders", "stock"]
    lines = [
        header(ids),
        records.intent(0, "orders"),
        records.refused(0, NotFoundError("no", status=404, method="POST", path="execution/")),
        records.intent(0, "orders"),
        records.created(0, [STARTED]),
        records.intent(1, "stock"),
        records.ended(0, [ENDED]),
    ]
    ended, sent = read(b"".join(lines), ids).entries
    assert ended == Entry(created=(ENDED,), ended=PipelineRun("orders", (ENDED,)))
    assert sent.sent_at is not None
    assert json.loads(lines[2]) == {"position": 0, "event": "refused", "error": "NotFoundError"}


def test_an_empty_file_is_a_new_journal():
    assert read(b"") == Contents([Entry()] * 8, 0, header())
    assert read(header()) == Contents([Entry()] * 8, len(header()))


def test_a_header_that_was_cut_off_is_completed():
    for cut in range(len(b'{"journal":"nuvo_async",'), len(header())):
        start = header()[:cut]
        assert read(start) == Contents([Entry()] * 8, cut, header()[cut:])


@pytest.mark.parametrize("size", [1, 10, 20])
def test_too_little_of_a_header_is_not_taken_for_a_journal(size):
    with pytest.raises(JournalError, match="not the header"):
        read(header()[:size])


def test_a_journal_that_is_cut_off_anywhere_means_its_whole_records():
    content = VERSION_1.read_bytes()
    lines = content.splitlines(keepends=True)
    length, whole = len(lines[0]), lines[0]
    for line in lines[1:]:
        before, after = read(whole), read(whole + line)
        for cut in {*range(0, len(line) - 1, 7), len(line) - 2}:
            assert shown(read(whole + line[:cut])) == shown(Contents(before.entries, length))
        # All but the newline is there.
        assert shown(read(whole + line[:-1])) == shown(
            Contents(after.entries, length + len(line) - 1, missing=b"\n")
        )
        whole += line
        length = len(whole)


def test_a_last_line_of_zero_bytes_was_never_written():
    """Some file systems keep the length of what a power failure has lost."""
    content = VERSION_1.read_bytes()
    assert shown(read(content + b"\0" * 500)) == shown(read(content))


@pytest.mark.parametrize("rest", [b"\0\0", b'\r{"position":6', b"5", b"{}"])
def test_a_whole_record_that_something_follows_is_never_dropped(rest):
    content = header(["orders"]) + records.intent(0, "orders")[:-1]
    with pytest.raises(JournalError, match="is corrupt in line 2"):
        read(content + rest, ["orders"])


@pytest.mark.parametrize("last", [b"5", b"{}", b'{"position": 9}', b"  [1]"])
def test_json_that_is_no_record_is_not_taken_for_a_line_that_was_cut_off(last):
    with pytest.raises(JournalError, match="is corrupt in line 24"):
        read(VERSION_1.read_bytes() + last)


def test_a_last_line_that_is_nested_too_deep_to_be_json_is_dropped():
    content = VERSION_1.read_bytes()
    assert read(content + b"[" * 10**5).length == len(content)


def test_line_ends_of_windows_can_be_read():
    content = VERSION_1.read_bytes().replace(b"\n", b"\r\n")
    assert repr(read(content).entries) == repr(read(VERSION_1.read_bytes()).entries)


def test_a_refusal_without_its_intent_is_no_contradiction():
    """A full disk may take the shorter one only."""
    refused = records.refused(0, JournalError("full"))
    assert read(header() + refused).entries == [Entry()] * 8


CORRUPT = {
    "no JSON": b"}{\n",
    "blank": b"\n",
    "no object": b"[]\n",
    "no event": b'{"position": 0}\n',
    "another event": b'{"position": 0, "event": "paused"}\n',
    "no such position": b'{"position": 8, "event": "intent", "pipeline": "orders", "at": "2026"}\n',
    "no position": b'{"position": "0", "event": "created", "executions": []}\n',
    "another pipeline": b'{"position": 0, "event": "intent", "pipeline": "x", "at": "2026"}\n',
    "no date": b'{"position": 0, "event": "intent", "pipeline": "orders", "at": "soon"}\n',
    "an answer without an intent": b'{"position": 0, "event": "created", "executions": []}\n',
    "an end without an answer": b'{"position": 0, "event": "finished", "executions": []}\n',
    "no UTF-8": b'{"position": 0, "event": "\xff"}\n',
    "zero bytes": b"\0" * 40 + b"\n",
    "deep nesting": b"[" * 50_000 + b"\n",
    "an execution without an id": (
        records.intent(0, "orders") + b'{"position": 0, "event": "created", "executions": [{}]}\n'
    ),
    "a refusal after the answer": (
        records.intent(0, "orders")
        + records.created(0, [STARTED])
        + records.refused(0, NotFoundError("no", status=404, method="POST", path="execution/"))
    ),
}


@pytest.mark.parametrize("lines", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_line_is_an_error_that_says_where(lines):
    number = 1 + lines.count(b"\n")
    with pytest.raises(JournalError, match=rf"runs.journal is corrupt in line {number} \(.*\); it"):
        read(header() + lines + records.intent(3, "missing"))


@pytest.mark.parametrize("ids", [["orders"], [*IDS, "stock"], list(reversed(IDS))])
def test_a_journal_of_another_list_is_refused(ids):
    with pytest.raises(JournalError, match="is of another list of pipelines"):
        read(VERSION_1.read_bytes(), ids)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b'{"journal": "nuvo_async", "version": 2}\n', "has version 2 of the format"),
        (b'{"journal": "nuvo_async", "version": 2}', "has version 2 of the format"),
        (b'{"journal": "nuvo_async"}\n', "has version None of the format"),
        (b'{"journal": "another", "version": 1}\n', "is corrupt in line 1"),
        (b"[]\n", "is corrupt in line 1"),
        (b"[" * 3000 + b"\n", "is corrupt in line 1"),
    ],
)
def test_another_header_is_refused(start, message):
    with pytest.raises(JournalError, match=message):
        read(start)


class Endless(io.BytesIO):
    """A file that is too large to be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size < 10_000
        return b"0,1,2,3\n" * (size // 8)


def test_of_another_file_only_the_start_is_read():
    with pytest.raises(JournalError, match="is corrupt in line 1"):
        records.read(Endless(), PATH, IDS)

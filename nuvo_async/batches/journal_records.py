"""The records of a journal: how they are written and read.

The format is documented in `nuvo_async.batches.journal`.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from attrs import frozen

from nuvo_async.models import (
    Execution,
    InvalidResponseError,
    JournalError,
    PipelineRun,
    dates,
    failures_of,
    structure_execution,
    unstructure,
)

__all__ = ["Contents", "Entry", "created", "ended", "intent", "read", "refused"]

_NAME = "nuvo_async"
_VERSION = 1
_HEADER_START = b'{"journal":"nuvo_async",'
_MAX_HEADER = 4096


class Readable(Protocol):
    """A binary file."""

    def read(self, size: int = -1, /) -> bytes:
        """Read `size` bytes, or all."""
        ...


@frozen
class Entry:
    """The state of one pipeline in the journal: no attribute is set, or exactly one."""

    sent_at: datetime | None = None
    created: tuple[Execution, ...] | None = None
    ended: PipelineRun | None = None


@frozen
class Contents:
    """The contents of a file: `entries`, `length` in valid bytes, and the `missing` bytes."""

    entries: list[Entry]
    length: int
    missing: bytes = b""


# ── Writing ───────────────────────────────────────────────────────────────────────────────────


def intent(position: int, pipeline_id: str) -> bytes:
    """A Create is about to be sent."""
    now = dates.to_text(datetime.now(UTC))
    return _line({"position": position, "event": "intent", "pipeline": pipeline_id, "at": now})


def created(position: int, executions: Sequence[Execution]) -> bytes:
    """A Create has started these executions."""
    return _event(position, "created", executions)


def refused(position: int, reason: BaseException) -> bytes:
    """A Create has started nothing."""
    return _line({"position": position, "event": "refused", "error": type(reason).__name__})


def ended(position: int, executions: Sequence[Execution]) -> bytes:
    """The executions of a pipeline have ended."""
    event = "failed" if any(one.failed for one in executions) else "finished"
    return _event(position, event, executions)


def _event(position: int, event: str, executions: Sequence[Execution]) -> bytes:
    return _line(
        {"position": position, "event": event, "executions": [_json(one) for one in executions]}
    )


def _line(record: dict[str, Any]) -> bytes:
    return msgspec.json.encode(record) + b"\n"


def _json(execution: Execution) -> dict[str, Any]:
    return {
        name: value for name, value in unstructure(execution).items() if value not in (None, [])
    }


def _header(pipeline_ids: Sequence[str]) -> dict[str, Any]:
    digest = hashlib.sha256(msgspec.json.encode(list(pipeline_ids))).hexdigest()
    return {
        "journal": _NAME,
        "version": _VERSION,
        "pipelines": len(pipeline_ids),
        "digest": digest,
    }


# ── Reading ───────────────────────────────────────────────────────────────────────────────────


def read(file: Readable, path: Path, pipeline_ids: Sequence[str]) -> Contents:
    """Read the journal of these pipelines, or an empty file; `path` is for messages.

    Raises `JournalError` for anything else, and reads no more than the start of another file.
    """
    header = _header(pipeline_ids)
    start = file.read(_MAX_HEADER)
    if not start or (start.startswith(_HEADER_START) and _line(header).startswith(start)):
        # The file is new, or a crash truncated its header before anything else was written.
        return Contents([Entry() for _ in pipeline_ids], len(start), _line(header)[len(start) :])
    _check_header(start.partition(b"\n")[0], header, path)

    content = start + file.read()
    lines = content.split(b"\n")
    length, missing = len(content), b""
    if _is_cut_off(lines[-1]):
        length -= len(lines.pop())
    else:
        missing = b"\n"

    entries = [Entry() for _ in pipeline_ids]
    for number, line in enumerate(lines[1:], 2):
        try:
            _apply(msgspec.json.decode(line), entries, pipeline_ids)
        except KeyError as error:
            raise _corrupt(path, number, f"it has no {error}") from None
        except (
            ValueError,
            TypeError,
            AttributeError,
            RecursionError,
            InvalidResponseError,
        ) as error:
            raise _corrupt(path, number, str(error)) from None
    return Contents(entries, length, missing)


def _is_cut_off(last_line: bytes) -> bool:
    """Whether the last line is no complete record. It is empty after the newline of a record."""
    try:
        json.JSONDecoder().raw_decode(last_line.decode(errors="replace").lstrip())
    except (ValueError, RecursionError):
        return True
    return False


def _corrupt(path: Path, line: int, problem: str) -> JournalError:
    return JournalError(
        f"journal {path} is corrupt in line {line} ({problem}); it was not changed:"
        " correct it, or use another file"
    )


def _check_header(line: bytes, expected: dict[str, Any], path: Path) -> None:
    try:
        header = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("journal") != _NAME:
        raise _corrupt(path, 1, "it is not the header of a nuvo_async journal")
    if header.get("version") != _VERSION:
        raise JournalError(
            f"journal {path} has version {header.get('version')!r} of the format,"
            f" and this release of nuvo_async knows version {_VERSION}"
        )
    if header != expected:
        raise JournalError(
            f"journal {path} is of another list of pipelines; continue it with that list, or use"
            " another file"
        )


def _apply(record: Any, entries: list[Entry], pipeline_ids: Sequence[str]) -> None:
    if not isinstance(record, dict):
        raise TypeError("it is no object")
    position, event = record["position"], record["event"]
    if type(position) is not int or not 0 <= position < len(entries):
        raise ValueError("there is no such position")
    entry, pipeline_id = entries[position], pipeline_ids[position]
    match event:
        case "intent" if entry.created is None and record["pipeline"] == pipeline_id:
            entries[position] = Entry(sent_at=dates.from_text(record["at"]))
        # A refusal may come without an intent, if the disk kept only one of the two.
        case "refused" if entry.created is None:
            entries[position] = Entry()
        case "created" if entry.sent_at is not None:
            entries[position] = Entry(created=_executions(record))
        case "finished" | "failed" if entry.created is not None and entry.ended is None:
            executions = _executions(record)
            run = PipelineRun(pipeline_id, executions, failures_of(executions))
            entries[position] = Entry(created=executions, ended=run)
        case _:
            raise ValueError("it does not follow from the lines before it")


def _executions(record: dict[str, Any]) -> tuple[Execution, ...]:
    return tuple(structure_execution(one) for one in record["executions"])

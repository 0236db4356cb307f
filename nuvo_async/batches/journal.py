"""The journal of `run_pipelines`: what was done so far, safe on disk before it goes on.

A file of JSON lines that only grows. The first says what it is, and which list of pipelines it is
about; each other one tells of the pipeline at one `position` of that list:

    {"journal": "nuvo_async", "version": 1, "pipelines": 2, "digest": "9f86d081…"}
    {"position": 0, "event": "intent", "pipeline": "orders", "at": "2026-11-24T03:04:05.123456Z"}
    {"position": 0, "event": "created", "executions": [{"id": "65f0", "pipeline": "orders", …}]}
    {"position": 1, "event": "intent", "pipeline": "stock", "at": "2026-11-24T03:04:05.125011Z"}
    {"position": 1, "event": "refused", "error": "RateLimitError"}
    {"position": 0, "event": "finished", "executions": [{"id": "65f0", "status": "SUCCESSFUL", …}]}

| event | written | when the journal is taken up again |
| --- | --- | --- |
| `intent` | before a Create is sent, each time | without an answer: its outcome is not known |
| `created` | when it was answered | its executions are waited for by their ids |
| `refused` | when that clearly started nothing, each time | it is tried again |
| `finished`, `failed` | when all its executions have ended | it is told again, nothing is asked |

`executions` are in the API's own JSON. There is no secret in it. A last line without an end was cut
off by a crash, before anything rested on it, and is dropped.
"""

import asyncio
import hashlib
import logging
import os
import stat
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import orjson
from attrs import frozen

from nuvo_async.models import dates
from nuvo_async.models.converter import structure_execution, unstructure
from nuvo_async.models.errors import InvalidResponseError, JournalError
from nuvo_async.models.executions import Execution, PipelineRun, failures_of

__all__ = ["Entry", "Journal"]

_log = logging.getLogger("nuvo_async")
_NAME = "nuvo_async"
_VERSION = 1


@frozen
class Entry:
    """What the journal knows of one pipeline: nothing yet, or one of these."""

    sent_at: datetime | None = None
    created: tuple[Execution, ...] | None = None
    ended: PipelineRun | None = None


class Journal:
    """One journal, open for one run over one list of pipelines.

    What is written is on disk when the call returns. All work on the file is done in one thread of
    its own, in order: a cancelled call leaves nothing half done, and what is to be written while
    the disk is busy is written together. Raises `JournalError`.
    """

    def __init__(self, path: Path, pipeline_ids: Sequence[str]) -> None:
        self.entries = [Entry() for _ in pipeline_ids]
        self._path = path
        self._pipeline_ids = pipeline_ids
        self._file: FileIO | None = None
        self._failure: OSError | None = None
        self._lines: deque[bytes] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nuvo-journal")

    async def open(self) -> None:
        """Take the file for this process alone, and read what was done so far."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def close(self) -> None:
        """Let the file go."""
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)
        await closing

    async def intend(self, position: int) -> None:
        """Write that a Create is about to be sent."""
        now = dates.to_text(datetime.now(UTC))
        await self._write(position, "intent", pipeline=self._pipeline_ids[position], at=now)

    async def note_created(self, position: int, executions: Sequence[Execution]) -> None:
        """Write what a Create was answered with."""
        await self._write(position, "created", executions=[_json(one) for one in executions])

    def refuse(self, position: int, error: BaseException) -> None:
        """Write, as soon as the disk is free, that a Create has started nothing."""
        self._line_up(position, "refused", error=type(error).__name__)
        self._thread.submit(self._flush)

    async def note_ended(self, position: int, executions: Sequence[Execution]) -> None:
        """Write how the executions of a pipeline have ended."""
        event = "failed" if any(one.failed for one in executions) else "finished"
        await self._write(position, event, executions=[_json(one) for one in executions])

    async def _write(self, position: int, event: str, **details: Any) -> None:
        self._line_up(position, event, **details)
        await self.settle()

    def _line_up(self, position: int, event: str, **details: Any) -> None:
        record = {"position": position, "event": event, **details}
        self._lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))

    async def settle(self) -> None:
        """Return once all is on disk that was to be written."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._flush)

    # ── In the thread ─────────────────────────────────────────────────────────────────────────

    def _open(self) -> None:
        try:
            self._file = file = self._path.open("a+b", buffering=0)
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise JournalError(f"journal {self._path} must be a file, and no device or pipe")
            _lock(file)
            file.seek(0)
            whole, end, torn = file.read().rpartition(b"\n")
            if torn:
                _log.warning("journal %s: dropped a last line that was cut off", self._path)
                file.truncate(len(whole) + len(end))
            if whole:
                self._take_up(whole.split(b"\n"))
            else:
                file.truncate(0)
                _append(file, orjson.dumps(self._header(), option=orjson.OPT_APPEND_NEWLINE))
                _sync_folder(self._path.parent)
        except BlockingIOError:
            raise JournalError(f"journal {self._path} is held by another run") from None
        except OSError as error:
            raise JournalError(f"journal {self._path} cannot be used: {error}") from error

    def _flush(self) -> None:
        if self._failure is None and self._file is not None and self._lines:
            try:
                lines = [self._lines.popleft() for _ in range(len(self._lines))]
                _append(self._file, b"".join(lines))
            except OSError as error:
                self._failure = error  # What is in the file is not known: nothing may rest on it.
        if self._failure is not None:
            raise JournalError(
                f"journal {self._path} cannot be written: {self._failure}"
            ) from self._failure

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _header(self) -> dict[str, Any]:
        digest = hashlib.sha256(orjson.dumps(list(self._pipeline_ids))).hexdigest()
        count = len(self._pipeline_ids)
        return {"journal": _NAME, "version": _VERSION, "pipelines": count, "digest": digest}

    def _take_up(self, lines: list[bytes]) -> None:
        for number, line in enumerate(lines, 1):
            try:
                record = orjson.loads(line)
                if number == 1:
                    self._check_header(record)
                else:
                    self._apply(record)
            except (ValueError, KeyError, TypeError, AttributeError, InvalidResponseError) as error:
                if isinstance(error, JournalError):
                    raise
                raise JournalError(
                    f"journal {self._path} is corrupt in line {number} ({error});"
                    " mend it, or begin another one"
                ) from None

    def _check_header(self, header: dict[str, Any]) -> None:
        if header["journal"] != _NAME:
            raise ValueError("it is no journal of nuvo_async")
        if header["version"] != _VERSION:
            raise JournalError(
                f"journal {self._path} has version {header['version']!r} of the format,"
                f" and this release of nuvo_async knows version {_VERSION}"
            )
        if header != self._header():
            raise JournalError(
                f"journal {self._path} is of another list of pipelines; take that list up again,"
                " or begin another journal"
            )

    def _apply(self, record: dict[str, Any]) -> None:
        position, event = record["position"], record["event"]
        if type(position) is not int or not 0 <= position < len(self.entries):
            raise ValueError("there is no such position")
        entry = self.entries[position]
        pipeline_id = self._pipeline_ids[position]
        match event:
            case "intent" if entry.created is None and record["pipeline"] == pipeline_id:
                self.entries[position] = Entry(sent_at=dates.from_text(record["at"]))
            case "refused" if entry.sent_at is not None:
                self.entries[position] = Entry()
            case "created" if entry.sent_at is not None:
                self.entries[position] = Entry(created=_executions(record))
            case "finished" | "failed" if entry.created is not None and entry.ended is None:
                executions = _executions(record)
                run = PipelineRun(pipeline_id, executions, failures_of(executions))
                self.entries[position] = Entry(created=executions, ended=run)
            case _:
                raise ValueError("it does not follow from what is before it")


def _executions(record: dict[str, Any]) -> tuple[Execution, ...]:
    return tuple(structure_execution(one) for one in record["executions"])


def _json(execution: Execution) -> dict[str, Any]:
    return {
        name: value for name, value in unstructure(execution).items() if value not in (None, [])
    }


def _append(file: FileIO, content: bytes) -> None:
    """Write all of it, and have it on disk."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


if sys.platform == "win32":
    import msvcrt

    # A byte far behind the end: others may still read the file.
    _LOCKED_BYTE = 2**62

    def _lock(file: FileIO) -> None:
        file.seek(_LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error

    def _sync_folder(_: Path) -> None:
        """The system has no way to do it."""

else:
    import fcntl

    def _lock(file: FileIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sync_folder(folder: Path) -> None:
        """Have the name of a new file on disk, too."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

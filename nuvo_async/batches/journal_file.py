"""The file of a journal: locked, checked, and written so that no record is lost."""

import asyncio
import logging
import os
import stat
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any
from weakref import WeakSet

from attrs import frozen

from nuvo_async.batches import file_system
from nuvo_async.batches import journal_records as records
from nuvo_async.batches.journal_records import Entry
from nuvo_async.models import JournalError

__all__ = ["JournalFile"]

_log = logging.getLogger("nuvo_async")


@frozen
class _Record:
    line: bytes
    is_intent: bool


class JournalFile:
    """A journal's file, open for one run.

    The file has two threads. One writes each record at once, so that the record survives the end of
    this process. The other syncs all written records to disk, which may take long. Both finish the
    records they were given, even if the caller is cancelled, the event loop is closed or the
    program ends.

    After a failure, no intent is accepted. Intents that are not synced to disk are removed again,
    because nothing was sent for them. Other records are still written if possible.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()  # The program may change its working directory.
        self._file: FileIO | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="nuvo-journal-writer")
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="nuvo-journal-syncer")
        self._newest: Future[None] | None = None
        self._closing: Future[None] | None = None
        # Both threads use these under the lock. `_size` is the length of the file, and `_confirmed`
        # is how much of it is synced to disk.
        self._lock = threading.Lock()
        self._size = self._confirmed = 0
        self._unconfirmed: list[_Record] = []
        self._failure: OSError | None = None

    async def open(self, pipeline_ids: Sequence[str]) -> list[Entry]:
        """Lock the file, and return its entries for these pipelines."""
        opening = self._writer.submit(self._open, pipeline_ids)
        await _done(opening)
        return opening.result()

    @property
    def has_failed(self) -> bool:
        """Whether a record could not be written."""
        return self._failure is not None

    def check(self) -> None:
        """Raise `JournalError` if the file could not be written, or was moved or replaced."""
        if self._failure is not None:
            raise JournalError(
                f"journal {self._path} cannot be written: {_reason(self._failure)};"
                " nothing more is started"
            ) from self._failure

    def hand_over(self, line: bytes, *, is_intent: bool = False) -> None:
        """Queue a line to be written, even if the caller is cancelled."""
        if self._file is None or self._file.closed:
            raise JournalError(f"journal {self._path} is not open in this process")
        written = self._writer.submit(self._write, self._file, _Record(line, is_intent))
        self._newest = self._syncer.submit(self._sync, self._file, written)

    async def settle(self) -> None:
        """Return once all lines so far are synced to disk."""
        if (newest := self._newest) is not None:
            await _done(newest)
            newest.result()
        self.check()

    async def close(self) -> None:
        """Write all queued lines, and release the file."""
        await _done(self._begin_closing())
        # All jobs are done, so this does not block. It ends the threads.
        self._writer.shutdown()
        self._syncer.shutdown()

    def _begin_closing(self) -> Future[None]:
        if self._closing is None:
            written = self._writer.submit(lambda: self._size)
            self._closing = self._syncer.submit(self._release, written)
            self._writer.shutdown(wait=False)
            self._syncer.shutdown(wait=False)
        return self._closing

    def abandon(self) -> None:
        """Leave the file to the parent process: a forked child does not have its threads."""
        if self._file is not None:
            self._file.close()
        self._closing = Future()
        self._closing.set_result(None)

    # ── In the threads ────────────────────────────────────────────────────────────────────────

    def _open(self, pipeline_ids: Sequence[str]) -> list[Entry]:
        try:
            self._file = file = self._path.open("a+b", buffering=0)
            _opened.add(self)
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise JournalError(f"journal {self._path} must be a file, and no device or pipe")
            file_system.lock(file)
            return self._load(file, pipeline_ids)
        except BlockingIOError:
            raise JournalError(f"journal {self._path} is in use by another run") from None
        except OSError as error:
            raise JournalError(f"journal {self._path} cannot be used: {_reason(error)}") from error

    def _load(self, file: FileIO, pipeline_ids: Sequence[str]) -> list[Entry]:
        file.seek(0)
        contents = records.read(file, self._path, pipeline_ids)
        if os.fstat(file.fileno()).st_size > contents.length:
            _log.warning("journal %s: dropped a last line that was cut off", self._path)
            file.truncate(contents.length)
        self._size = contents.length
        self._append(file, contents.missing)
        os.fsync(file.fileno())  # A killed process may have written records without a sync.
        self._confirmed = self._size
        if not file_system.sync_folder(self._path.parent):
            _log.warning(
                "journal %s: its folder cannot be synced, so a power failure may remove the file"
                " while it is new",
                self._path,
            )
        return contents.entries

    def _write(self, file: FileIO, record: _Record) -> int:
        with self._lock:
            if self._failure is None or not record.is_intent:
                self._unconfirmed.append(record)
                try:
                    self._append(file, record.line)
                except OSError as error:
                    self._fail(file, error)
            return self._size

    def _sync(self, file: FileIO, written: Future[int]) -> None:
        if written.result() <= self._confirmed:
            return  # The previous sync included it.
        with self._lock:
            size, count = self._size, len(self._unconfirmed)
        try:
            os.fsync(file.fileno())
            with self._lock:
                self._check_place(file)
                if self._failure is None:
                    self._confirmed = size
                    del self._unconfirmed[:count]
        except OSError as error:
            with self._lock:
                self._fail(file, error)

    def _release(self, written: Future[int]) -> None:
        written.result()  # `_open` may have been running until now.
        if (file := self._file) is not None:
            self._sync(file, written)
            try:
                file_system.unlock(file)
            finally:
                file.close()

    def _append(self, file: FileIO, line: bytes) -> None:
        """Write a line completely, or not at all."""
        self._check_size(file)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(self._size)
            raise
        self._size += len(line)

    def _check_place(self, file: FileIO) -> None:
        try:
            is_there = os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise OSError("the file was moved, removed or replaced")
        self._check_size(file)

    def _check_size(self, file: FileIO) -> None:
        if os.fstat(file.fileno()).st_size != self._size:
            raise OSError("the file was changed by something else")

    def _fail(self, file: FileIO, error: OSError) -> None:
        self._failure = self._failure or error
        kept = [one for one in self._unconfirmed if not one.is_intent]
        if len(kept) == len(self._unconfirmed):
            return
        with suppress(OSError):
            self._check_size(file)
            file.truncate(self._confirmed)
            self._size, self._unconfirmed = self._confirmed, kept
            for record in kept:
                self._append(file, record.line)


async def _done(job: Future[Any]) -> None:
    """Wait for a job of a thread. A cancellation ends only the wait, and not the job."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # The event loop was closed meanwhile.
            loop.call_soon_threadsafe(done.set)

    job.add_done_callback(tell)
    await done.wait()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


# A forked child inherits the open file, and with it the lock, but not the threads.
_opened: WeakSet[JournalFile] = WeakSet()


def _abandon_all() -> None:
    for journal_file in _opened:
        journal_file.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)

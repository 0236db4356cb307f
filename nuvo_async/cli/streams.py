"""Standard output and error streams that accept any text and never raise.

`prepare` replaces `sys.stdout` and `sys.stderr` by streams of this module, for everything that
writes there: this command, click, rich, `logging`, a traceback.

- Characters that the encoding does not have are replaced.
- A stream that was closed discards its output, and no other file gets its file descriptor.
- If a non-blocking stream has no room, the write waits.
- A write that fails raises nothing. The stream keeps the error (`failure_of`), drops all further
  output, and calls a callback (`on_failure`). So a full disk or a reader that has left is always
  noticed, and never interrupts the code that writes.
"""

import codecs
import io
import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, TextIO

__all__ = ["failure_of", "lose_patience", "on_failure", "prepare", "writable"]

_ERRORS = "nuvo_async.replace"
# The non-ASCII characters that this command writes. Each replacement has the same width: one cell.
_LOOKALIKES = {"✔": "+", "✘": "x", "…": "~", "━": "-", "╸": "-", "╺": "-"}
_ATOMIC = 4096  # A pipe with any room has room for this many bytes.
_LOOK_UP_EVERY = 0.2  # Seconds.
_PATIENCE = 2.0  # Seconds.


def prepare() -> None:
    """Replace `sys.stdout` and `sys.stderr`. Call it before opening files or writing output."""
    codecs.register_error(_ERRORS, _replace)
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # This takes the lowest free descriptor.
    sys.stdout, sys.stderr = _prepared(sys.stdout), _prepared(sys.stderr)


def failure_of(stream: TextIO) -> OSError | None:
    """The error of the first write that failed, if any."""
    outlet = _outlet_of(stream)
    return None if outlet is None else outlet.failure


def on_failure(stream: TextIO, callback: Callable[[], object]) -> None:
    """Set the callback for the first write that fails."""
    if (outlet := _outlet_of(stream)) is not None:
        outlet.on_failure = callback


def lose_patience(stream: TextIO) -> None:
    """Fail writes if the reader does not read for some seconds. Signal handlers may call this."""
    if (outlet := _outlet_of(stream)) is not None:
        outlet.is_patient = False


def writable(text: str, encoding: str) -> str:
    """Replace the characters of a text that the encoding does not have."""
    return text.encode(encoding, _ERRORS).decode(encoding)


class _Outlet(io.RawIOBase):
    """The raw layer below a text stream: writes all data, or keeps the error."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.failure: OSError | None = None
        self.on_failure: Callable[[], object] = lambda: None
        self.is_patient = True

    @property
    def name(self) -> Any:
        """The name of the file, or its descriptor."""
        return getattr(self._raw, "name", None)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: Any, /) -> int:
        """Write all data, or keep the error."""
        rest = memoryview(data)
        try:
            while rest and self.failure is None:
                self._wait()
                # A larger write to a blocking pipe could block forever and ignore all signals.
                rest = rest[self._raw.write(rest[:_ATOMIC]) or 0 :]
        except OSError as error:
            self.failure = error
            self.on_failure()
        return len(data)

    def _wait(self) -> None:
        """Return when there is room. Raises `TimeoutError` when the reader no longer reads."""
        if sys.platform == "win32":  # `select` only works for sockets, and pipes block.
            return
        began = time.monotonic()
        with suppress(io.UnsupportedOperation):  # The stream is in memory.
            while not select.select([], [self._raw.fileno()], [], _LOOK_UP_EVERY)[1]:
                if not self.is_patient and time.monotonic() - began > _PATIENCE:
                    raise TimeoutError("nobody reads the output")


def _prepared(stream: TextIO | None) -> TextIO:
    if stream is None:
        # It is never closed. Python does not close its own standard streams either.
        nowhere = io.FileIO(os.open(os.devnull, os.O_WRONLY), "w", closefd=False)
        return io.TextIOWrapper(_Outlet(nowhere), "utf-8", _ERRORS)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    # If PYTHONUNBUFFERED is set, there is no buffer in between.
    raw: Any = getattr(stream.buffer, "raw", stream.buffer)
    return io.TextIOWrapper(
        _Outlet(raw),
        stream.encoding,
        _ERRORS,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _outlet_of(stream: TextIO) -> _Outlet | None:
    outlet = getattr(stream, "buffer", None)
    return outlet if isinstance(outlet, _Outlet) else None


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_LOOKALIKES.get(one) or _escaped(one) for one in missing), error.end


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode("ascii")

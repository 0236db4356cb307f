"""Standard output and error that take any text, whatever they lead to.

`prepare` puts streams of this module in the place of `sys.stdout` and `sys.stderr`, for whatever
writes there: this command, click, rich, `logging`, a traceback.

- A character that the encoding does not have is replaced.
- A stream that was closed leads nowhere, and its file descriptor is given to no other file.
- A stream that does not block is waited for.
- A write that fails raises nothing. The stream keeps the error (`failure_of`), drops what follows,
  and calls back (`on_failure`). So a full disk, or a reader that has left, is noticed wherever it
  happens, and never breaks off a callback in the middle.
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
# What this command itself writes beyond ASCII, each in one cell of the terminal, as the original.
_LOOKALIKES = {"✔": "+", "✘": "x", "…": "~", "━": "-", "╸": "-", "╺": "-"}
_ATOMIC = 4096  # A pipe that has room at all has room for so many bytes.
_LOOK_UP_EVERY = 0.2  # Seconds.
_PATIENCE = 2.0  # Seconds.


def prepare() -> None:
    """Replace `sys.stdout` and `sys.stderr`. Call it before anything else is opened or written."""
    codecs.register_error(_ERRORS, _replace)
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # This takes the lowest number that is free.
    sys.stdout, sys.stderr = _prepared(sys.stdout), _prepared(sys.stderr)


def failure_of(stream: TextIO) -> OSError | None:
    """The error of the first write that failed, if one has."""
    outlet = _outlet_of(stream)
    return None if outlet is None else outlet.failure


def on_failure(stream: TextIO, callback: Callable[[], object]) -> None:
    """Call this when a write fails for the first time."""
    if (outlet := _outlet_of(stream)) is not None:
        outlet.on_failure = callback


def lose_patience(stream: TextIO) -> None:
    """Give up a reader that does not read for some seconds. Signal handlers may call it."""
    if (outlet := _outlet_of(stream)) is not None:
        outlet.is_patient = False


def writable(text: str, encoding: str) -> str:
    """The text as it will be read, where the encoding does not have all of it."""
    return text.encode(encoding, _ERRORS).decode(encoding)


class _Outlet(io.RawIOBase):
    """What lies under a text stream: writes all that it is given, or keeps the error."""

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
        """Write all of it, or keep the error."""
        rest = memoryview(data)
        try:
            while rest and self.failure is None:
                self._wait()
                # Not more, or a pipe that blocks could do so for good, deaf to every signal.
                rest = rest[self._raw.write(rest[:_ATOMIC]) or 0 :]
        except OSError as error:
            self.failure = error
            self.on_failure()
        return len(data)

    def _wait(self) -> None:
        """Return when there is room; raise `TimeoutError` when nobody reads any more."""
        if sys.platform == "win32":  # It can wait for sockets alone, and its pipes block.
            return
        began = time.monotonic()
        with suppress(io.UnsupportedOperation):  # It is no file, but in memory.
            while not select.select([], [self._raw.fileno()], [], _LOOK_UP_EVERY)[1]:
                if not self.is_patient and time.monotonic() - began > _PATIENCE:
                    raise TimeoutError("nobody reads the output")


def _prepared(stream: TextIO | None) -> TextIO:
    if stream is None:
        # Never closed: Python does so with none of its standard streams either.
        nowhere = io.FileIO(os.open(os.devnull, os.O_WRONLY), "w", closefd=False)
        return io.TextIOWrapper(_Outlet(nowhere), "utf-8", _ERRORS)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    # Where PYTHONUNBUFFERED is set, there is no buffer in between.
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

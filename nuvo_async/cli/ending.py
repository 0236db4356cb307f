"""Ends a command, with or without an interruption, and determines its exit code."""

import asyncio
import errno
import logging
import os
import signal
import sys
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from attrs import define, field

from nuvo_async.cli import streams
from nuvo_async.cli.display import Display
from nuvo_async.cli.rows import count
from nuvo_async.models import ConfigurationError, JournalError, NuvoError

__all__ = ["follow"]

_FAILED, _USAGE, _TROUBLE, _TIMED_OUT, _BUG = 1, 2, 3, 4, 70
_SIGNALLED = 128  # Plus the number of the signal, as in shells.
_BROKEN_PIPE = 141  # 128 plus SIGPIPE, also on systems without signals.
_SIGNALS = (
    (signal.SIGINT,) if sys.platform == "win32" else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
)
_GRACE = 5.0  # Seconds to wait for the answers to Creates under way.
_ONE_SIGNAL_WITHIN = 0.3  # Seconds: some programs send a signal to the process and to its group.


def follow(display: Display, work: Coroutine[Any, Any, int | None], *, goes_on: bool = True) -> int:
    """Do the work of a command, and return its exit code.

    `goes_on` means that executions go on after the command ends, and must be named.
    """
    if display.output.verbose:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
        logging.getLogger("nuvo_async").setLevel(logging.DEBUG)
    return asyncio.run(_follow(display, work, goes_on=goes_on))


async def _follow(display: Display, work: Coroutine[Any, Any, int | None], *, goes_on: bool) -> int:
    stop = _Stop()
    streams.on_failure(sys.stdout, stop.requested.set)
    with stop.heard():
        working = asyncio.create_task(work)
        await _first(working, stop.requested.wait())
        if not working.done():
            await _let_creates_be_answered(display, working, stop)
            working.cancel()
            await asyncio.wait([working])
        code = _code(display, working, stop)
        if code == _USAGE:  # Nothing was started.
            return code
        try:
            display.summarize()
        except Exception:  # noqa: BLE001 - after any error, executions that go on must be named
            traceback.print_exc()
            code = _BUG
        if goes_on:
            display.name_rest(cut_off=stop.was_requested or _error_of(working) is not None)
        if stop.signals:
            # Python would wait for its threads, and a DNS lookup can block a thread for long.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return code


async def _first(working: asyncio.Task[Any], *others: Coroutine[Any, Any, Any]) -> None:
    """Return when the work or one of the others has ended."""
    tasks = [asyncio.create_task(one) for one in others]
    await asyncio.wait([working, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _let_creates_be_answered(
    display: Display, working: asyncio.Task[Any], stop: "_Stop"
) -> None:
    """Start nothing more, and wait a moment for the answers to Creates under way."""
    display.creates.hold_back()
    if number := len(display.creates.in_doubt):
        display.complain(
            f"ending; waiting up to {_GRACE:g} s for the answers to {count(number, 'trigger')}"
            " under way (Ctrl-C to leave at once)"
        )
        await _first(
            *(working, display.creates.settled(), stop.insisted.wait(), asyncio.sleep(_GRACE))
        )


@define(eq=False)
class _Stop:
    """The reasons to end the command early: signals, and output that can no longer be written."""

    signals: list[int] = field(init=False, factory=list)
    requested: asyncio.Event = field(init=False, factory=asyncio.Event)
    insisted: asyncio.Event = field(init=False, factory=asyncio.Event)
    _heard_at: float = field(init=False, default=0.0)

    @property
    def was_requested(self) -> bool:
        """Whether the command was asked to end before its work had ended."""
        return self.requested.is_set() or bool(self.signals)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Handle signals while the block runs. If there were any, ignore signals after it."""
        loop = asyncio.get_running_loop()

        def hear(number: int, _: FrameType | None) -> None:
            if not self.was_requested:
                loop.call_soon_threadsafe(self.requested.set)
                self._heard_at = loop.time()
            elif loop.time() - self._heard_at > _ONE_SIGNAL_WITHIN:
                loop.call_soon_threadsafe(self.insisted.set)
            self.signals.append(number)
            # The loop may be waiting for a reader that no longer reads.
            streams.lose_patience(sys.stdout)
            streams.lose_patience(sys.stderr)

        # A signal that is already ignored stays ignored, as `nohup` and shells expect.
        numbers = [one for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
        before = {number: signal.signal(number, hear) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_IGN if self.signals else handler)


def _code(display: Display, working: asyncio.Task[int | None], stop: _Stop) -> int:
    """Return the exit code, and show the error that ended the command, if any."""
    error = _error_of(working)
    failure = streams.failure_of(sys.stdout)
    if error is not None and not isinstance(error, NuvoError | OSError):
        traceback.print_exception(error)
        return _BUG
    if error is not None:
        _explain(display, error)
    if stop.signals:
        return _SIGNALLED + stop.signals[0]
    if failure is not None:
        if failure.errno == errno.EPIPE:
            return _BROKEN_PIPE
        _explain(display, failure)
        return _TROUBLE
    if isinstance(error, ConfigurationError) and not (
        display.batch.has_begun or display.creates.in_doubt
    ):
        return _USAGE
    if error is not None or working.cancelled():
        return _TROUBLE
    done = working.result()
    return _code_of(display) if done is None else done


def _error_of(working: asyncio.Task[Any]) -> BaseException | None:
    return None if working.cancelled() else working.exception()


def _explain(display: Display, error: BaseException) -> None:
    display.complain((isinstance(error, OSError) and error.strerror) or error)
    if isinstance(error, JournalError):
        display.journal = None  # It is incomplete, but the error is not.
        for execution in error.executions:
            display.batch.see(execution)


def _code_of(display: Display) -> int:
    if display.batch.troubled:
        return _TROUBLE
    if display.batch.timed_out:
        return _TIMED_OUT
    return _FAILED if display.batch.failed else 0

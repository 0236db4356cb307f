"""One wait for one execution, from the side of whoever waits: deadline, callback, outcome."""

import asyncio
import copy
import inspect
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attrs import define, field, frozen

from nuvo_async.models.errors import APIError, NotFoundError, NuvoError, TransportError
from nuvo_async.models.executions import Execution, WaitOutageError, WaitTimeoutError
from nuvo_async.waiting.policy import PollPolicy

__all__ = ["Wait", "WaitOptions", "passes"]


# Seconds before a deadline, in which an answer has most probably come.
_LAST_LOOK = 1.0


def passes(trouble: NuvoError) -> bool:
    """Whether it says nothing of an execution, and may be over when it is asked for again."""
    if isinstance(trouble, APIError):
        return trouble.status in {408, 429} or trouble.status >= 500
    return isinstance(trouble, TransportError)


@frozen(kw_only=True)
class WaitOptions:
    """What a caller asks of its waits: the options of `NuvoClient.wait_for_completion`."""

    policy: PollPolicy
    timeout: float | None = None
    with_logs: bool = True
    on_poll: Callable[[Execution], object] | None = None

    def wait_for(self, execution: Execution | str) -> "Wait":
        """Make a wait for an execution, or for the one with this id."""
        if isinstance(execution, str):
            return Wait(execution, self)
        return Wait(execution.id, self, known_at=execution.updated_at)


@define(eq=False)
class Wait:
    """What was asked for, and what it was told so far.

    The engine tells what was read (`see`), what went wrong (`meet`) and how it ends; `outcome` is
    awaited by the caller's own task, which runs the callback, too. `known_at` is the `updated_at`
    of the state that the caller has: anything older is no news. `last` and `trouble` are the last
    reading, and what was met since; `timed_out` is the error that the end of the time has raised.
    """

    execution_id: str
    options: WaitOptions
    known_at: datetime | None = None
    started: float = field(init=False, default=0.0)
    last: Execution | None = field(init=False, default=None)
    timed_out: WaitTimeoutError | None = field(init=False, default=None)
    trouble: NuvoError | None = field(init=False, default=None)
    last_look: asyncio.TimerHandle | None = field(init=False, default=None)
    _unread_since: datetime | None = field(init=False, default=None)
    _deadline: float | None = field(init=False, default=None)
    _clock: asyncio.Timeout | None = field(init=False, default=None)
    _states: deque[Execution] | None = field(init=False, default=None)
    _outcome: Execution | BaseException | None = field(init=False, default=None)
    _news: asyncio.Future[None] | None = field(init=False, default=None)

    def start(self, now: float) -> None:
        """Begin to wait, on the loop's clock."""
        self.started = now
        if self.options.timeout is not None:
            self._deadline = now + self.options.timeout

    @property
    def last_look_at(self) -> float | None:
        """When to ask for the last time, so that the answer still comes in time."""
        if self.options.timeout is None or self._deadline is None:
            return None
        return self._deadline - min(_LAST_LOOK, self.options.timeout / 10)

    # ── For the caller ────────────────────────────────────────────────────────────────────────

    @property
    def ended(self) -> Execution | None:
        """The execution, if it is known to have ended."""
        return self._outcome if isinstance(self._outcome, Execution) else None

    async def outcome(self) -> Execution:
        """Return the execution that ended, or raise what ends the wait."""
        while True:
            self._clock = asyncio.timeout_at(self._deadline)
            try:
                async with self._clock:
                    return await self._follow(self._clock)
            except TimeoutError:
                if not self._clock.expired():
                    raise  # It is the callback's own.
                if self.ended is not None and not self._states:
                    return self.ended  # It came at the very last moment.
                if self.options.timeout is None and not self._is_over():
                    continue  # An answer has ended the outage meanwhile.
            except asyncio.CancelledError as cancelled:
                cancelled.add_note(
                    f"execution {self.execution_id} was being waited for; it goes on remotely"
                )
                raise
            raise self._end_of_time() from self.trouble

    def _is_over(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._deadline is not None and self._deadline <= now

    async def _follow(self, clock: asyncio.Timeout) -> Execution:
        while True:
            while self._states:
                await self._tell(self._states.popleft())
                if clock.expired():  # The callback has kept its cancellation to itself.
                    raise TimeoutError
            if isinstance(self._outcome, Execution):
                return self._outcome
            if self._outcome is not None:
                raise self._outcome
            self._news = asyncio.get_running_loop().create_future()
            await self._news

    async def _tell(self, execution: Execution) -> None:
        if self.options.on_poll is not None:
            result = self.options.on_poll(execution)
            if inspect.isawaitable(result):
                await result

    def _end_of_time(self) -> NuvoError:
        if self.options.timeout is None:
            since = self._unread_since or datetime.now(UTC)
            return WaitOutageError(self.execution_id, last=self.last, since=since)
        pending = {self.execution_id: self.last}
        self.timed_out = WaitTimeoutError(self.options.timeout, pending=pending)
        return self.timed_out

    # ── For the engine ────────────────────────────────────────────────────────────────────────

    def see(self, execution: Execution, *, final: bool) -> None:
        """Take in what was read; it is the outcome if `final`."""
        self.last = execution
        self.trouble = self._unread_since = None
        if self.options.timeout is None:
            self._set_deadline(None)
        if self.options.on_poll is not None:
            if self._states is None:
                self._states = deque()
            # While the callback is busy, the same state again is no news.
            if not self._states or self._states[-1] != execution:
                self._states.append(execution)
        if final:
            self._outcome = execution
        if final or self._states:
            self._wake()

    def end(self, error: BaseException) -> None:
        """Raise this instead of an outcome."""
        self._outcome = error
        if isinstance(error, NuvoError):
            # Several waits may end by one error, and each adds its own frames to what it raises.
            # What is not ours need not be fit to be copied.
            self._outcome = copy.copy(error)
            self._outcome.__cause__ = error.__cause__
        self._wake()

    def takes_from_listing(self, execution: Execution, asked_at: float) -> bool:
        """Whether the word of a listing, asked for then, that it has ended is enough."""
        if self.options.with_logs or asked_at < self.started:
            return False
        # The very state that the caller has may be what a stale listing still shows.
        moment = execution.updated_at
        return self.known_at is None or moment is None or moment > self.known_at

    def bears(self, trouble: NuvoError, now: float) -> bool:
        """Whether the wait goes on after a reading has failed so."""
        if isinstance(trouble, NotFoundError):  # Of the execution, and not of the token's endpoint.
            in_grace = now - self.started < self.options.policy.not_found_grace
            return in_grace and trouble.path.startswith("execution/")
        return passes(trouble)

    def meet_silence(self, began: float) -> None:
        """An attempt was sent then: as long as there is no answer, nothing is read."""
        # With no outage allowed at all, trouble ends the wait, but not the asking.
        if self.options.policy.max_outage > 0:
            self._limit_outage(began)

    def meet(self, trouble: NuvoError | None, began: float) -> None:
        """A reading has failed, or got no answer in time; nothing was read since `began`."""
        self.trouble = trouble or self.trouble
        self._limit_outage(began)

    def _limit_outage(self, began: float) -> None:
        if self.options.timeout is not None:
            return
        began = max(began, self.started)
        deadline = began + self.options.policy.max_outage
        if self._deadline is None or deadline < self._deadline:
            silence = timedelta(seconds=asyncio.get_running_loop().time() - began)
            self._unread_since = datetime.now(UTC) - silence
            self._set_deadline(deadline)

    def _set_deadline(self, when: float | None) -> None:
        if when != self._deadline:
            self._deadline = when
            if self._clock is not None and not self._clock.expired():
                self._clock.reschedule(when)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

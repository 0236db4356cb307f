"""Waiting for executions: when to ask again, what to put up with, and when to give up."""

import asyncio
import inspect
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime

from attrs import define, field, frozen

from nuvo_async import arguments
from nuvo_async.api import ExecutionAPI
from nuvo_async.errors import APIError, NotFoundError, NuvoError, TransportError
from nuvo_async.executions import Execution, WaitOutageError, WaitTimeoutError

__all__ = ["PollPolicy", "Poller", "Wait"]

_log = logging.getLogger("nuvo_async")


@frozen(kw_only=True)
class PollPolicy:
    """When a wait asks again, and what trouble it puts up with. Times are seconds.

    The next delay is `growth` x the time waited so far, at least `min_interval`, at most
    `max_interval`, and then up to the share `jitter` longer or shorter: short runs are noticed
    quickly, long ones are asked about seldom.

    A 404 in the first `not_found_grace` seconds of a wait passes: an execution can take a moment
    to appear. A wait without a timeout ends when nothing could be read for `max_outage`.

    Raises `ValueError` for a figure that is negative or not finite, a `jitter` above 1, or a
    `max_interval` below `min_interval`.
    """

    min_interval: float = field(default=0.5, validator=arguments.number_field)
    growth: float = field(default=0.2, validator=arguments.number_field)
    max_interval: float = field(default=30.0, validator=arguments.number_field)
    jitter: float = field(default=0.1, validator=arguments.number_field)
    max_outage: float = field(default=300.0, validator=arguments.number_field)
    not_found_grace: float = field(default=10.0, validator=arguments.number_field)

    def __attrs_post_init__(self) -> None:
        if self.jitter > 1:
            raise ValueError(f"jitter must be a share from 0 to 1, not {self.jitter}")
        if self.max_interval < self.min_interval:
            raise ValueError(
                f"max_interval ({self.max_interval}) must not be below"
                f" min_interval ({self.min_interval})"
            )

    def delay(self, waited: float) -> float:
        """Return the seconds until the next poll of an execution that was waited for that long."""
        delay = min(max(self.growth * waited, self.min_interval), self.max_interval)
        return delay * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - no secret


@define(eq=False)
class Wait:
    """One wait for one execution: what was asked for, and what it has met so far.

    `trouble` is what the last reading met; nothing was read since `unread_since`, which is
    `unread_from` on the loop's clock.
    """

    execution_id: str
    policy: PollPolicy
    timeout: float | None = None
    on_poll: Callable[[Execution], object] | None = None
    last: Execution | None = None
    trouble: NuvoError | None = None
    unread_since: datetime | None = None
    unread_from: float = 0.0

    def note_silence(self, clock: asyncio.Timeout) -> None:
        """An attempt was sent: as long as there is no answer, nothing is read."""
        if self.unread_since is None:
            self.unread_since = datetime.now(UTC)
            self.unread_from = asyncio.get_running_loop().time()
            # With no outage allowed at all, trouble ends the wait, but not the asking.
            if self.policy.max_outage > 0:
                self._limit_outage(clock)

    def note_trouble(self, trouble: NuvoError, clock: asyncio.Timeout) -> None:
        """A reading has failed, be it before it could be sent."""
        self.note_silence(clock)
        self.trouble = trouble
        self._limit_outage(clock)

    def note_reading(self, execution: Execution, clock: asyncio.Timeout) -> None:
        """The execution was read: an outage, if there was one, is over."""
        self.last = execution
        self.trouble = self.unread_since = None
        if self.timeout is None and not clock.expired():
            clock.reschedule(None)

    def _limit_outage(self, clock: asyncio.Timeout) -> None:
        if self.timeout is None and not clock.expired():
            clock.reschedule(self.unread_from + self.policy.max_outage)

    def ended_by_clock(self) -> NuvoError:
        """Say how the wait ends when its time is over."""
        if self.timeout is None and self.unread_since is not None:
            return WaitOutageError(self.execution_id, last=self.last, since=self.unread_since)
        return WaitTimeoutError(self.timeout or 0, pending={self.execution_id: self.last})


class Poller:
    """Waits for executions on behalf of one client, each by Read by ID."""

    def __init__(self, api: ExecutionAPI) -> None:
        self._api = api
        self._unknown_statuses: set[str] = set()

    async def wait(self, wait: Wait) -> Execution:
        """Poll until the execution is SUCCESSFUL or FAILED, and return it either way."""
        clock = asyncio.timeout(wait.timeout)
        try:
            async with clock:
                return await self._poll_until_finished(wait, clock)
        except TimeoutError as timeout:
            if not clock.expired():
                raise  # It is the callback's own.
            cut_short = timeout.__cause__
            trouble = wait.trouble if cut_short is None else cut_short.__cause__ or wait.trouble
        except asyncio.CancelledError as cancelled:
            cancelled.add_note(
                f"execution {wait.execution_id} was being waited for; it goes on remotely"
            )
            raise
        raise wait.ended_by_clock() from trouble

    async def _poll_until_finished(self, wait: Wait, clock: asyncio.Timeout) -> Execution:
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            try:
                execution = await self._api.read(
                    wait.execution_id, on_sent=lambda: wait.note_silence(clock)
                )
            except NuvoError as trouble:
                in_grace = loop.time() - started < wait.policy.not_found_grace
                if not _passes(trouble, in_grace=in_grace):
                    raise
                _log.info("waiting for execution %s goes on: %s", wait.execution_id, trouble)
                wait.note_trouble(trouble, clock)
            else:
                wait.note_reading(execution, clock)
                await self._tell(wait, execution)
                if execution.is_finished:
                    return execution
                if clock.expired():  # The callback has kept its cancellation to itself.
                    raise TimeoutError
            await asyncio.sleep(_delay(wait, loop.time() - started))

    async def _tell(self, wait: Wait, execution: Execution) -> None:
        status = execution.status
        if not status.is_known and status not in self._unknown_statuses:
            self._unknown_statuses.add(status)
            _log.warning(
                "unknown status %.60r: it is not taken for an end of the execution", str(status)
            )
        if wait.on_poll is not None:
            result = wait.on_poll(execution)
            if inspect.isawaitable(result):
                await result


def _delay(wait: Wait, waited: float) -> float:
    delay = wait.policy.delay(waited)
    wanted = wait.trouble.retry_after if isinstance(wait.trouble, APIError) else None
    # An absurd `Retry-After` must not put an end to polling.
    return max(delay, min(wanted or 0, wait.policy.max_interval))


def _passes(trouble: NuvoError, *, in_grace: bool) -> bool:
    """Whether a wait that has time left goes on after it."""
    if isinstance(trouble, NotFoundError):  # Of the execution, and not of the token's endpoint.
        return in_grace and trouble.path.startswith("execution/")
    if isinstance(trouble, APIError):
        return trouble.status in {408, 429} or trouble.status >= 500
    return isinstance(trouble, TransportError)

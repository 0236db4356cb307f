"""One wait for one execution: what the caller asked for, and what is known so far."""

import copy
from collections import deque
from collections.abc import Callable
from datetime import datetime

from attrs import define, field, frozen

from nuvo_async.models import Execution, NuvoError, WaitTimeoutError
from nuvo_async.waiting.policy import PollPolicy

__all__ = ["Wait", "WaitOptions"]

# Seconds before a timeout in which an answer usually arrives.
_LAST_LOOK = 1.0


@frozen(kw_only=True)
class WaitOptions:
    """The options of `NuvoClient.wait_for_completion`."""

    policy: PollPolicy
    timeout: float | None = None
    with_logs: bool = True
    on_poll: Callable[[Execution], object] | None = None

    def wait_for(self, execution: Execution | str) -> "Wait":
        """Make a wait for an execution or its id."""
        if isinstance(execution, str):
            return Wait(execution, self)
        return Wait(execution.id, self, known_at=execution.updated_at)


def _nobody_waits() -> None:
    """Do nothing, before anyone awaits the outcome."""


@define(eq=False)
class Wait:
    """A wait that began at `started`, on the loop's clock.

    `known_at` is the `updated_at` of the state that the caller has: the same state is no news.
    `last` is the last state that was read, `states` are those that `on_poll` has yet to see, and
    `outcome` is the end. `wake` is called when there is news for whoever waits.
    """

    execution_id: str
    options: WaitOptions
    known_at: datetime | None = None
    started: float = field(init=False, default=0.0)
    last: Execution | None = field(init=False, default=None)
    states: deque[Execution] | None = field(init=False, default=None)
    outcome: Execution | BaseException | None = field(init=False, default=None)
    timed_out: WaitTimeoutError | None = field(init=False, default=None)
    wake: Callable[[], object] = field(init=False, default=_nobody_waits)

    @property
    def policy(self) -> PollPolicy:
        """How to poll."""
        return self.options.policy

    @property
    def deadline(self) -> float | None:
        """When its timeout is over."""
        timeout = self.options.timeout
        return None if timeout is None else self.started + timeout

    @property
    def last_look_at(self) -> float:
        """When to ask for the last time, so that the answer arrives before the timeout."""
        timeout = self.options.timeout
        if timeout is None:
            return float("inf")
        return self.started + timeout - min(_LAST_LOOK, timeout / 10)

    @property
    def ended(self) -> Execution | None:
        """The execution, if it is known to have ended."""
        return self.outcome if isinstance(self.outcome, Execution) else None

    def is_news(self, execution: Execution) -> bool:
        """Whether a listing shows a newer state than the caller has."""
        moment = execution.updated_at
        return self.known_at is None or moment is None or moment > self.known_at

    def see(self, execution: Execution, *, final: bool) -> None:
        """Record a state that was read. It is the outcome if `final`."""
        self.last = execution
        if self.options.on_poll is not None:
            if self.states is None:
                self.states = deque()
            # While the callback is busy, an equal state is not queued twice.
            if not self.states or self.states[-1] != execution:
                self.states.append(execution)
        if final:
            self.outcome = execution
        if final or self.states:
            self.wake()

    def end(self, error: BaseException) -> None:
        """End the wait with an error."""
        self.outcome = error
        if isinstance(error, NuvoError):
            # One error may end several waits, and each adds its own traceback frames. Exceptions
            # of other packages may not support copying.
            self.outcome = copy.copy(error)
            self.outcome.__cause__ = error.__cause__
        self.wake()

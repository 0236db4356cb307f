"""Read by ID: when each execution is polled, and how failures are handled."""

import logging
from collections import deque

from attrs import define, field

from nuvo_async.models import NotFoundError, NuvoError
from nuvo_async.waiting.contact import Contact, passes
from nuvo_async.waiting.state import State, Ticket
from nuvo_async.waiting.wait import Wait
from nuvo_async.waiting.watch import Due, Watch

__all__ = ["Readings"]

_log = logging.getLogger("nuvo_async")
_NEVER = float("inf")


@define(eq=False)
class Readings:
    """Polls executions by their ids, with a limit on readings at once.

    A failure lowers the limit to one, and each answer doubles it. So an outage costs a few
    requests, and overdue executions are read soon after it.
    """

    state: State
    most: int
    contact: Contact = field(factory=Contact)
    _places: int = field(init=False)
    _blocked_until: float = -_NEVER
    # Due executions: those that only Read by ID can settle, and the others.
    _urgent: deque[Watch] = field(factory=deque)
    _ready: deque[Watch] = field(factory=deque)

    def __attrs_post_init__(self) -> None:
        self._places = self.most

    def queue(self, watch: Watch, now: float) -> bool:
        """Queue the execution if it is due, and return whether it is."""
        standing = watch.standing
        if not isinstance(standing, Due) or standing.at > now:
            return False
        is_urgent = standing.urgent or watch.contact is not None
        (self._urgent if is_urgent else self._ready).append(watch)
        return True

    def decide(self, now: float, *, looked_for: float) -> None:
        """Read what is due, within the limit, and not before the server allows it.

        An execution that became due after `looked_for` may be shown by the listing being read.
        """
        if now < max(self.state.pace.resume_at, self._blocked_until):
            return
        for queue, until in ((self._urgent, now), (self._ready, min(looked_for, now))):
            while queue and self.state.readings < self._places:
                watch = queue[0]
                if watch.waits and isinstance(watch.standing, Due):
                    if until < watch.standing.at <= now:
                        break
                    if watch.standing.at <= now:
                        self.state.read(watch, now)
                queue.popleft()

    def next_wake(self, now: float) -> float:
        """Return when queued executions can be read, or may have met an outage."""
        if not self._urgent and not self._ready:
            return _NEVER
        moments = [self.contact.outage_at(-_NEVER, self.state.pace.max_outage)]
        if self.state.readings < self._places:
            moments.append(max(self.state.pace.resume_at, self._blocked_until))
        return min((at for at in moments if at > now), default=_NEVER)

    # ── Outcomes ──────────────────────────────────────────────────────────────────────────────

    def answered(self) -> None:
        """Raise the limit: Read by ID answers."""
        self._places = min(2 * self._places, self.most)
        self._blocked_until = -_NEVER
        self.contact.answered()

    def troubled(self, ticket: Ticket, watch: Watch, trouble: NuvoError | None, now: float) -> None:
        """Record a failed attempt that may be repeated."""
        began = ticket.began(now)
        self.contact.failed(trouble, sent_at=began, now=now)
        if isinstance(watch.settled, Due):
            watch.contact = watch.contact or Contact()
            watch.contact.failed(trouble, sent_at=began, now=now)
            self.end_outages(watch, now)
            self.state.plan(watch, now)

    def failed(self, ticket: Ticket, watch: Watch, trouble: NuvoError | None, now: float) -> None:
        """Record a failed reading, and end the waits for which the failure is final."""
        if trouble is None or passes(trouble):
            self._places = 1
            self._blocked_until = now + self.state.pace.retry(now, self.contact.failing_since)
            self.troubled(ticket, watch, trouble, now)
        else:
            watch.contact, watch.refusal = None, trouble
            self.answered()
            for wait in tuple(watch.waits):
                if not _is_in_grace(trouble, wait, now):
                    self.state.end(watch, wait, trouble)
        if watch.waits:
            _log.info("waiting for execution %s goes on: %s", watch.execution_id, trouble)
            self.postpone(watch, now)

    def postpone(self, watch: Watch, now: float) -> None:
        """Schedule the next reading. An execution that a listing shows stays with the listing."""
        standing = watch.settled
        if isinstance(standing, Due):
            delay = watch.delay(now, self.state.dice())
            if watch.contact is not None:
                delay = min(delay, self.state.pace.patience)
            standing = Due(now + delay)
        self.state.place(watch, standing, now)

    def end_outages(self, watch: Watch, now: float) -> None:
        """End the waits that have met an outage of Read by ID for their execution.

        While no reading is answered at all, the limit keeps some executions from being read. For
        those, the failures of other readings count, from when they were due.
        """
        standing, own = watch.settled, watch.contact
        if isinstance(standing, Due):
            begin = standing.at
            if own is not None:
                begin = own.failing_since or begin
                self.state.end_by_outage(watch, own, -_NEVER, now)
            self.state.end_by_outage(watch, self.contact, begin, now)

    def end_held_back(self, now: float) -> None:
        """End the waits whose executions were queued too long because no reading was answered."""
        if now >= self.contact.outage_at(-_NEVER, self.state.pace.max_outage):
            for watch in (*self._urgent, *self._ready):
                self.end_outages(watch, now)


def _is_in_grace(trouble: NuvoError, wait: Wait, now: float) -> bool:
    if not isinstance(trouble, NotFoundError) or now - wait.started >= wait.policy.not_found_grace:
        return False
    return trouble.path.startswith("execution/")  # The token's endpoint has no grace.

"""Read by ID: when each execution is polled, and what comes of trouble."""

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
    """Polls executions by their ids, so many at once.

    A failure leaves one place only, and each answer doubles the places: an outage is met by a few
    requests, and those that have waited for its end are asked for soon after it.
    """

    state: State
    most: int
    contact: Contact = field(factory=Contact)
    _places: int = field(init=False)
    _blocked_until: float = -_NEVER
    # Those that are due: those that only Read by ID can tell of, and the others.
    _urgent: deque[Watch] = field(factory=deque)
    _ready: deque[Watch] = field(factory=deque)

    def __attrs_post_init__(self) -> None:
        self._places = self.most

    def queue(self, watch: Watch, now: float) -> bool:
        """Take up an execution that may have become due; return whether it is to be read."""
        standing = watch.standing
        if not isinstance(standing, Due) or standing.at > now:
            return False
        is_urgent = standing.urgent or watch.contact is not None
        (self._urgent if is_urgent else self._ready).append(watch)
        return True

    def decide(self, now: float, *, looked_for: float) -> None:
        """Read what is due, as far as there are places and the server has no objection.

        What has become due after `looked_for` may be shown by the listing that is being read.
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
        """Return when more can be read, apart from what becomes due."""
        if not self._urgent and not self._ready:
            return _NEVER
        moments = [self.contact.outage_at(-_NEVER, self.state.pace.max_outage)]
        if self.state.readings < self._places:
            moments.append(max(self.state.pace.resume_at, self._blocked_until))
        return min((at for at in moments if at > now), default=_NEVER)

    # ── Outcomes ──────────────────────────────────────────────────────────────────────────────

    def answered(self) -> None:
        """Make room: Read by ID answers."""
        self._places = min(2 * self._places, self.most)
        self._blocked_until = -_NEVER
        self.contact.answered()

    def troubled(self, ticket: Ticket, watch: Watch, trouble: NuvoError | None, now: float) -> None:
        """Take note of an attempt that failed, where the next one may not."""
        began = ticket.began(now)
        self.contact.failed(trouble, sent_at=began, now=now)
        if isinstance(watch.settled, Due):
            watch.contact = watch.contact or Contact()
            watch.contact.failed(trouble, sent_at=began, now=now)
            self.end_outages(watch, now)
            self.state.plan(watch, now)

    def failed(self, ticket: Ticket, watch: Watch, trouble: NuvoError | None, now: float) -> None:
        """Take note of a reading that failed: end the waits for which that is the last word."""
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
        """Ask again later; one that is left to a listing stays so."""
        standing = watch.settled
        if isinstance(standing, Due):
            delay = watch.delay(now, self.state.dice())
            if watch.contact is not None:
                delay = min(delay, self.state.pace.patience)
            standing = Due(now + delay)
        self.state.place(watch, standing, now)

    def end_outages(self, watch: Watch, now: float) -> None:
        """End the waits that have met an outage of Read by ID for their execution.

        Where no reading at all is answered, some executions have no turn: the failures of the
        others count for them, from when they were due.
        """
        standing, own = watch.settled, watch.contact
        if isinstance(standing, Due):
            begin = standing.at
            if own is not None:
                begin = own.failing_since or begin
                self.state.end_by_outage(watch, own, -_NEVER, now)
            self.state.end_by_outage(watch, self.contact, begin, now)

    def end_held_back(self, now: float) -> None:
        """End the waits that had no turn for so long because no reading at all was answered."""
        if now >= self.contact.outage_at(-_NEVER, self.state.pace.max_outage):
            for watch in (*self._urgent, *self._ready):
                self.end_outages(watch, now)


def _is_in_grace(trouble: NuvoError, wait: Wait, now: float) -> bool:
    if not isinstance(trouble, NotFoundError) or now - wait.started >= wait.policy.not_found_grace:
        return False
    return trouble.path.startswith("execution/")  # The token's endpoint has no grace.

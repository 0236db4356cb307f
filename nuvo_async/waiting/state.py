"""Everything the core knows, and the operations that change it.

`readings` and `listing` decide. Whatever they decide is done here, so that each execution takes its
standing, and each wait is told and dropped, in one place.
"""

from collections.abc import Callable
from itertools import count

from attrs import define, field

from nuvo_async.models import Execution
from nuvo_async.waiting.contact import Contact
from nuvo_async.waiting.effects import Effect, End, GiveUp, Outage, Query, ReadOne, Tell
from nuvo_async.waiting.pace import Pace
from nuvo_async.waiting.wait import Wait
from nuvo_async.waiting.watch import Due, Listed, Reading, Schedule, Watch

__all__ = ["State", "Ticket"]


@define(eq=False)
class Ticket:
    """A request under way, for one execution, or for a listing where there is no `watch`.

    `sent_at` is when the attempt under way was sent; `None` while it waits for its turn.
    """

    query: Query
    watch: Watch | None
    sent_at: float | None = None

    def began(self, now: float) -> float:
        """Return when it was sent, or now if the shell has not reported that."""
        return now if self.sent_at is None else self.sent_at


@define(eq=False)
class State:
    """Everything known about the waits of one client. Times are on the loop's clock."""

    dice: Callable[[], float]
    watches: dict[str, Watch] = field(factory=dict)
    # The executions that a listing shows, the longest unnamed first, and all others.
    listed: dict[Watch, None] = field(factory=dict)
    unlisted: dict[Watch, None] = field(factory=dict)
    pace: Pace = field(factory=Pace)
    schedule: Schedule = field(factory=Schedule)
    tickets: dict[int, Ticket] = field(factory=dict)
    readings: int = 0
    effects: list[Effect] = field(factory=list)
    _numbers: "count[int]" = field(factory=count)

    # ── Requests ──────────────────────────────────────────────────────────────────────────────

    def ask(self, query: Query, watch: Watch | None = None) -> int:
        """Have the shell send a request; return its number."""
        number = next(self._numbers)
        self.tickets[number] = Ticket(query, watch)
        self.effects.append((number, query))
        return number

    def read(self, watch: Watch, now: float) -> None:
        """Have the shell read one execution by its id."""
        self.readings += 1
        number = self.ask(ReadOne(watch.execution_id), watch)
        watch.standing = Reading(number, watch.settled)
        self.name(watch)
        self.plan(watch, now)

    def close(self, number: int) -> Ticket | None:
        """Record that a request has ended. Return `None` if it was given up before."""
        ticket = self.tickets.pop(number, None)
        if ticket is not None and ticket.watch is not None:
            self.readings -= 1
            ticket.watch.standing = ticket.watch.settled
        return ticket

    def give_up(self, number: int) -> None:
        """Have the shell cancel a request. Its outcome is ignored."""
        if self.close(number) is not None:
            self.effects.append(GiveUp(number))

    # ── Executions ────────────────────────────────────────────────────────────────────────────

    def place(self, watch: Watch, standing: Due | Listed, now: float) -> None:
        """Change the standing of an execution. During a reading, it applies after the reading."""
        into, out = self.unlisted, self.listed
        if isinstance(standing, Listed):
            into, out = out, into
            watch.contact = None
            watch.unshown = False
        out.pop(watch, None)
        into[watch] = None
        reading = watch.standing
        watch.standing = (
            Reading(reading.number, standing) if isinstance(reading, Reading) else standing
        )
        self.plan(watch, now)

    def name(self, watch: Watch) -> None:
        """Record that a request names the execution, which moves it to the end of the queue."""
        if self.listed.pop(watch, self) is None:
            self.listed[watch] = None

    def plan(self, watch: Watch, now: float, *, is_queued: bool = False) -> None:
        """Schedule the execution for when something is due for it."""
        self.schedule.put(watch, watch.next_wake(now, is_queued=is_queued))

    # ── Waits ─────────────────────────────────────────────────────────────────────────────────

    def tell(
        self, watch: Watch, execution: Execution, now: float, is_final: Callable[[Wait], bool]
    ) -> None:
        """Give a state to all waits, and drop those for which it is final."""
        watch.refusal = None
        if not execution.is_finished:  # An end that is not final still has to be read by id.
            watch.told_at = now
        watch.updated_at = max(filter(None, (watch.updated_at, execution.updated_at)), default=None)
        for wait in tuple(watch.waits):
            final = execution.is_finished and is_final(wait)
            self.effects.append(Tell(wait, execution, final))
            if final:
                self.drop(watch, wait)

    def end(self, watch: Watch, wait: Wait, error: Exception) -> None:
        """End a wait with an error."""
        self.effects.append(End(wait, error))
        self.drop(watch, wait)

    def end_by_outage(self, watch: Watch, contact: Contact, begin: float, now: float) -> None:
        """End the waits for which nothing could be read for too long, counted from `begin`."""
        for wait in tuple(watch.waits):
            started = max(begin, wait.started, watch.told_at)
            if wait.deadline is None and contact.is_outage(started, wait.policy.max_outage, now):
                since = max(started, contact.failing_since or started)
                self.effects.append(Outage(wait, contact.trouble, since))
                self.drop(watch, wait)

    def end_outages_of(self, contact: Contact, now: float) -> float:
        """End the waits that rely on a listing which has failed for too long.

        Return the earliest time at which another wait may have met an outage.
        """
        next_at = float("inf")
        for watch in (*self.listed, *self.unlisted):
            if watch.contact is None:
                self.end_by_outage(watch, contact, float("-inf"), now)
                for wait in watch.waits:
                    begin = max(wait.started, watch.told_at)
                    over = contact.outage_at(begin, wait.policy.max_outage)
                    if wait.deadline is None and over > now:
                        next_at = min(next_at, over)
        return next_at

    def drop(self, watch: Watch, wait: Wait) -> None:
        """Remove a wait, and its execution with the last wait for it."""
        watch.waits.remove(wait)
        self.pace.remove(wait)
        if watch.waits:
            return
        del self.watches[watch.execution_id]
        self.listed.pop(watch, None)
        self.unlisted.pop(watch, None)
        watch.wake = float("inf")
        self.schedule.tidy(len(self.watches))
        if isinstance(watch.standing, Reading):
            self.give_up(watch.standing.number)

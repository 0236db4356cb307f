"""The core of waiting: events in, decisions out.

Nothing here uses tasks, timers, clocks, random numbers of its own, or HTTP. The shell reports each
event with its time, and then calls `decide`. While few executions are awaited, each is polled by
its id. When there are many, a listing is read for all of them.
"""

from collections.abc import Callable

from nuvo_async.models import AuthenticationError, Execution, NuvoError, States
from nuvo_async.waiting.contact import passes
from nuvo_async.waiting.effects import Effect, GiveUp
from nuvo_async.waiting.listing import Listing
from nuvo_async.waiting.readings import Readings
from nuvo_async.waiting.state import State, Ticket
from nuvo_async.waiting.wait import Wait
from nuvo_async.waiting.watch import LISTED, Due, Listed, Watch

__all__ = ["Core"]

_NEVER = float("inf")


class Core:
    """Decides for the waits of one client. `dice` returns random numbers from 0 to 1."""

    def __init__(self, most_readings: int, dice: Callable[[], float]) -> None:
        self._state = State(dice)
        self._readings = Readings(self._state, most_readings)
        self._listing = Listing(self._state)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is waited for."""
        return not self._state.watches

    # ── Events ────────────────────────────────────────────────────────────────────────────────

    def joined(self, wait: Wait, now: float) -> None:
        """A wait has begun."""
        state = self._state
        wait.started = now
        watch = state.watches.get(wait.execution_id)
        if watch is None:
            watch = state.watches[wait.execution_id] = Watch(
                wait.execution_id, updated_at=wait.known_at
            )
        watch.waits.append(wait)
        state.pace.add(wait)
        if watch.contact is None and not (isinstance(watch.settled, Due) and watch.settled.urgent):
            state.place(watch, Due(now), now)
        else:
            state.plan(watch, now)

    def left(self, wait: Wait) -> None:
        """A wait has ended or was cancelled."""
        watch = self._state.watches.get(wait.execution_id)
        if watch is not None and wait in watch.waits:
            self._state.drop(watch, wait)

    def sent(self, number: int, now: float) -> None:
        """An attempt of a request is being sent."""
        if (ticket := self._state.tickets.get(number)) is not None:
            ticket.sent_at = now

    def troubled(self, number: int, trouble: NuvoError, now: float) -> None:
        """An attempt has failed, and the client will retry it."""
        ticket = self._state.tickets.get(number)
        if ticket is None:
            return
        self._state.pace.heed(trouble, now)
        if ticket.watch is None:
            self._listing.troubled(ticket, trouble, now)
        else:
            self._readings.troubled(ticket, ticket.watch, trouble, now)
        ticket.sent_at = None

    def answered(self, number: int, answer: Execution | States, now: float) -> None:
        """A request was answered."""
        ticket = self._state.close(number)
        if ticket is None:
            return
        if isinstance(answer, States):
            self._listing.answered(number, ticket, answer, now)
        elif ticket.watch is not None:
            self._read(ticket, ticket.watch, answer, now)

    def failed(self, number: int, trouble: NuvoError | None, now: float) -> None:
        """A request has failed after its retries. Without `trouble`, it had no answer in time."""
        ticket = self._state.close(number)
        if ticket is None:
            return
        if trouble is not None and passes(trouble):
            self._state.pace.heed(trouble, now)
        if ticket.watch is None:
            self._listing.failed(number, ticket, trouble, now)
        elif isinstance(trouble, AuthenticationError) and self._listing.refused:
            self.crashed(trouble)  # Both calls refuse the credentials.
        else:
            self._readings.failed(ticket, ticket.watch, trouble, now)

    def broke(self, number: int, crash: Exception) -> None:
        """A request has raised an unexpected exception, which ends the waits it serves."""
        ticket = self._state.close(number)
        if ticket is not None and ticket.watch is not None:
            for wait in tuple(ticket.watch.waits):
                self._state.end(ticket.watch, wait, crash)
        elif ticket is not None:
            self.crashed(crash)

    def crashed(self, error: Exception) -> None:
        """End every wait with this error."""
        for watch in tuple(self._state.watches.values()):
            for wait in tuple(watch.waits):
                self._state.end(watch, wait, error)

    def trouble(self, wait: Wait) -> NuvoError | None:
        """Return the last failure for a wait since its execution was read."""
        watch = self._state.watches.get(wait.execution_id)
        if watch is None:
            return None
        way = self._listing.way
        contact = watch.contact or (self._readings.contact if way is None else way.contact)
        return contact.trouble or watch.refusal

    # ── Decisions ─────────────────────────────────────────────────────────────────────────────

    def decide(self, now: float) -> tuple[list[Effect], float]:
        """Return what to do now, and when to call again at the latest."""
        state, listing, readings = self._state, self._listing, self._readings
        self._give_up_hanging(now)
        while state.schedule.first() <= now:
            self._take_up(state.schedule.pop(), now)
        listing.decide(now)
        readings.decide(now, looked_for=now if listing.way is None else listing.looked_for)
        readings.end_held_back(now)
        wakes = (
            *(state.schedule.first(), listing.next_wake(now), readings.next_wake(now)),
            *(over for _, over in self._hanging()),
        )
        return self.take_effects(), min(wakes)

    def take_effects(self) -> list[Effect]:
        """Return the effects that were decided since the last call."""
        effects, self._state.effects = self._state.effects, []
        return effects

    def _take_up(self, watch: Watch, now: float) -> None:
        """Handle an execution that is due, or near a timeout or an outage."""
        if any(wait.last_look_at <= now for wait in watch.waits):
            if isinstance(watch.standing, Due):
                self._state.place(watch, Due(now, watch.standing.urgent), now)
            elif isinstance(watch.settled, Listed):
                self._listing.hurry = True
        self._readings.end_outages(watch, now)
        is_queued = self._readings.queue(watch, now)
        if watch.waits:
            self._state.plan(watch, now, is_queued=is_queued)

    def _read(self, ticket: Ticket, watch: Watch, execution: Execution, now: float) -> None:
        """Read by ID has answered."""
        state, asked_at = self._state, ticket.began(now)
        was, is_stale = watch.settled, watch.is_older(execution)
        watch.contact = None
        self._readings.answered()
        self._listing.judge(watch, execution, now)
        state.tell(watch, execution, now, lambda wait: wait.started <= asked_at)
        if not watch.waits:
            return
        due = now + watch.delay(now, state.dice())
        if any(wait.started > asked_at for wait in watch.waits):
            state.place(watch, Due(now), now)  # Those waits began after the request was sent.
        elif is_stale or (isinstance(was, Due) and was.urgent):
            state.place(watch, Due(due, urgent=True), now)
        elif self._listing.covers(watch, asked_at):
            state.place(watch, LISTED, now)
        else:
            state.place(watch, Due(due), now)

    # ── Requests without an answer ────────────────────────────────────────────────────────────

    def _hanging(self) -> list[tuple[int, float]]:
        """Return the requests in flight, with the time at which each counts as failed."""
        patience = self._state.pace.patience
        return [
            (number, ticket.sent_at + patience)
            for number, ticket in self._state.tickets.items()
            if ticket.sent_at is not None
        ]

    def _give_up_hanging(self, now: float) -> None:
        """Give up on requests without an answer, since an outage takes two attempts."""
        for number, over in self._hanging():
            if over <= now and number in self._state.tickets:
                self._state.effects.append(GiveUp(number))
                self.failed(number, None, now)

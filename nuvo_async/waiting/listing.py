"""Read all: reads a listing for all executions, and judges how reliable it is.

What a listing does not show is read by id; what it shows to have ended is read by id where logs
are wanted; and one request to four readings checks it, each execution in turn.
"""

import logging

from attrs import define, field

from nuvo_async.models import AuthenticationError, Execution, NuvoError, States
from nuvo_async.waiting.audit import Audit
from nuvo_async.waiting.choice import FEW, best_way
from nuvo_async.waiting.contact import passes
from nuvo_async.waiting.effects import ReadIds
from nuvo_async.waiting.state import State, Ticket
from nuvo_async.waiting.sweep import MOST_AT_ONCE, Sweep
from nuvo_async.waiting.trust import Evidence
from nuvo_async.waiting.watch import LISTED, Due, Listed, Watch
from nuvo_async.waiting.ways import ByIds, ChangeFeed, Unfit, Way

__all__ = ["Listing"]

_log = logging.getLogger("nuvo_async")
_NEVER = float("inf")

# Seconds from one last look before a timeout to the next.
_HURRY = 0.25


@define(eq=False)
class Listing:
    """Reads a listing for all waits of a client, while there are many of them.

    `looked_for` is when the last completed reading began. `refused` says that a listing was
    answered with 401.
    """

    state: State
    by_ids: ByIds = field(factory=ByIds)
    feed: ChangeFeed = field(factory=ChangeFeed)
    way: Way | None = None
    refused: bool = False
    hurry: bool = False
    looked_for: float = -_NEVER
    _outages_at: float = _NEVER
    _sweep: Sweep = field(init=False)
    _audit: Audit = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sweep, self._audit = Sweep(self.state), Audit(self.state)

    # ── Which way ─────────────────────────────────────────────────────────────────────────────

    def decide(self, now: float) -> None:
        """Choose the way, and read the listing when it is due."""
        if self.way is not None and now >= self._outages_at:
            self._outages_at = self.state.end_outages_of(self.way.contact, now)
        self._choose(now)
        if self.way is None or now < self.state.pace.resume_at:
            return
        if self._sweep.is_late(now) and not self.state.readings:
            self._audit.check(self.way, now, least=1)
        if now >= self._next_reading(now):
            self._begin(self.way, now)
        self._sweep.send()

    def _choose(self, now: float) -> None:
        ways, watches = (self.by_ids, self.feed), len(self.state.watches)
        interval = self.state.pace.interval(now, watches=watches, cost=1) if watches else 0.0
        way, reason = best_way(ways, self.way, watches=watches, interval=interval, now=now)
        if way is not self.way:
            self._change(way, now, reason)

    def _change(self, way: Way | None, now: float, reason: str) -> None:
        self._sweep.abort(now)
        self.way = way
        self.looked_for = -_NEVER
        self._audit.ends.clear()
        self.feed.start_over()
        name = "by id, one by one" if way is None else f"from the listing, {way.trust.way}"
        _log.debug("executions are read %s: %s", name, reason)
        if way is not None:
            way.contact.answered()
        for watch in tuple(self.state.listed):  # Polled by id until the new way has shown it.
            dice = self.state.dice()
            self.state.place(watch, Due(now + dice * watch.delay(now, dice)), now)

    def weigh(self, way: Way, evidence: Evidence, now: float, reason: object) -> None:
        """Record evidence for or against a way. A way that is no longer trusted is paused."""
        rest = self.state.pace.max_interval
        if rest == _NEVER or not way.trust.weigh(evidence, now, rest=rest, reason=reason):
            return
        if evidence in {Evidence.FAILED, Evidence.LATE}:  # The other way uses the same call.
            for other in (self.by_ids, self.feed):
                other.trust.rests_until = max(other.trust.rests_until, way.trust.rests_until)
        self._choose(now)

    # ── One reading ───────────────────────────────────────────────────────────────────────────

    def _next_reading(self, now: float) -> float:
        if self.way is None or self._sweep.is_under_way:
            return _NEVER
        pace, many = self.state.pace, len(self.state.watches)
        interval = pace.interval(now, watches=many, cost=self.way.cost(many, 0))
        if self.way.contact.failing_since is not None:
            interval = max(interval, pace.retry(now, self.way.contact.failing_since))
        elif self.hurry:
            interval = min(interval, max(interval / 4, _HURRY))
        return max(self._sweep.began + interval, pace.resume_at)

    def _begin(self, way: Way, now: float) -> None:
        self._audit.pass_time(now - self._sweep.began, size=self.by_ids.size)
        self.hurry = False
        if isinstance(way, ByIds):
            ids = dict.fromkeys([*self.state.watches, *self._audit.ends])
            self._sweep.begin(now, way.requests(ids))
        else:
            self._sweep.begin(now, [way.begin(now)])

    def answered(self, number: int, ticket: Ticket, states: States, now: float) -> None:
        """Process the answer to a request."""
        way = self.way
        if way is None or not self._sweep.close(number):
            return
        self.refused = False
        way.contact.answered()
        missing: list[str] = []
        try:
            if isinstance(ticket.query, ReadIds):
                size = self.by_ids.size
                missing = self.by_ids.missing(ticket.query, states)
                self._sweep.is_complete &= self.by_ids.size == size
            else:
                self.feed.take(states)
        except Unfit as reason:
            unfit = self.by_ids if isinstance(ticket.query, ReadIds) else way
            self.weigh(unfit, Evidence.UNFIT, now, reason)
            if self.way is not way:
                return
        for execution in states.executions:
            if not self._show(execution, ticket.began(self._sweep.began), now):
                missing.append(execution.id)
        for execution_id in missing:
            self._miss(execution_id, now)
        if not self._sweep.is_under_way:
            self._go_on(way, now)

    def _go_on(self, way: Way, now: float) -> None:
        """Request more pages, then executions that no page has shown, then end the reading."""
        if isinstance(way, ChangeFeed) and not self._sweep.is_covering:
            try:
                # The number of executions that another request would show for the price of a page.
                worth = 2 if self.by_ids.trust.rests_until > now else self.by_ids.size
                pages = way.next_pages(
                    most=len(self.state.watches),
                    at_once=MOST_AT_ONCE,
                    is_worth_it=self._sweep.found >= self._sweep.pages * worth,
                )
            except Unfit as reason:
                self.weigh(way, Evidence.UNFIT, now, reason)
                return
            self._sweep.found, self._sweep.pages = 0, len(pages)
            self._sweep.add(pages)
            if not pages:
                way.finish(self._sweep.began)
                self._sweep.is_covering = True
                self._sweep.add(self._unshown(now))
        if not self._sweep.is_under_way:
            if self._sweep.is_complete:
                self.looked_for = self._sweep.began
            if (missed := self._audit.missed_end(self._sweep.began)) is not None:
                self.weigh(way, Evidence.MISSED, now, missed)
            self._audit.check(way, now)

    def _unshown(self, now: float) -> list[ReadIds]:
        """Name executions that the feed has not shown: they may have changed before it began."""
        if self.by_ids.trust.rests_until > now:
            return []
        unshown = [
            watch
            for watch in self.state.unlisted
            if watch.contact is None
            and not watch.unshown
            and isinstance(standing := watch.standing, Due)
            and not standing.urgent
            and all(wait.started <= self._sweep.began for wait in watch.waits)
        ]
        named = self._audit.to_be_named(size=self.by_ids.size)
        most = (MOST_AT_ONCE - len(named) // self.by_ids.size) * self.by_ids.size
        self._sweep.is_complete = len(unshown) <= most  # The others follow in the next reading.
        ids = [watch.execution_id for watch in (*unshown[:most], *named)]
        return list(self.by_ids.requests(ids))

    # ── What it shows ─────────────────────────────────────────────────────────────────────────

    def _show(self, execution: Execution, asked_at: float, now: float) -> bool:
        """Process a state. Return `False` if a newer one is known."""
        is_confirmed = execution.is_finished and self._audit.is_confirmed(execution.id, asked_at)
        if is_confirmed and self.way is not None:
            self.weigh(self.way, Evidence.AGREED, now, execution.id)
        watch = self.state.watches.get(execution.id)
        if watch is None:
            return True
        if watch.is_older(execution):
            return False
        before, was_listed = watch.updated_at, isinstance(watch.settled, Listed)
        self.state.tell(
            watch,
            execution,
            now,
            lambda wait: (
                not wait.options.with_logs and asked_at >= wait.started and wait.is_news(execution)
            ),
        )
        if execution.is_finished:
            is_fed = was_listed and self.way is self.feed
            if is_fed and self.feed.is_undated(execution.updated_at, before):
                self.weigh(self.feed, Evidence.UNFIT, now, _undated(execution))
            if watch.waits and (was_listed or execution.updated_at != before):
                self.state.place(watch, Due(now, urgent=True), now)
        elif all(wait.started <= asked_at for wait in watch.waits):
            if was_listed and execution.updated_at != before:
                self._audit.suspect = watch  # It has changed, maybe by more than the listing shows.
            self._sweep.found += not was_listed
            self.state.place(watch, LISTED, now)
        return True

    def _miss(self, execution_id: str, now: float) -> None:
        """Read by id an execution that the listing was asked for and did not show."""
        watch = self.state.watches.get(execution_id)
        if watch is not None:
            if isinstance(watch.settled, Listed):
                self.state.place(watch, Due(now), now)
            watch.unshown = True

    # ── How far it is trusted ─────────────────────────────────────────────────────────────────

    def judge(self, watch: Watch, execution: Execution, now: float) -> None:
        """Judge the way by comparing it with an answer of Read by ID."""
        self.refused = False
        way = self.way
        if way is None:
            return
        was_listed = isinstance(watch.settled, Listed)
        if way.contact.failing_since is not None and not self._sweep.is_under_way:
            self.weigh(way, Evidence.FAILED, now, way.contact.trouble)
        elif self._sweep.is_late(now):
            self.weigh(way, Evidence.LATE, now, "another request")
        elif watch.unshown:
            self.weigh(self.by_ids, Evidence.MISSED, now, watch.execution_id)
        elif was_listed and not execution.is_finished:
            self.weigh(way, Evidence.AGREED, now, watch.execution_id)
        elif was_listed and self.feed.is_undated(execution.updated_at, watch.updated_at):
            self.weigh(self.feed, Evidence.UNFIT, now, _undated(execution))
        elif was_listed:
            self._audit.note_end(watch.execution_id, now)

    def covers(self, watch: Watch, asked_at: float) -> bool:
        """Whether the way will show the next change of an execution that was read by its id."""
        if self.way is None or watch.unshown:
            return False
        if self.way is self.by_ids or isinstance(watch.settled, Listed):
            return True
        return asked_at >= self.feed.covered_since and not self.feed.hides(watch.updated_at)

    # ── Trouble ───────────────────────────────────────────────────────────────────────────────

    def troubled(self, ticket: Ticket, trouble: NuvoError | None, now: float) -> None:
        """Record a failed attempt."""
        if self.way is not None:
            self.way.contact.failed(trouble, sent_at=ticket.began(now), now=now)
            self._outages_at = now

    def failed(self, number: int, ticket: Ticket, trouble: NuvoError | None, now: float) -> None:
        """End the reading after a failed request, and check whether Read by ID answers."""
        if self.way is None or not self._sweep.close(number):
            return
        self._sweep.abort(now)
        self._sweep.began = now
        if trouble is None or passes(trouble):
            self.troubled(ticket, trouble, now)
            self._audit.check(self.way, now, least=1)
        else:
            self.refused = isinstance(trouble, AuthenticationError)
            self.weigh(self.way, Evidence.UNFIT, now, trouble)

    def next_wake(self, now: float) -> float:
        """Return when to decide again."""
        if len(self.state.watches) <= FEW:
            return _NEVER
        moments = [self._next_reading(now), self._outages_at]
        moments += [at + 0.001 for at in self._sweep.late_at()]
        moments += [way.trust.rests_until for way in (self.by_ids, self.feed)]
        return min((at for at in moments if at > now), default=_NEVER)


def _undated(execution: Execution) -> str:
    return f"the end of {execution.id} has not changed its updated_at"

"""Reads the states of all executions that are waited for, together, with few requests.

While few are waited for, each is read by its id, when its `PollPolicy` says. When there are many,
a listing is swept at the pace of the youngest wait, and tells of most of them. Nothing rests on a
listing alone: what it has not shown is read by id as before; what it shows to have ended is read
by id, unless its waits do not care; and each execution is read by id at bounded intervals anyway. A
few of these readings are made with each sweep. Where they tell of an end that the listing does not
show afterwards, it is trusted less, and in the end another way is taken.
"""

import asyncio
import logging
import random
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from nuvo_async.models.errors import APIError, AuthenticationError, NuvoError
from nuvo_async.models.executions import Execution, ExecutionPage
from nuvo_async.waiting.listings import Listing, ListingUnfit, Sweep
from nuvo_async.waiting.policy import PollPolicy
from nuvo_async.waiting.schedule import Schedule, Watch
from nuvo_async.waiting.silence import Silence
from nuvo_async.waiting.wait import Wait, passes
from nuvo_async.waiting.ways import Ways
from nuvo_async.wire.protocol import Hooks, Request

__all__ = ["Engine", "Reader"]

_log = logging.getLogger("nuvo_async")

# So few executions cost no more when each is read by its id.
_FEW = 5
# Each is read by its id within so many times its `max_interval`, less a share for sweeps that are
# in the way, and for spread.
_READ_WITHIN = 4
# A page, or a whole sweep, that takes longer, in seconds, is a reason to read by id meanwhile.
_LATE = 5.0
_SHORTEST_TICK = 0.001
_LAST_LOOKS_EVERY = 0.25
_AT_ONCE = float("-inf")


class Reader(Protocol):
    """The two calls of the API that tell of executions."""

    async def read(self, execution_id: str, hooks: Hooks) -> Execution:
        """Read by ID."""
        ...

    async def read_all(self, query: str, hooks: Hooks) -> ExecutionPage:
        """Read all: one page."""
        ...


class Engine:
    """Serves the waits of one client, from the first to the last that there is at a time."""

    def __init__(self, api: Reader, max_concurrency: int, *, unknown_statuses: set[str]) -> None:
        self._api = api
        self._unknown_statuses = unknown_statuses
        self._watches: dict[str, Watch] = {}
        self._schedule = Schedule()
        # The waits by policy, oldest first: the youngest of each sets its pace.
        self._waits: dict[PollPolicy, dict[Wait, None]] = {}
        self._inside = 0
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._next_tick = float("-inf")
        # Readings by id that may be begun. One that fails uses its credit up, one that succeeds
        # earns two: in an outage there is one for each tick, and soon after it there are many.
        self._most_readings = self._credit = max_concurrency
        self._readings = 0
        self._ways = Ways()
        self._sweeping: asyncio.Task[None] | None = None
        self._late_at = self._page_at = self._pace = 0.0
        # What was due by then has been looked for in the listing.
        self._looked_for = self._last_sweep = float("-inf")
        self._new: set[str] = set()
        self._suspect: Watch | None = None
        self._listing_refused = False
        self._silence = Silence(self._waits)

    # ── Waits come and go ─────────────────────────────────────────────────────────────────────

    def join(self, wait: Wait) -> None:
        """Take a wait in; what becomes of its execution will be told to it."""
        now = _now()
        wait.start(now)
        self._inside += 1
        listing = self._ways.current
        watch = self._watches.get(wait.execution_id)
        if watch is None:
            watch = self._watches[wait.execution_id] = Watch(wait.execution_id)
            watch.before = None if listing is None else listing.newest
            self._new.add(wait.execution_id)
        watch.waits.append(wait)
        if watch.silent_from is not None:
            wait.meet_silence(watch.silent_from)
        watch.updated_at = _later(watch.updated_at, wait.known_at)
        watch.read_by = min(watch.read_by, now + _longest_unread(watch))
        self._waits.setdefault(wait.options.policy, {})[wait] = None
        self._next_tick = min(self._next_tick, now + wait.options.policy.delay(0))
        # Among many, the next sweep comes first, and may show it.
        self._put(watch, self._next_tick if self._ways.is_trusted else now)
        self._silence.look_again()
        if (moment := wait.last_look_at) is not None:
            wait.last_look = asyncio.get_running_loop().call_at(moment, self._look_once_more, watch)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        self._news.set()

    def leave(self, wait: Wait) -> set[asyncio.Task[Any]]:
        """Let a wait go; return the tasks that end because it was the last of its kind."""
        self._inside -= 1
        if wait.last_look is not None:
            wait.last_look.cancel()
        ending: set[asyncio.Task[Any]] = set()
        watch = self._watches.get(wait.execution_id)
        if watch is not None and wait in watch.waits:
            self._remove(watch, wait)
            if not watch.waits and watch.reading is not None:
                watch.reading.cancel()
                ending.add(watch.reading)
        if self.is_idle and self._task is not None:
            self._silence.cancel()
            self._task.cancel()
            ending.add(self._task)
        return ending

    def _look_once_more(self, watch: Watch) -> None:
        """The time of a wait is nearly over, and what has ended by now is worth to be known."""
        now = _now()
        if self._is_left_to_listing(watch):
            # One more sweep will do for all whose time ends at about the same moment; in trouble,
            # the server's own wish decides.
            again_at = self._page_at + max(_LAST_LOOKS_EVERY, self._pace / 4)
            if self._sweeping is None and self._silence.trouble is None and now > again_at:
                self._next_tick = now
        elif watch.reading is None and watch.waits:
            self._put(watch, min(watch.due, now))
            watch.read_by = now
        self._news.set()

    @property
    def is_idle(self) -> bool:
        """Whether the last wait has left."""
        return not self._inside

    def _remove(self, watch: Watch, wait: Wait) -> None:
        watch.waits.remove(wait)
        alike = self._waits[wait.options.policy]
        del alike[wait]
        if not alike:
            del self._waits[wait.options.policy]
        if not watch.waits:
            del self._watches[watch.execution_id]
            self._new.discard(watch.execution_id)
            self._schedule.tidy(len(self._watches))

    # ── Ticks ─────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        self._sweeping = None
        try:
            async with asyncio.TaskGroup() as self._tasks:
                while True:
                    self._news.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(self._turn(_now())):
                            await self._news.wait()
        except ExceptionGroup as crash:
            # Whatever it was, no wait may hang for it.
            _log.exception("polling has failed, and with it all waits")
            self._end_all(crash.exceptions[0])
        except asyncio.CancelledError:
            if not self.is_idle:
                # Whoever cancels each task that there is may leave some that wait.
                self._end_all(RuntimeError("the task that polls was cancelled by somebody else"))
            raise

    def _turn(self, now: float) -> float | None:
        """Do what is due, and return when there will be more to do."""
        if not self._watches:
            return None
        before = self._ways.current
        if self._ways.choose(many=len(self._watches) > _FEW):
            if before is not None:
                self._trust_no_more(now)
            if self._sweeping is not None:
                self._sweeping.cancel()
                self._sweeping = None
            self._next_tick = now
        if now >= self._next_tick:
            self._begin_tick(now)
        if self._ways.is_trusted and now >= self._late_at:
            self._read_overdue(now)
        if self._sweeping is None or not self._ways.is_trusted:
            self._read_due()
        if not self._credit:  # The end of a reading makes another turn.
            return self._next_tick
        if self._ways.is_trusted:
            return min(self._next_tick, self._late_at)
        first = self._schedule.first()
        return self._next_tick if first is None else min(self._next_tick, first.due)

    def _begin_tick(self, now: float) -> None:
        youngest = ((policy, next(reversed(alike))) for policy, alike in self._waits.items())
        self._pace = min(policy.delay(now - wait.started) for policy, wait in youngest)
        self._next_tick = now + max(self._pace, _SHORTEST_TICK)
        self._ways.next_tick()
        if self._readings < self._most_readings:
            self._credit = max(self._credit, 1)
        listing = self._ways.current
        if listing is None:
            return
        if self._sweeping is None:
            self._page_at = now
            self._late_at = self._next_late_at(now)
            sweeping = self._tasks.create_task(self._sweep(listing))
            # Where tasks are eager, it may be over already.
            self._sweeping = None if sweeping.done() else sweeping
        elif now - self._page_at > _LATE:
            self._ways.suspend(listing, "its answer is late")
            self._news.set()

    def _next_late_at(self, now: float) -> float:
        late = min((_LATE, *(policy.max_interval / 2 for policy in self._waits)))
        return now + max(late, _SHORTEST_TICK)

    # ── By listing ────────────────────────────────────────────────────────────────────────────

    async def _sweep(self, listing: Listing) -> None:
        began = _now()
        try:
            sweep = await listing.sweep(
                self._read_page,
                wanted=self._is_wanted,
                new=frozenset(self._new),
                most_pages=len(self._watches),
            )
        except (ListingUnfit, NuvoError) as problem:
            self._on_unswept(listing, problem)
            self._looked_for = began
        except asyncio.CancelledError:
            if not self._readings and self._sweeping in {None, asyncio.current_task()}:
                self._silence.withdraw()
            raise
        else:
            self._listing_refused = False
            self._on_swept(listing, sweep, began)
        if self._sweeping is not asyncio.current_task():
            return  # Another way has been taken meanwhile.
        self._sweeping = None
        if listing is self._ways.current:
            self._read_due()
            self._audit()
        self._news.set()

    async def _read_page(self, query: str) -> ExecutionPage:
        page = await self._api.read_all(query, Hooks(before_sending=self._on_sending))
        self._silence.end()
        self._page_at = _now()
        return page

    async def _on_sending(self, _: Request) -> None:
        self._silence.begin()

    def _is_wanted(self, execution_id: str) -> bool:
        return execution_id in self._watches or self._ways.is_noted(execution_id)

    def _on_unswept(self, listing: Listing, problem: ListingUnfit | NuvoError) -> None:
        self._listing_refused = isinstance(problem, AuthenticationError)
        if isinstance(problem, NuvoError) and passes(problem):
            self._silence.trouble = problem
            self._next_tick = max(self._next_tick, _now() + _wanted_delay(problem, self._waits))
            self._ways.fail(listing, problem)
        else:
            self._silence.end()
            self._ways.drop(listing, problem)

    def _on_swept(self, listing: Listing, sweep: Sweep, began: float) -> None:
        ended = len(sweep.gone)
        undated = None
        for execution in sweep.shown.values():
            if (watch := self._watches.get(execution.id)) is not None:
                if execution.is_finished:
                    ended += 1
                    was_listed = watch.listed_by is listing
                    if was_listed and listing.is_undated(execution, watch.updated_at):
                        undated = execution.id
                self._on_listed(watch, execution, listing, began)
        for execution_id in sweep.gone:
            if (watch := self._watches.get(execution_id)) is not None:
                watch.listed_by = None
                self._new.add(execution_id)
                self._read_soon(watch)
        _log.debug(
            "%s: %d pages show %d executions of %d, and %d that ended",
            *(listing.name, sweep.pages, len(sweep.shown), len(self._watches), ended),
        )
        self._ways.judge(listing, sweep, began=began, brought_news=bool(ended))
        if undated is not None:
            self._ways.drop(listing, f"the end of {undated} has not changed its updated_at")
        # What changes while many pages are read can move to one that was read before.
        self._looked_for = began if sweep.pages == 1 else self._last_sweep
        self._last_sweep = began

    def _on_listed(
        self, watch: Watch, execution: Execution, listing: Listing, began: float
    ) -> None:
        moment = execution.updated_at
        if _is_older(execution, watch.updated_at):
            return
        # Where Read by ID has told of the same state, the listing has no news of it.
        is_news = moment is None or moment != watch.updated_at or watch.listed_by is listing
        was_listed = watch.listed_by is listing
        if was_listed and not execution.is_finished and moment != watch.updated_at:
            self._suspect = watch  # Something has changed; it may be more than is shown.
        watch.updated_at = _later(watch.updated_at, moment)
        self._note_status(execution)
        for wait in tuple(watch.waits):
            final = execution.is_finished and wait.takes_from_listing(execution, began)
            wait.see(execution, final=final)
            if final:
                self._remove(watch, wait)
        watch.silent_from = None
        if watch.reading is not None:
            if watch.waits:
                self._begin_silence_of(watch)
            else:
                watch.reading.cancel()
        if not watch.waits:
            return
        if not execution.is_finished:
            self._trust(watch, listing)
        elif is_news:
            self._read_soon(watch)

    # ── Trust ─────────────────────────────────────────────────────────────────────────────────

    def _trust(self, watch: Watch, listing: Listing) -> None:
        """Leave it to the listing to show what becomes of an execution, for a while."""
        watch.listed_by = listing
        watch.must_be_read = False
        self._new.discard(watch.execution_id)
        if self._ways.is_trusted:
            self._put(watch, watch.read_by)

    def _read_soon(self, watch: Watch) -> None:
        watch.must_be_read = True
        self._put(watch, _AT_ONCE)

    def _trust_no_more(self, now: float) -> None:
        """Have each execution come up at its own pace again."""
        for watch in self._watches.values():
            self._new.add(watch.execution_id)
            if not watch.must_be_read:
                due = now + random.random() * watch.delay(now)  # noqa: S311 - no secret
                self._put(watch, min(due, watch.due))

    def _is_left_to_listing(self, watch: Watch) -> bool:
        listing = self._ways.current if self._ways.is_trusted else None
        return listing is not None and watch.listed_by is listing and not watch.must_be_read

    def _audit(self) -> None:
        """Read some by id that are left to the listing: the more, the more it is in doubt."""
        suspect, self._suspect = self._suspect, None
        if suspect is not None and suspect.waits and suspect.reading is None and self._credit:
            suspect.scheduled = None
            self._begin_reading(suspect)
        for _ in range(2**self._ways.strikes):
            watch = self._schedule.first()
            if watch is None or not self._is_left_to_listing(watch) or not self._credit:
                return
            self._schedule.pop()
            self._begin_reading(watch)

    # ── By id ─────────────────────────────────────────────────────────────────────────────────

    def _put(self, watch: Watch, due: float) -> None:
        watch.due = due
        if watch.reading is None:
            self._schedule.put(watch)

    def _read_due(self) -> None:
        now = _now()
        # What has come up since the last sweep, the next one may show.
        due = self._looked_for if self._ways.is_trusted else now
        while self._credit and (watch := self._schedule.first()):
            if watch.due > due and watch.read_by > now:
                return
            self._schedule.pop()
            if self._is_left_to_listing(watch) and now < watch.read_by:
                self._put(watch, watch.read_by)
            else:
                self._begin_reading(watch)

    def _read_overdue(self, now: float) -> None:
        """Read what has to be read now, whatever the next sweep will show, or this one."""
        others = []
        while self._credit and (watch := self._schedule.first()) and watch.due <= now:
            self._schedule.pop()
            if watch.read_by <= now:
                self._begin_reading(watch)
            else:
                others.append(watch)
        for watch in others:
            self._put(watch, watch.due)
        if self._credit:
            self._late_at = self._next_late_at(now)

    def _begin_reading(self, watch: Watch) -> None:
        self._credit -= 1
        self._readings += 1
        watch.read_by = _now() + _longest_unread(watch)
        watch.reading = self._tasks.create_task(self._read(watch))
        # Not at the end of the reading itself: one that is cancelled at once never begins.
        watch.reading.add_done_callback(lambda reading: self._end_reading(watch, reading))

    def _end_reading(self, watch: Watch, reading: asyncio.Task[int]) -> None:
        watch.reading = None
        self._readings -= 1
        earned = 1 if reading.cancelled() or reading.exception() else reading.result()
        self._credit = min(self._credit + earned, self._most_readings - self._readings)
        if watch.waits:
            # A reading may have taken long, and what was planned when it began is over.
            watch.read_by = _now() + _longest_unread(watch)
            self._put(watch, watch.due)
        self._news.set()

    async def _read(self, watch: Watch) -> int:
        """Read by ID, and return how much credit that earns."""
        try:
            execution = await self._api.read(watch.execution_id, self._hooks_for(watch))
        except NuvoError as trouble:
            self._on_unread(watch, trouble)
            return 0 if passes(trouble) else 1
        except asyncio.CancelledError:
            if self._readings == 1 and self._sweeping is None:
                self._silence.withdraw()
            raise
        except Exception as crash:  # noqa: BLE001 - it ends the waits that it concerns
            _log.exception("reading execution %s has failed", watch.execution_id)
            self._end(watch, crash)
            return 1
        self._on_read(watch, execution)
        return 2

    def _hooks_for(self, watch: Watch) -> Hooks:
        async def before_sending(_: Request) -> None:
            self._silence.begin()
            watch.asked_at = _now()
            if watch.silent_from is None:
                self._begin_silence_of(watch)

        def on_trouble(trouble: NuvoError) -> None:
            self._silence.trouble = trouble
            for wait in watch.waits:
                wait.trouble = trouble

        return Hooks(before_sending, on_trouble)

    def _begin_silence_of(self, watch: Watch) -> None:
        watch.silent_from = _now()
        for wait in watch.waits:
            wait.meet_silence(watch.silent_from)

    def _on_read(self, watch: Watch, execution: Execution) -> None:
        now = _now()
        self._silence.end()
        self._listing_refused = False  # Or else it was not the credentials.
        self._note_status(execution)
        watch.silent_from = None
        for wait in tuple(watch.waits):
            # What was asked before a wait began may have changed by then.
            final = execution.is_finished and wait.started <= watch.asked_at
            wait.see(execution, final=final)
            if final:
                self._remove(watch, wait)
        listing = self._ways.current
        would_show = listing is not None and listing.would_show(execution, watch.before)
        if execution.is_finished:
            if would_show and not watch.must_be_read:
                self._ways.note_end(watch.execution_id, now)
            watch.must_be_read = True
            watch.due = now
            return
        if not watch.waits:
            return
        watch.due = now + watch.delay(now)
        if _is_older(execution, watch.updated_at):
            return  # The listing had shown what came after it, while this answer was under way.
        watch.updated_at = _later(watch.updated_at, execution.updated_at)
        watch.must_be_read = False
        if listing is not None and (watch.listed_by is listing or not would_show):
            self._trust(watch, listing)

    def _on_unread(self, watch: Watch, trouble: NuvoError) -> None:
        now = _now()
        if passes(trouble):
            self._silence.trouble = trouble
        else:
            self._silence.end()
        if isinstance(trouble, AuthenticationError) and self._listing_refused:
            self._end_all(trouble)  # It is the credentials that are refused, by both.
            return
        watch.silent_from = watch.silent_from or now
        for wait in tuple(watch.waits):
            if wait.bears(trouble, now):
                wait.meet(trouble, watch.silent_from)
            else:
                wait.end(trouble)
                self._remove(watch, wait)
        if watch.waits:
            _log.info("waiting for execution %s goes on: %s", watch.execution_id, trouble)
            watch.must_be_read = True
            policies = [wait.options.policy for wait in watch.waits]
            watch.due = now + max(watch.delay(now), _wanted_delay(trouble, policies))

    def _end_all(self, error: Exception) -> None:
        for watch in tuple(self._watches.values()):
            self._end(watch, error)
            if watch.reading is not None and watch.reading is not asyncio.current_task():
                watch.reading.cancel()

    def _end(self, watch: Watch, error: Exception) -> None:
        for wait in tuple(watch.waits):
            wait.end(error)
            self._remove(watch, wait)

    def _note_status(self, execution: Execution) -> None:
        status = execution.status
        if not status.is_known and status not in self._unknown_statuses:
            self._unknown_statuses.add(status)
            _log.warning(
                "unknown status %.60r: it is not taken for an end of the execution", str(status)
            )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)


def _is_older(execution: Execution, moment: datetime | None) -> bool:
    if moment is None or execution.updated_at is None:
        return False
    return execution.updated_at < moment


def _longest_unread(watch: Watch) -> float:
    share = random.uniform(0.65, 0.85)  # noqa: S311 - no secret
    return _READ_WITHIN * share * min(wait.options.policy.max_interval for wait in watch.waits)


def _wanted_delay(trouble: NuvoError, policies: Iterable[PollPolicy]) -> float:
    """Return what the server asks for, in seconds; an absurd figure must not end all polling."""
    wanted = trouble.retry_after if isinstance(trouble, APIError) else None
    return min([wanted or 0, *(policy.max_interval for policy in policies)])

"""Drives the core of waiting without an event loop: events by a clock of its own, and a server."""

import heapq
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, islice
from typing import Any

from attrs import define, field

from nuvo_async import (
    Execution,
    ExecutionStatus,
    NuvoError,
    PollPolicy,
    RequestTimeoutError,
    TriggerType,
)
from nuvo_async.models.executions import States
from nuvo_async.waiting.core import Core
from nuvo_async.waiting.effects import (
    End,
    GiveUp,
    Outage,
    Query,
    ReadIds,
    ReadOne,
    ReadPage,
    Tell,
)
from nuvo_async.waiting.wait import Wait, WaitOptions

DEFAULT = PollPolicy()
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Answer = Execution | States | NuvoError | None


def moment(seconds: float) -> datetime:
    """Return the date of a time on the clock."""
    return EPOCH + timedelta(seconds=seconds)


@define
class Run:
    """One execution of the server, by when it begins and ends."""

    id: str
    begins: float
    ends: float

    def state(self, now: float) -> Execution:
        """Return how it is."""
        ended = now >= self.ends
        return Execution(
            self.id,
            "orders",
            ExecutionStatus.SUCCESSFUL if ended else ExecutionStatus.PROCESSING,
            TriggerType.MANUAL,
            created_at=moment(self.begins),
            updated_at=moment(self.ends if ended else self.begins),
        )


@define
class Driver:
    """A server of scripted runs, and a clock that jumps to what happens next.

    `answer` may answer a query in another way than the server would: with an error, or `None` for
    no answer at all. `queue` is the seconds for which a request waits in the client before it is
    sent.
    """

    runs: list[Run]
    answer: Callable[[Query, float], Answer | str] = lambda *_: "as it is"
    latency: float = 0.03
    queue: Callable[[float], float] = lambda _: 0.0
    now: float = 0.0
    seed: int = 1
    core: Core = field(init=False)
    requests: list[tuple[float, Query]] = field(factory=list)
    finals: dict[Wait, Execution] = field(factory=dict)
    errors: dict[Wait, Exception] = field(factory=dict)
    outages: dict[Wait, float] = field(factory=dict)
    ended_at: dict[Wait, float] = field(factory=dict)
    in_flight: set[int] = field(factory=set)
    wake: float = float("inf")
    _begun: list[Run] = field(init=False)
    _ended: list[Run] = field(init=False)
    _by_id: dict[str, Run] = field(init=False)
    _events: list[tuple[float, int, Callable[[], object]]] = field(factory=list)
    _ties: "count[int]" = field(factory=count)

    def __attrs_post_init__(self) -> None:
        self.core = Core(100, random.Random(self.seed).random)
        self._begun = sorted(self.runs, key=lambda run: run.begins)
        self._ended = sorted(self.runs, key=lambda run: run.ends)
        self._by_id = {run.id: run for run in self.runs}

    # ── What is scripted ──────────────────────────────────────────────────────────────────────

    def at(self, when: float, action: Callable[[], object]) -> None:
        """Have something happen."""
        heapq.heappush(self._events, (when, next(self._ties), action))

    def join(self, run: Run | str, policy: PollPolicy = DEFAULT, **options: Any) -> Wait:
        """Wait for a run."""
        name = run if isinstance(run, str) else run.id
        wait = WaitOptions(policy=policy, **options).wait_for(name)
        self.core.joined(wait, self.now)
        return wait

    def join_all(self, runs: Iterable[Run], **options: Any) -> None:
        """Wait for runs, each from when its Create was answered."""
        for run in runs:
            self.at(run.begins + self.latency, partial(self.join, run, **options))

    def end(self, execution_id: str) -> None:
        """Let a run end now."""
        run = self._by_id[execution_id]
        if run.ends > self.now:
            run.ends = self.now
            self._ended.sort(key=lambda one: one.ends)

    # ── The clock ─────────────────────────────────────────────────────────────────────────────

    def go(self, until: float) -> None:
        """Let time pass."""
        self.decide()
        while (when := min(self.wake, self._events[0][0] if self._events else self.wake)) <= until:
            self.now = max(self.now, when)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            self.decide()
        self.now = until

    def decide(self) -> None:
        """Ask the core, and do what it says."""
        effects, self.wake = self.core.decide(self.now)
        for effect in effects:
            match effect:
                case Tell(wait, execution, True):
                    self.finals[wait] = execution
                    self.ended_at[wait] = self.now
                case Tell():
                    pass
                case End(wait, error):
                    self.errors[wait] = error
                    self.ended_at[wait] = self.now
                case Outage(wait, _, since):
                    self.outages[wait] = since
                    self.ended_at[wait] = self.now
                case GiveUp(number):
                    self.in_flight.discard(number)
                case (number, query):
                    self.in_flight.add(number)
                    self.at(self.now + self.queue(self.now), partial(self.send, number, query))
        if effects:
            self.decide()

    def send(self, number: int, query: Query) -> None:
        """Have a request go out."""
        if number not in self.in_flight:
            return
        self.core.sent(number, self.now)
        self.requests.append((self.now, query))
        answer = self.answer(query, self.now)
        if answer == "as it is":
            answer = self.serve(query)
        if answer is None:
            timeout = RequestTimeoutError("no answer in 30 s", method="GET", path="execution/")
            self.at(self.now + 30, partial(self.receive, number, timeout))
        else:
            self.at(self.now + self.latency, partial(self.receive, number, answer))

    def receive(self, number: int, answer: Any) -> None:
        """Have an answer come in."""
        if number not in self.in_flight:
            return
        self.in_flight.discard(number)
        if isinstance(answer, NuvoError):
            self.core.failed(number, answer, self.now)
        else:
            self.core.answered(number, answer, self.now)

    # ── The server ────────────────────────────────────────────────────────────────────────────

    def serve(self, query: Query) -> Any:
        """Answer as the API does."""
        by_id, now = self._by_id, self.now
        match query:
            case ReadOne(execution_id):
                return by_id[execution_id].state(now)
            case ReadIds(ids):
                found = [run for one in ids if (run := by_id.get(one)) and run.begins <= now]
                return States(tuple(run.state(now) for run in found), len(found), len(ids))
            case ReadPage(offset, limit):
                page = tuple(
                    run.state(now) for run in islice(self._latest(), offset, offset + limit)
                )
                return States(page, len(page), limit)

    def _latest(self) -> Iterator[Run]:
        """Yield the runs that have begun, by what changed last."""
        begun = self._begun[: bisect_right(self._begun, self.now, key=lambda run: run.begins)]
        ended = self._ended[: bisect_right(self._ended, self.now, key=lambda run: run.ends)]
        running = (run for run in reversed(begun) if run.ends > self.now)
        latest = heapq.merge(
            ((run.begins, run) for run in running),
            ((run.ends, run) for run in reversed(ended)),
            key=lambda one: -one[0],
        )
        return (run for _, run in latest)

    # ── What came of it ───────────────────────────────────────────────────────────────────────

    def count(self, since: float = 0.0, until: float = float("inf")) -> Counter[str]:
        """Count the requests by kind."""
        return Counter(type(q).__name__ for at, q in self.requests if since <= at <= until)

    def peak(self) -> int:
        """Return the most requests in one second."""
        return max(Counter(int(at) for at, _ in self.requests).values(), default=0)

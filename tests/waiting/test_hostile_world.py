"""The engine against a hostile world, in any order of events, on a simulated clock.

Waits come and go with policies of their own; executions end, are fixed and run again; listings lie;
requests fail. Each wait gets the truth or its own timeout, no more is asked than is allowed, and
nothing is left over.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from benchmarks.simulation import SimulatedLoop
from nuvo_async import (
    Execution,
    ExecutionPage,
    ExecutionStatus,
    NotFoundError,
    NuvoError,
    Pagination,
    PermissionDeniedError,
    PollPolicy,
    ServerError,
    TransportError,
    TriggerType,
    WaitOutageError,
    WaitTimeoutError,
)
from nuvo_async.models.executions import States
from nuvo_async.testing.listing import parse_query
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import WaitOptions
from nuvo_async.wire.protocol import Hooks, Request
from nuvo_async.wire.throttle import Throttle

MOST_IN_FLIGHT = 7
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NO_HOOKS = Hooks()
POLICIES = (
    PollPolicy(max_outage=40),
    PollPolicy(min_interval=2, max_interval=10, max_outage=40),
    PollPolicy(min_interval=0.1, max_interval=3, jitter=0, max_outage=40),
)
LISTINGS = (
    "honest",
    "deaf",
    "stale",
    "shuffled",
    "unfiltered",
    "undated",
    "partial",
    "empty",
    "failing",
)
TROUBLES = ("none", "no answer", "503", "slow")


@define
class World:
    """The API as it is, and as it shows itself."""

    listing: str = "honest"
    trouble: str = "none"
    page_size: int = 20
    history: dict[str, list[tuple[float, Execution]]] = field(factory=dict)
    forbidden: set[str] = field(factory=set)
    in_flight: int = 0
    requests: int = 0
    told_at: dict[str, list[float]] = field(factory=dict)
    throttle: Throttle = field(factory=lambda: Throttle(MOST_IN_FLIGHT))

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def put(self, execution_id: str, status: ExecutionStatus) -> None:
        """Let an execution begin, or change."""
        moment = EPOCH + timedelta(seconds=self.now())
        states = self.history.setdefault(execution_id, [])
        if states:
            execution = evolve(states[-1][1], status=status, updated_at=moment)
        else:
            execution = Execution(
                *(execution_id, "orders", status, TriggerType.MANUAL),
                created_at=moment,
                updated_at=moment,
            )
        states.append((self.now(), execution))

    def state(self, execution_id: str) -> Execution:
        return self.history[execution_id][-1][1]

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        await self.throttle.enter()
        self.requests += 1
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            self.throttle.leave()

    async def travel(self, hooks: Hooks) -> None:
        if hooks.before_sending is not None:
            await hooks.before_sending(Request("GET", "execution/"))
        await asyncio.sleep(8 if self.trouble == "slow" else 0.02)
        if self.trouble == "no answer":
            raise TransportError("reset", method="GET", path="execution/", sent_at=EPOCH)
        if self.trouble == "503":
            raise ServerError("busy", status=503, method="GET", path="execution/")

    async def read(self, execution_id: str, hooks: Hooks = NO_HOOKS) -> Execution:
        async with self.request():
            await self.travel(hooks)
            if execution_id in self.forbidden:
                raise PermissionDeniedError("no", status=403, method="GET", path="execution/e")
            if execution_id not in self.history:
                raise NotFoundError("no", status=404, method="GET", path="execution/e")
            self.told_at.setdefault(execution_id, []).append(self.now())
            return self.state(execution_id)

    async def read_all(self, query: str, hooks: Hooks = NO_HOOKS) -> ExecutionPage:
        async with self.request():
            await self.travel(hooks)
            if self.listing == "failing":
                raise ServerError("no listing", status=500, method="GET", path="execution/")
            parameters = parse_query(query)
            offset = int(parameters["pagination"]["offset"])
            limit = min(int(parameters["pagination"]["limit"]), self.page_size)
            shown = self.shown(parameters)
            return ExecutionPage(
                tuple(shown[offset : offset + limit]), Pagination(len(shown), offset, limit)
            )

    async def read_states(self, query: str, hooks: Hooks = NO_HOOKS) -> States:
        page = await self.read_all(query, hooks)
        return States(page.data, len(page.data), page.pagination.limit)

    def shown(self, parameters: dict[str, Any]) -> list[Execution]:
        seen_at = self.now() - (15 if self.listing == "stale" else 0)
        shown = [
            [one for moment, one in states if moment <= seen_at][-1]
            for states in self.history.values()
            if states[0][0] <= seen_at
        ]
        if self.listing == "empty":
            return []
        if self.listing == "partial":
            shown = shown[::2]
        if self.listing == "undated":
            shown = [evolve(one, updated_at=None) for one in shown]
        if self.listing == "unfiltered":
            return shown
        if "filters" in parameters and self.listing != "deaf":
            shown = [one for one in shown if one.id in parameters["filters"]["id"]["$in"]]
        shown.sort(key=lambda one: one.updated_at or EPOCH, reverse=True)
        if self.listing == "shuffled":
            random.Random(self.requests).shuffle(shown)
        return shown


@define(eq=False)
class Waiter:
    """A wait, and what it was promised."""

    execution_id: str
    options: WaitOptions
    started: float
    task: asyncio.Task[Execution]
    ended: float | None = None
    cancelled: bool = False


class EngineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=SimulatedLoop)
        self.world = World()
        self.poller = Poller(self.world, MOST_IN_FLIGHT)
        self.waiters: list[Waiter] = []
        self.judged: set[Waiter] = set()

    def run(self, work: Any) -> Any:
        async def call() -> Any:
            return work()

        return self.runner.run(call())

    def pick(self, number: int, *states: ExecutionStatus) -> str | None:
        ids = [one for one in self.world.history if self.world.state(one).status in states]
        return ids[number % len(ids)] if ids else None

    # ── What happens in the world ─────────────────────────────────────────────────────────────

    @rule(count=st.integers(1, 30))
    def executions_begin(self, count):
        for _ in range(count):
            name = f"e{len(self.world.history)}"
            self.run(lambda name=name: self.world.put(name, ExecutionStatus.PROCESSING))

    @rule(
        number=st.integers(0, 10**6),
        count=st.integers(1, 10),
        status=st.sampled_from([ExecutionStatus.SUCCESSFUL, ExecutionStatus.FAILED]),
    )
    def executions_end(self, number, count, status):
        for n in range(count):
            if name := self.pick(number + n, ExecutionStatus.PROCESSING):
                self.run(lambda name=name: self.world.put(name, status))

    @rule(number=st.integers(0, 10**6))
    def someone_fixes_an_execution(self, number):
        if name := self.pick(number, ExecutionStatus.FAILED):
            self.run(lambda: self.world.put(name, ExecutionStatus.PROCESSING))

    @rule(listing=st.sampled_from(LISTINGS))
    def the_listing_changes_its_ways(self, listing):
        self.world.listing = listing

    @rule(trouble=st.sampled_from(TROUBLES))
    def requests_fail_or_do_not(self, trouble):
        self.world.trouble = trouble

    @rule(number=st.integers(0, 10**6))
    def one_is_forbidden(self, number):
        if name := self.pick(number, ExecutionStatus.PROCESSING):
            self.world.forbidden.add(name)

    # ── What those who wait do ────────────────────────────────────────────────────────────────

    @rule(
        number=st.integers(0, 10**6),
        count=st.integers(1, 30),
        policy=st.sampled_from(POLICIES),
        timeout=st.sampled_from([None, None, 3.0, 60.0]),
        with_logs=st.booleans(),
    )
    def waits_begin(self, number, count, policy, timeout, with_logs):
        options = WaitOptions(policy=policy, timeout=timeout, with_logs=with_logs)
        for n in range(count):
            if name := self.pick(number + n, *ExecutionStatus):
                self.run(lambda name=name: self.begin(name, options))

    def begin(self, name: str, options: WaitOptions) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(self.poller.wait(options.wait_for(name)))
        waiter = Waiter(name, options, loop.time(), task)
        task.add_done_callback(lambda _: setattr(waiter, "ended", loop.time()))
        self.waiters.append(waiter)

    @rule(number=st.integers(0, 10**6))
    def a_wait_is_cancelled(self, number):
        if running := [one for one in self.waiters if not one.task.done()]:
            waiter = running[number % len(running)]
            waiter.cancelled = True
            self.run(waiter.task.cancel)

    @rule(seconds=st.sampled_from([0.05, 0.5, 2.0, 10.0, 45.0]))
    def time_passes(self, seconds):
        watched = len({one.execution_id for one in self.waiters if not one.task.done()})
        before = self.world.requests
        self.runner.run(asyncio.sleep(seconds))
        # Each at the quickest pace there is, and some to look into what changed just now.
        most = (watched + 3) * (seconds / 0.1 + 3)
        assert self.world.requests - before <= most

    # ── What must hold ────────────────────────────────────────────────────────────────────────

    @invariant()
    def each_wait_that_ended_has_told_the_truth(self):
        for waiter in self.waiters:
            if waiter.ended is not None and waiter not in self.judged:
                self.judged.add(waiter)
                self.judge(waiter)

    def judge(self, waiter: Waiter) -> None:
        took = (waiter.ended or 0) - waiter.started
        try:
            execution = waiter.task.result()
        except asyncio.CancelledError:
            assert waiter.cancelled
        except WaitTimeoutError:
            assert took == pytest.approx(waiter.options.timeout)
        except WaitOutageError:
            assert waiter.options.timeout is None
            assert took > 39.999
            silent_from = (waiter.ended or 0.0) - 39.999
            told_at = self.world.told_at.get(waiter.execution_id, [])
            assert not [at for at in told_at if silent_from < at < (waiter.ended or 0.0)]
        except PermissionDeniedError:
            assert waiter.execution_id in self.world.forbidden
        except NuvoError as error:  # pragma: no cover - that would be the bug
            raise AssertionError(f"{error!r} was promised to nobody") from error
        else:
            self.judge_result(waiter, execution)

    def judge_result(self, waiter: Waiter, execution: Execution) -> None:
        assert execution.id == waiter.execution_id
        assert execution.is_finished
        states = self.world.history[execution.id]
        ends = [moment for moment, _ in states[1:]] + [float("inf")]
        true = [
            (begin, end)
            for (begin, one), end in zip(states, ends, strict=True)
            if one.status == execution.status
        ]
        # A listing may be stale, and is believed where logs are not wanted; Read by ID is fresh.
        since = waiter.started if waiter.options.with_logs else 0.0
        ended = waiter.ended or 0.0
        assert any(begin <= ended and end >= since for begin, end in true), "it never was so"

    @precondition(lambda self: all(one.task.done() for one in self.waiters))
    @invariant()
    def nobody_waits_and_nothing_is_left(self):
        self.runner.run(asyncio.sleep(0))
        assert self.poller._core.is_idle
        assert self.world.in_flight == 0
        assert asyncio.all_tasks(self.runner.get_loop()) == set()

    def teardown(self) -> None:
        """All end once the world is well again, however the listing lies."""
        try:
            self.world.trouble = "none"
            self.world.forbidden.clear()
            for name in self.world.history:
                self.run(lambda name=name: self.world.put(name, ExecutionStatus.SUCCESSFUL))
            most = max(policy.max_interval for policy in POLICIES)
            self.runner.run(asyncio.sleep(4 * most + 60))
            assert all(one.ended is not None for one in self.waiters), "a wait was forgotten"
            self.each_wait_that_ended_has_told_the_truth()
            self.nobody_waits_and_nothing_is_left()
        finally:
            self.runner.close()


TestEngine = EngineMachine.TestCase
TestEngine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

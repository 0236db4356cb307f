"""The core in any order of events: joins, leaves, answers, failures, and time that passes.

Run with `NUVO_CORE_EXAMPLES=10000` for the long version.
"""

import os
from typing import Any

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nuvo_async import (
    APIError,
    AuthenticationError,
    ExecutionStatus,
    NotFoundError,
    NuvoError,
    PermissionDeniedError,
    PollPolicy,
    RateLimitError,
    ServerError,
    TransportError,
)
from nuvo_async.models.executions import States
from nuvo_async.waiting.effects import ReadIds, ReadOne
from nuvo_async.waiting.wait import Wait
from tests.waiting.driver import Driver, Run

POLICIES = (
    PollPolicy(max_outage=40),
    PollPolicy(min_interval=2, max_interval=10, max_outage=40),
    PollPolicy(min_interval=0.1, max_interval=3, max_outage=60),
    PollPolicy(max_interval=600, max_outage=300),
)
LISTINGS = ("honest", "empty", "half", "unfiltered", "unsorted", "stale", "undated")


def error(kind: type[APIError], status: int, **details: Any) -> NuvoError:
    return kind("no", status=status, method="GET", path="execution/e", **details)


TROUBLES = {
    "none": None,
    "cut": TransportError("cut", method="GET", path="execution/e"),
    "500": error(ServerError, 500),
    "429": error(RateLimitError, 429, retry_after=5.0),
    "silence": None,
    "404": error(NotFoundError, 404),
    "403": error(PermissionDeniedError, 403),
    "401": error(AuthenticationError, 401),
}


class CoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver([Run(f"e{n}", -100.0, 1e9) for n in range(60)], self.answer)
        self.listing, self.trouble, self.of = "honest", "none", "both"
        self.waits: list[Wait] = []
        self.left: set[Wait] = set()
        self.failures: list[float] = []
        self.told_by_id: set[str] = set()

    def answer(self, query, now):
        is_read = isinstance(query, ReadOne)
        if self.of in {"both", "reads" if is_read else "lists"} and self.trouble != "none":
            self.failures.append(now)
            return TROUBLES[self.trouble]
        answer = self.driver.serve(query)
        if is_read:
            if answer.is_finished:
                self.told_by_id.add(answer.id)
            return answer
        return self.distorted(query, answer)

    def distorted(self, query, states):
        shown = states.executions
        if self.listing == "empty":
            shown = ()
        elif self.listing == "half":
            shown = shown[::2]
        elif self.listing == "unsorted":
            shown = shown[::-1]
        elif self.listing == "undated":
            shown = tuple(evolve(one, updated_at=None) for one in shown)
        elif self.listing == "stale":
            shown = tuple(
                evolve(one, status=ExecutionStatus.PROCESSING, updated_at=one.created_at)
                for one in shown
            )
        elif self.listing == "unfiltered" and isinstance(query, ReadIds):
            shown = tuple(run.state(self.driver.now) for run in self.driver.runs)[: states.limit]
        return States(shown, len(shown), states.limit)

    # ── Events ────────────────────────────────────────────────────────────────────────────────

    @rule(
        first=st.integers(0, 59),
        count=st.integers(1, 40),
        policy=st.sampled_from(POLICIES),
        timeout=st.sampled_from([None, None, 30.0]),
        with_logs=st.booleans(),
    )
    def waits_join(self, first, count, policy, timeout, with_logs):
        for n in range(count):
            options = {"timeout": timeout, "with_logs": with_logs}
            self.waits.append(self.driver.join(f"e{(first + n) % 60}", policy, **options))
        self.driver.decide()

    @rule(data=st.data(), count=st.integers(1, 30))
    def waits_leave(self, data, count):
        for wait in [one for one in self.waits if self.is_live(one)][:count]:
            self.left.add(wait)
            self.driver.core.left(wait)
        self.driver.decide()

    @rule(first=st.integers(0, 59), count=st.integers(1, 30))
    def runs_end(self, first, count):
        for n in range(count):
            self.driver.end(f"e{(first + n) % 60}")

    @rule(listing=st.sampled_from(LISTINGS))
    def the_listing_changes(self, listing):
        self.listing = listing

    @rule(trouble=st.sampled_from(sorted(TROUBLES)), of=st.sampled_from(["both", "reads", "lists"]))
    def trouble_comes_or_goes(self, trouble, of):
        self.trouble, self.of = trouble, of

    @rule(seconds=st.sampled_from([0.01, 0.2, 1.0, 5.0, 40.0]))
    def time_passes(self, seconds):
        began, live = (
            self.driver.now,
            len({one.execution_id for one in self.waits if self.is_live(one)}),
        )
        self.driver.go(began + seconds)
        # Each at the quickest pace there is, and some to look into what has changed.
        assert self.driver.count(began).total() <= (live + 3) * (seconds / 0.1 + 3)

    # ── Properties ────────────────────────────────────────────────────────────────────────────

    def is_live(self, wait):
        return wait not in self.driver.ended_at and wait not in self.left

    @invariant()
    def each_wait_has_a_wake_up_or_a_request_in_flight(self):
        if any(map(self.is_live, self.waits)):
            assert self.driver.in_flight or self.driver.wake < float("inf")
        else:
            assert self.driver.core.is_idle
            assert not self.driver.in_flight

    @invariant()
    def each_wait_ends_once(self):
        ended = [*self.driver.finals, *self.driver.errors, *self.driver.outages]
        assert len(ended) == len(set(ended)) == len(self.driver.ended_at)

    @invariant()
    def an_outage_takes_two_failures(self):
        for wait, since in self.driver.outages.items():
            ended = self.driver.ended_at[wait]
            assert wait.options.timeout is None
            assert ended - since >= wait.policy.max_outage - 1e-6
            assert len([at for at in self.failures if since - 1e-6 <= at <= ended]) >= 2

    @invariant()
    def what_read_by_id_never_said_is_never_told_with_logs(self):
        for wait, execution in self.driver.finals.items():
            if wait.options.with_logs:
                assert execution.id in self.told_by_id

    def teardown(self):
        """Once all is well and all have ended, each wait is told so."""
        self.trouble = "none"
        for run in self.driver.runs:
            self.driver.end(run.id)
        self.driver.go(self.driver.now + 1300)
        assert not [wait for wait in self.waits if self.is_live(wait)]
        self.each_wait_has_a_wake_up_or_a_request_in_flight()


TestCore = CoreMachine.TestCase
TestCore.settings = settings(
    max_examples=int(os.environ.get("NUVO_CORE_EXAMPLES", "60")),
    stateful_step_count=100 if "NUVO_CORE_EXAMPLES" in os.environ else 40,
    deadline=None,
)

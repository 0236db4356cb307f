"""The core decides without an event loop: what was done to it, and what is right."""

import ast
import random
import statistics
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

import nuvo_async.waiting
from benchmarks.simulation import durations
from nuvo_async import (
    Execution,
    ExecutionStatus,
    InvalidResponseError,
    NotFoundError,
    NuvoError,
    PollPolicy,
    RateLimitError,
    ServerError,
    TransportError,
    TriggerType,
)
from nuvo_async.models.executions import States
from nuvo_async.waiting.effects import ReadIds, ReadOne, ReadPage
from nuvo_async.waiting.wait import WaitOptions
from tests.waiting.driver import Driver, Run, moment

NO_JITTER = PollPolicy(jitter=0)
EVER = 100_000.0


def broken(status: int = 500, retry_after: float | None = None) -> NuvoError:
    kind = RateLimitError if status == 429 else ServerError
    return kind("no", status=status, method="GET", path="execution/", retry_after=retry_after)


def long_runs(count: int, *, spread: float = 1.0, ends: float = EVER) -> list[Run]:
    return [Run(f"e{n}", n * spread / count, ends) for n in range(count)]


def test_the_core_has_no_clock_no_dice_no_tasks_and_no_http():
    """Which is why each of these tests needs no event loop, and is exact."""
    wing = Path(nuvo_async.waiting.__file__).parent
    for file in wing.glob("*.py"):
        if file.name == "poller.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", ())]
            modules = {getattr(node, "module", None), *names}
            forbidden = {"asyncio", "time", "random", "threading", "aiohttp", "contextvars"}
            assert not forbidden & modules, file.name
            assert not any(str(one).startswith("nuvo_async.wire") for one in modules), file.name


# ── Outages ───────────────────────────────────────────────────────────────────────────────────


def test_one_failed_poll_is_no_outage_however_seldom_it_polls():
    policy = PollPolicy(min_interval=1, max_interval=600, max_outage=300, growth=10, jitter=0)
    driver = Driver(long_runs(1), fail_once(after=600, error=broken()))
    wait = driver.join("e0", policy)
    driver.go(3000)
    assert not driver.outages
    failed_at = next(at for at, _ in driver.requests if at > 600)
    assert next(at for at, _ in driver.requests if at > failed_at) <= failed_at + 75.1
    assert wait not in driver.ended_at


def fail_once(*, after: float, error: NuvoError):
    failed: list[float] = []

    def answer(query, now):
        if now > after and not failed:
            failed.append(now)
            return error
        return "as it is"

    return answer


def test_the_trouble_of_another_execution_is_no_outage():
    """Its own polls all succeed; the one beside it fails, and leaves."""
    policy = PollPolicy(min_interval=30, max_interval=30, max_outage=20, jitter=0)
    other = PollPolicy(min_interval=1, max_interval=1, max_outage=300, jitter=0)
    driver = Driver(
        long_runs(2),
        lambda query, _: broken() if query == ReadOne("e1") else "as it is",
    )
    driver.go(2)
    healthy, failing = driver.join("e0", policy), driver.join("e1", other)
    driver.at(25, lambda: driver.core.left(failing))
    driver.go(600)
    assert healthy not in driver.ended_at


@pytest.mark.parametrize("count", [5, 8, 60, 300])
def test_read_by_id_that_fails_for_ever_is_an_outage_whatever_listings_show(count):
    """With logs, only Read by ID may end a wait; the listing shows that all have ended."""
    policy = PollPolicy(max_outage=100)
    runs = long_runs(count, ends=30.0)
    driver = Driver(
        runs, lambda query, now: broken() if now > 20 and isinstance(query, ReadOne) else "as it is"
    )
    driver.join_all(runs, policy=policy)
    driver.go(1000)
    assert len(driver.outages) == count
    assert not driver.finals
    assert max(driver.ended_at.values()) < 20 + 2 * 100 + 30


def test_a_404_in_its_grace_is_an_answer_and_no_outage():
    missing = NotFoundError("no", status=404, method="GET", path="execution/e0")
    driver = Driver([Run("e0", 0, 3)], lambda _, now: missing if now < 1.5 else "as it is")
    wait = driver.join("e0", PollPolicy(not_found_grace=5, max_outage=0.5))
    driver.go(20)
    assert driver.finals[wait].succeeded


def test_a_process_that_was_stopped_during_a_read_has_met_no_outage():
    """As by SIGSTOP: the answer was there all the time, and so was the server."""
    driver = Driver(long_runs(1, ends=30), latency=0.4)
    wait = driver.join("e0", PollPolicy(min_interval=1, max_interval=1, max_outage=2, jitter=0))
    driver.go(5.8)
    assert driver.in_flight
    driver.now = 9.8  # Nothing ran for four seconds; the timers come first.
    driver.decide()
    assert not driver.outages
    driver.go(60)
    assert driver.finals[wait].succeeded


def test_an_outage_ends_waits_to_the_moment_also_those_left_to_a_listing():
    policy = PollPolicy(max_outage=50)
    runs = long_runs(300)
    cut = TransportError("cut", method="GET", path="execution/")
    driver = Driver(runs, lambda _, now: cut if now > 30 else "as it is")
    driver.join_all(runs, policy=policy)
    driver.go(300)
    assert len(driver.outages) == 300
    first = next(at for at, _ in driver.requests if at > 30)
    assert {round(at - first, 6) for at in driver.ended_at.values()} == {50.0}


def test_an_unreadable_answer_is_trouble_that_passes_and_another_shape_ends_the_wait():
    empty = InvalidResponseError("expected JSON", status=200, transient=True)
    driver = Driver([Run("e0", 0, 10), Run("e1", 0, 10)])
    odd = InvalidResponseError("expected a string, got a number", where="data.id", status=200)
    bad = {"e0": empty, "e1": odd}
    driver.answer = lambda query, now: (
        bad[query.execution_id] if isinstance(query, ReadOne) and 2 < now < 4 else "as it is"
    )
    good, ended = driver.join("e0"), driver.join("e1")
    driver.go(60)
    assert driver.finals[good].succeeded
    assert driver.errors[ended] is odd


# ── What it costs ─────────────────────────────────────────────────────────────────────────────


def test_waiting_in_the_clients_own_queue_is_no_lateness_of_the_server():
    """Three thousand Creates at once take every place: pages and reads wait for their turn."""
    runs = long_runs(3000, spread=9, ends=EVER)
    driver = Driver(runs, queue=lambda now: 3.0 if now < 12 else 0.0)
    driver.join_all(runs, with_logs=False)
    driver.go(40)
    assert driver.count()["ReadOne"] < 60


def test_after_a_429_on_a_page_the_listing_is_resumed_and_nobody_is_asked_for_by_id():
    runs = long_runs(500)
    driver = Driver(runs, fail_once(after=60, error=broken(429, retry_after=10.0)))
    driver.join_all(runs, with_logs=False)
    driver.go(1260)
    refused_at = next(at for at, _ in driver.requests if at > 60)
    assert driver.count(refused_at + 0.1, refused_at + 9.9).total() == 0
    assert driver.count(refused_at, refused_at + 20)["ReadOne"] < 10
    before, after = driver.count(refused_at - 30, refused_at), driver.count(90, 1260)
    assert after.total() / 1170 < 1.2 * before.total() / 30


def test_a_long_retry_after_is_heeded_by_all_also_by_those_who_join():
    """Over what a call waits for, up to half of what ends a wait."""
    runs = long_runs(100)
    driver = Driver(runs, lambda *_: broken(429, retry_after=120.0))
    patient = PollPolicy(max_outage=10_000)
    driver.join_all(runs, policy=patient)
    for second in range(600):
        driver.at(2 + second, partial(driver.join, f"x{second}", patient))
    driver.go(600)
    assert driver.count().total() < 40
    moments = sorted({at for at, _ in driver.requests if at > 2})
    assert all(later - earlier > 119 for earlier, later in pairwise(moments))


def test_a_short_wait_each_second_beside_long_ones_does_not_flap():
    runs = [*long_runs(5), *(Run(f"s{n}", n, n + 1.0) for n in range(10, 310))]
    driver = Driver(runs)
    driver.join_all(runs, policy=NO_JITTER)
    driver.go(310)
    assert driver.count(60, 300).total() / 240 < 3.4
    long_ones = {f"e{n}" for n in range(5)}
    named = [q for at, q in driver.requests if at > 150 and isinstance(q, ReadOne)]
    assert sum(one.execution_id in long_ones for one in named) < 5 * 150 / 20


def one_by_one(runs: list[Run], policy: PollPolicy = NO_JITTER) -> float:
    """Count the requests of as many waits, each for itself."""
    requests = 0
    for run in runs:
        waited, length = 0.0, run.ends - run.begins
        requests += 1
        while waited < length:
            waited += policy.delay(waited)
            requests += 1
    return requests


@pytest.mark.parametrize("count", [5, 6, 8, 10, 20])
@pytest.mark.parametrize("ignored", ["nothing", "the filter", "the order", "both"])
def test_reading_together_is_never_dearer_than_one_by_one(count, ignored):
    """Twenty others change each second, and the server may not know the query."""
    dice = random.Random(3)
    own = [
        Run(f"e{n}", 200 + dice.random() * 5, 200 + 60 + 200 * dice.random()) for n in range(count)
    ]
    others = [Run(f"x{n}", n / 20, n / 20 + 60) for n in range(20 * 470)]
    driver = Driver([*others, *own])
    driver.answer = server_that_ignores(driver, ignored)
    driver.now = 199.0
    driver.join_all(own, policy=NO_JITTER, with_logs=False)
    driver.go(600)
    assert len(driver.finals) == count
    assert driver.count().total() <= 1.1 * one_by_one(own) + 2


def server_that_ignores(driver: Driver, what: str):
    def answer(query, now):
        if isinstance(query, ReadIds) and what in {"the filter", "both"}:
            shown = driver.serve(ReadPage(0, 100))
            return States(shown.executions[: len(query.ids)], len(query.ids), len(query.ids))
        if isinstance(query, ReadPage) and what in {"the order", "both"}:
            begun = [run for run in driver.runs if run.begins <= now]
            page = tuple(run.state(now) for run in begun[query.offset : query.offset + query.limit])
            return States(page, len(page), query.limit)
        return "as it is"

    return answer


@pytest.mark.parametrize(
    ("count", "median", "most", "requests", "delay", "peak"),
    [
        (20, 60, 900, 12, 5, None),
        (100, 60, 900, 4, 2, None),
        (1000, 60, 900, 0.9, 0.7, None),
        (100, 600, 7200, 14, 3, 10),
    ],
)
def test_many_long_waits_cost_few_requests_and_are_noticed_soon(
    count, median, most, requests, delay, peak
):
    lengths = durations(count, median=median, most=most)
    runs = [
        Run(f"e{n}", 10 * n / count, 10 * n / count + length) for n, length in enumerate(lengths)
    ]
    driver = Driver(runs)
    driver.join_all(runs, with_logs=False)
    driver.go(most + 200)
    assert len(driver.finals) == count
    ends = {run.id: run.ends for run in runs}
    late = [at - ends[wait.execution_id] for wait, at in driver.ended_at.items()]
    assert driver.count().total() / count <= requests
    assert statistics.mean(late) <= delay
    assert peak is None or driver.peak() <= peak


def test_each_execution_is_named_by_a_request_within_ten_times_the_longest_delay():
    """Whatever listings show: here nothing changes for an hour."""
    runs = long_runs(500, spread=5)
    driver = Driver(runs)
    driver.join_all(runs, with_logs=False)
    driver.go(3600)
    named: dict[str, list[float]] = {run.id: [] for run in runs}
    for at, query in driver.requests:
        for one in (
            query.ids if isinstance(query, ReadIds) else [getattr(query, "execution_id", "")]
        ):
            if one in named:
                named[one].append(at)
    for moments in named.values():
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        assert max(gaps, default=0) <= 300
        assert moments[-1] > 3300


def test_a_listing_that_hangs_is_probed_by_one_reading_at_a_time():
    """Reads take a second: none of the others may go out meanwhile."""
    runs = long_runs(500)
    driver = Driver(runs)
    driver.join_all(runs, with_logs=False)
    driver.go(30)
    driver.latency = 1.0
    driver.answer = lambda query, _: "as it is" if isinstance(query, ReadOne) else None
    driver.go(40)
    probed_at = next(at for at, query in driver.requests if at > 34 and isinstance(query, ReadOne))
    assert driver.count(probed_at, probed_at + 0.9)["ReadOne"] == 1


# ── Details ───────────────────────────────────────────────────────────────────────────────────


def test_a_state_that_was_asked_for_before_a_wait_began_does_not_end_it():
    driver = Driver([Run("e0", -10, -5)], latency=1.0)
    first = driver.join("e0")
    driver.go(0.7)
    second = driver.join("e0")
    driver.go(30)
    assert driver.ended_at[first] < driver.ended_at[second]
    assert driver.finals[second].succeeded


def test_a_failure_that_the_caller_knows_is_read_by_id_before_it_ends_the_wait():
    """A listing that is stale still shows it; someone has fixed the execution since."""
    runs = long_runs(20, ends=40.0)
    driver = Driver(runs)
    failed = [
        Execution(r.id, "orders", ExecutionStatus.FAILED, TriggerType.MANUAL, updated_at=moment(2))
        for r in runs
    ]
    driver.answer = lambda query, _: (
        "as it is"
        if isinstance(query, ReadOne)
        else States(tuple(failed), 20, 50 if isinstance(query, ReadIds) else 100)
    )
    options = WaitOptions(policy=PollPolicy(), with_logs=False)
    driver.now = 3.0
    for one in failed:
        driver.core.joined(options.wait_for(one), driver.now)
    driver.go(300)
    assert len(driver.finals) == 20
    assert all(one.succeeded for one in driver.finals.values())

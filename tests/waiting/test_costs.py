"""Many waits are read together. On a simulated clock: each second here is exact, and quick."""

import asyncio
import gc
import random
import statistics
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from benchmarks.simulation import Model, run
from nuvo_async import (
    Execution,
    NuvoClient,
    PollPolicy,
    WaitTimeoutError,
)
from nuvo_async.models import converter
from nuvo_async.waiting.core import Core
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import Wait
from tests.waiting.simulated import DEFAULT, model_of, options, per_run, wait_for_all_of


@pytest.mark.parametrize(
    ("count", "with_logs", "requests", "latency"),
    [
        (100, True, 2.0, 0.6),
        (100, False, 0.6, 0.6),
        (1000, True, 1.3, 0.8),
        (1000, False, 0.15, 0.8),
        (10_000, False, 0.05, 1.5),
    ],
)
def test_many_waits_cost_few_requests(count, with_logs, requests, latency):
    model = model_of(count)
    outcomes = wait_for_all_of(model, with_logs=with_logs)
    assert len(outcomes.late) == count
    assert per_run(model) <= requests
    assert statistics.mean(outcomes.late) <= latency


def test_few_waits_are_read_by_id_alone():
    model = model_of(5)
    wait_for_all_of(model)
    assert set(model.count()) == {"read"}


def test_two_waits_for_one_execution_share_their_polls():
    alone, shared = Model([0], [10]), Model([0], [10])
    policy = PollPolicy(jitter=0)

    async def main(model: Model, waits: int) -> None:
        poller = Poller(model, 100)
        await asyncio.gather(*(poller.wait(Wait("e0", options(policy))) for _ in range(waits)))

    run(main(alone, 1))
    run(main(shared, 7))
    assert len(shared.requests) == len(alone.requests)


def test_the_final_word_is_that_of_read_by_id_where_logs_are_wanted():
    """Waits with and without logs share the engine, and each gets what it asked for."""
    model = model_of(40)

    async def main() -> None:
        poller = Poller(model, 100)
        waits = [Wait(f"e{n}", options(with_logs=bool(n % 2))) for n in range(40)]
        await asyncio.sleep(1.1)
        await asyncio.gather(*map(poller.wait, waits))

    run(main())
    finals = [call for moment, call in model.requests if call == "read"]
    assert 20 <= len(finals) < 40 + 25


def test_cpu_follows_what_changes_and_not_how_many_wait():
    """No tick looks at all waits: quiet ones make as many Python calls for ten times as many."""

    def calls_while_quiet(count: int) -> int:
        model = Model([0.001 * n for n in range(count)], [10_000.0] * count)
        calls = 0

        def note(frame: Any, event: str, _: Any) -> None:
            nonlocal calls
            calls += event == "call" and "nuvo_async" in frame.f_code.co_filename

        async def main() -> None:
            poller = Poller(model, 100)
            policy = PollPolicy(max_interval=1000)
            waits = [
                asyncio.ensure_future(poller.wait(Wait(f"e{n}", options(policy))))
                for n in range(count)
            ]
            await asyncio.sleep(20)
            sys.setprofile(note)
            await asyncio.sleep(500)
            sys.setprofile(None)
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

        run(main())
        return calls

    few, many = calls_while_quiet(200), calls_while_quiet(2000)
    assert many < 1.5 * few


def test_memory_for_a_wait_is_little():
    """Beyond the caller's own task, and with the state that was last read."""
    count = 1000

    def copied(executions: list[Execution], _: dict[str, Any]) -> list[Execution]:
        return [converter.structure_execution(converter.unstructure(one)) for one in executions]

    async def wait_for_nothing(_: int) -> None:
        await asyncio.get_running_loop().create_future()

    async def per_task(make: Callable[[int], Awaitable[object]]) -> float:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        tasks = [asyncio.ensure_future(make(n)) for n in range(count)]
        await asyncio.sleep(3)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return taken / count

    async def main() -> float:
        model = Model([0.001 * n for n in range(count)], [1000.0] * count, distort=copied)
        client = NuvoClient("token", poll=PollPolicy(min_interval=2))
        client._poller = Poller(model, 100)
        tracemalloc.start()
        bare = await per_task(wait_for_nothing)
        return await per_task(lambda n: client.wait_for_completion(f"e{n}")) - bare

    try:
        assert run(main()) < 3000
    finally:
        tracemalloc.stop()


def named_at(model: Model) -> dict[str, list[float]]:
    """Return when each execution was named by a request."""
    named: dict[str, list[float]] = {}
    for moment, ids in model.named:
        for one in ids:
            named.setdefault(one, []).append(moment)
    return named


@pytest.mark.parametrize(("count", "page_size", "latency"), [(50, 100, 0.03), (300, 3, 4.5)])
def test_each_is_named_by_a_request_within_bounded_intervals(count, page_size, latency):
    """Whatever listings show, and however slow they are: here nothing changes for an hour."""
    model = Model(
        [0.01 * n for n in range(count)], [3600.0] * count, page_size=page_size, latency=latency
    )
    wait_for_all_of(model)
    for moments in named_at(model).values():
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        assert max(gaps) <= 10 * DEFAULT.max_interval
    assert model.count()["read"] < count * 3600 / 60


def test_a_slow_listing_is_no_reason_to_ask_for_each():
    """Its pages take a second each, and there are many of them."""
    whole = model_of(1000)
    model = Model(whole.begins, whole.ends, latency=1.0)
    assert len(wait_for_all_of(model, with_logs=False).late) == 1000
    assert model.count()["read"] < 200


def test_policies_of_each_own_are_heeded():
    """An eager wait among patient ones sets the pace, and a patient one alone is left in peace."""
    eager, patient = PollPolicy(min_interval=0.1, max_interval=0.1), PollPolicy(min_interval=20)

    async def main(policies: list[PollPolicy]) -> list[float]:
        model = Model([0.0] * 20, [10.05] * 20)
        poller = Poller(model, 100)
        loop = asyncio.get_running_loop()

        async def follow(n: int, policy: PollPolicy) -> float:
            await poller.wait(Wait(f"e{n}", options(policy, with_logs=False)))
            return loop.time() - 10.05

        return await asyncio.gather(*(follow(n, one) for n, one in enumerate(policies)))

    assert max(run(main([eager, *[patient] * 19]))) < 0.5
    assert min(run(main([patient] * 20))) > 5


def test_pages_are_as_long_as_the_server_makes_them():
    model = model_of(300, page_size=10)
    assert len(wait_for_all_of(model, with_logs=False).late) == 300
    assert per_run(model) < 0.8


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("with_logs", [True, False])
def test_a_wait_looks_once_more_before_its_time_is_over(count, with_logs):
    """What has ended long before is not told as pending, however seldom it is asked for."""
    model = Model([0.0] * count, [4.0] * count)
    policy = PollPolicy(min_interval=3, max_interval=3, jitter=0)

    async def main() -> list[Execution]:
        poller = Poller(model, 100)
        wanted = options(policy, timeout=5.8, with_logs=with_logs)
        return await asyncio.gather(*(poller.wait(Wait(f"e{n}", wanted)) for n in range(count)))

    assert all(one.succeeded for one in run(main()))


def test_last_looks_are_no_reason_to_list_without_end():
    """Deadlines that are spread over seconds have a few more sweeps, and not one each."""
    count = 1000
    model = Model([n / count for n in range(count)], [300.0] * count)
    policy = PollPolicy(min_interval=5, max_interval=30)

    async def follow(poller: Poller, n: int) -> None:
        with pytest.raises(WaitTimeoutError):
            await poller.wait(
                Wait(f"e{n}", options(policy, timeout=12 + 8 * n / count, with_logs=False))
            )

    async def main() -> None:
        poller = Poller(model, 100)
        await asyncio.sleep(1)
        await asyncio.gather(*(follow(poller, n) for n in range(count)))

    run(main())
    assert len([at for at, _ in model.requests if 12 < at < 20]) < 40


def test_to_poll_without_delay_is_no_busy_loop():
    model = Model([0.0] * 10, [20.0] * 10, latency=2.0)
    turns = 0

    class Counted(Core):
        def decide(self, now: float) -> Any:
            nonlocal turns
            turns += 1
            return super().decide(now)

    async def main() -> None:
        poller = Poller(model, 100)
        poller._core = Counted(100, random.random)
        policy = PollPolicy(min_interval=0, max_interval=0)
        await asyncio.gather(*(poller.wait(Wait(f"e{n}", options(policy))) for n in range(10)))

    run(main())
    assert turns < 50_000  # One for each millisecond, the shortest tick, and some for what came.

"""How much is sent at once: less after each refusal, and gently more afterwards."""

import asyncio
import logging
import os
import time
from contextlib import suppress
from typing import Any

import pytest

from benchmarks.simulation import run
from nuvo_async import RetryPolicy
from nuvo_async.testing import faults
from nuvo_async.wire.throttle import Throttle


async def use(throttle: Throttle, seconds: float = 1.0) -> float:
    entered = await throttle.enter()
    try:
        await asyncio.sleep(seconds)
    finally:
        throttle.leave()
    return entered


def test_places_are_taken_in_order():
    async def main() -> list[float]:
        throttle = Throttle(2)
        return await asyncio.gather(*(use(throttle) for _ in range(6)))

    assert run(main()) == [0, 0, 1, 1, 2, 2]


def test_a_pause_holds_everything_back_and_is_never_shortened():
    async def main() -> float:
        throttle = Throttle(2)
        throttle.pause(5, entered=0)
        throttle.pause(1, entered=0)
        return await use(throttle)

    assert run(main()) == 5


def test_refusals_halve_what_is_in_flight_and_answers_let_it_grow(caplog):
    caplog.set_level(logging.DEBUG, logger="nuvo_async")

    async def most_at_once(throttle: Throttle) -> int:
        entered = await asyncio.gather(*(use(throttle) for _ in range(100)))
        return entered.count(min(entered))

    async def main() -> None:
        throttle = Throttle(80)
        assert await most_at_once(throttle) == 80
        places = [await throttle.enter() for _ in range(40)]
        for entered in places:  # All of them were sent before the first refusal was known.
            throttle.pause(1, entered=entered)
            throttle.leave()
        assert await most_at_once(throttle) == 20
        entered = await throttle.enter()
        throttle.pause(1, entered=entered)
        throttle.leave()
        assert await most_at_once(throttle) == 1
        for _ in range(10):
            throttle.relax()
        assert await most_at_once(throttle) == 5
        for _ in range(10_000):
            throttle.relax()
        assert await most_at_once(throttle) == 80

    run(main())
    assert "20 of 80 at once" in caplog.text
    assert "nothing is sent for 1.00 s" in caplog.text
    assert "the server keeps up: 80 of 80 at once" in caplog.text


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0])
def test_whoever_is_cancelled_in_the_queue_takes_no_place_along(moment):
    async def main() -> None:
        throttle = Throttle(1)
        holding = asyncio.ensure_future(use(throttle))
        await asyncio.sleep(0)
        queueing = [asyncio.ensure_future(use(throttle)) for _ in range(3)]
        asyncio.get_running_loop().call_later(moment, queueing[0].cancel)
        with suppress(asyncio.CancelledError):
            await queueing[0]
        await holding
        await asyncio.gather(*queueing[1:])
        assert await use(throttle) == asyncio.get_running_loop().time() - 1

    run(main())


async def test_many_triggers_end_at_the_rate_of_the_server_without_a_storm(
    nuvo_server, make_client
):
    """300 triggers, 50 in each quarter of a second: few are refused, and none is lost."""
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.rate_limit(50, per=0.25), times=10**6)
    client = make_client(retry=RetryPolicy(max_attempts=10))
    await asyncio.gather(*(client.create_execution("orders") for _ in range(300)))
    assert len(nuvo_server.executions) == 300
    refused = len(nuvo_server.requests) - 300
    assert 0 < refused < 200


async def test_a_503_with_retry_after_holds_back_as_a_429_does(nuvo_server, make_client, caplog):
    caplog.set_level(logging.INFO, logger="nuvo_async")
    nuvo_server.add_fault("list", faults.status(503, retry_after=0.05))
    await make_client().list_executions()
    assert "the server asks for less" in caplog.text


async def test_a_503_without_it_does_not(nuvo_server, make_client, caplog):
    caplog.set_level(logging.INFO, logger="nuvo_async")
    nuvo_server.add_fault("list", faults.status(503))
    await make_client().list_executions()
    assert "the server asks for less" not in caplog.text


def test_a_pause_that_ends_in_a_loop_that_is_closed_does_no_harm():
    async def main() -> Any:
        Throttle(1).pause(60, entered=0)

    asyncio.run(main())


class CoarseLoop(asyncio.SelectorEventLoop):
    """As on Windows: timers strike up to a tick of the clock too early."""

    TICK = 1 / 64

    def __init__(self):
        super().__init__()
        self._clock_resolution = self.TICK

    def time(self):
        return super().time() // self.TICK * self.TICK


def test_a_pause_ends_also_where_the_clock_is_coarse():
    async def main():
        for n in range(17):
            throttle = Throttle(5)
            entered = await throttle.enter()
            throttle.pause(0.02 + n / 1000, entered=entered)
            throttle.leave()
            await asyncio.wait_for(throttle.enter(), 1)

    with asyncio.Runner(loop_factory=CoarseLoop) as runner:
        runner.run(main())


async def test_what_was_held_up_by_its_journal_heeds_a_pause_that_began_meanwhile(
    nuvo_server, nuvo_client, tmp_path, monkeypatch
):
    nuvo_server.add_pipeline("orders")
    fsync = os.fsync

    def slow_disk(descriptor):
        time.sleep(0.3)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow_disk)

    async def run_pipelines():
        batch = nuvo_client.run_pipelines(["orders"], journal=tmp_path / "journal")
        return [run async for run in batch]

    running = asyncio.create_task(run_pipelines())
    await asyncio.sleep(0.45)  # The header is on disk, and the intent is being written.
    nuvo_server.add_fault("list", faults.status(429, retry_after=1))
    paused_at = asyncio.get_running_loop().time()
    await nuvo_client.list_executions()
    assert [run.succeeded for run in await running] == [True]
    [create] = [one for one in nuvo_server.requests if one.call == "create"]
    position = nuvo_server.requests.index(create)
    assert position == 1 or nuvo_server.requests[position - 1].call == "list"
    assert asyncio.get_running_loop().time() - paused_at > 1

"""Waits come, go, crash and are cancelled, and leave nothing behind."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest
from attrs import evolve

from benchmarks.simulation import Model, run
from nuvo_async import (
    AuthenticationError,
    Execution,
    ExecutionPage,
    ExecutionStatus,
    PollPolicy,
    WaitTimeoutError,
)
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import Wait
from nuvo_async.wire.protocol import Hooks
from tests.waiting.simulated import NO_HOOKS, model_of, options, unauthorized


def test_a_timeout_ends_each_wait_to_the_moment():
    model = Model([0.0] * 100, [1000.0] * 100)

    async def follow(poller: Poller, n: int) -> float:
        with pytest.raises(WaitTimeoutError) as caught:
            await poller.wait(Wait(f"e{n}", options(timeout=1 + n / 10)))
        assert caught.value.pending.keys() == {f"e{n}"}
        return asyncio.get_running_loop().time() - (1 + n / 10)

    async def main() -> list[float]:
        poller = Poller(model, 100)
        return await asyncio.gather(*(follow(poller, n) for n in range(100)))

    assert max(map(abs, run(main()))) < 0.001


def test_waits_come_and_go_and_leave_nothing():
    """The engine ends with the last wait, and another begins with the next."""
    model = model_of(60, most=5.0)

    async def main() -> None:
        poller = Poller(model, 10)
        dice = random.Random(2)
        await asyncio.sleep(1.1)
        for _ in range(30):
            waits = [
                asyncio.ensure_future(poller.wait(Wait(f"e{n}", options())))
                for n in dice.sample(range(60), dice.randrange(1, 60))
            ]
            await asyncio.sleep(dice.random() * 0.2)
            for wait in waits:
                wait.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*waits)
            await asyncio.gather(*waits, return_exceptions=True)
            assert asyncio.all_tasks() == {asyncio.current_task()}
        assert (await poller.wait(Wait("e1", options()))).is_finished

    run(main())


def test_a_crash_of_the_engine_ends_all_waits(caplog):
    class Crashing(Model):
        async def read_all(self, query: str, hooks: Hooks = NO_HOOKS) -> ExecutionPage:
            raise ZeroDivisionError

    whole = model_of(50)

    async def main() -> list[Any]:
        poller = Poller(Crashing(whole.begins, whole.ends), 100)
        waits = (poller.wait(Wait(f"e{n}", options())) for n in range(50))
        return await asyncio.gather(*waits, return_exceptions=True)

    errors = run(main())
    assert len(errors) == 50
    assert all(isinstance(error, ZeroDivisionError) for error in errors)
    assert "reading a listing has failed" in caplog.text


def test_a_request_that_was_given_up_is_no_outage():
    """Of a wait that was left, while another does not ask for as long as it bears silence."""
    model = Model([0.0] * 2, [30.0] * 2)

    async def main() -> Execution:
        poller = Poller(model, 100)
        patient = options(PollPolicy(min_interval=20, max_outage=5))
        other = asyncio.ensure_future(poller.wait(Wait("e1", patient)))
        await asyncio.sleep(1)
        with pytest.raises(WaitTimeoutError):
            await poller.wait(Wait("e0", options(timeout=0.01)))
        return await other

    assert run(main()).succeeded


def test_a_reading_that_comes_after_the_end_of_all_waits_does_no_harm():
    """Refused credentials end all waits; those that begin anew then are none of its business."""

    class Refusing(Model):
        refuses = True

        async def read(self, execution_id: str, hooks: Hooks = NO_HOOKS) -> Execution:
            if self.refuses and execution_id == "e0":
                raise unauthorized()
            if self.refuses and execution_id == "e1":
                await asyncio.sleep(1)
            return await super().read(execution_id, hooks)

        async def read_all(self, query: str, hooks: Hooks = NO_HOOKS) -> ExecutionPage:
            if self.refuses:
                raise unauthorized()
            return await super().read_all(query, hooks)

    model = Refusing([0.0] * 10, [20.0] * 10)

    async def follow(poller: Poller, n: int) -> Execution:
        with suppress(AuthenticationError):
            await poller.wait(Wait(f"e{n}", options()))
        model.refuses = False
        return await poller.wait(Wait(f"e{n}", options()))

    async def main() -> list[Execution]:
        poller = Poller(model, 100)
        return await asyncio.gather(*(follow(poller, n) for n in range(10)))

    assert all(one.succeeded for one in run(main()))


class Strange(Exception):  # noqa: N818 - as a caller's tracing may raise it
    def __init__(self, *, span: int) -> None:
        super().__init__(f"span {span}")


@pytest.mark.parametrize("count", [1, 20])
def test_a_strange_error_ends_the_wait_that_it_concerns_and_no_other(count, caplog):
    """Not even one that cannot be copied."""

    class Traced(Model):
        async def read(self, execution_id: str, hooks: Hooks = NO_HOOKS) -> Execution:
            if execution_id == "e0":
                raise Strange(span=3)
            return await super().read(execution_id, hooks)

    model = Traced([0.0] * count, [5.0] * count)

    async def main() -> list[Any]:
        poller = Poller(model, 100)
        waits = (poller.wait(Wait(f"e{n}", options())) for n in range(count))
        return await asyncio.gather(*waits, return_exceptions=True)

    first, *others = run(main())
    assert isinstance(first, Strange)
    assert all(one.succeeded for one in others)
    assert "reading execution e0 has failed" in caplog.text


def test_a_sweep_that_was_given_up_is_no_outage():
    """The sixth wait makes it worth listing, and leaves again before the page has come."""

    class SlowListing(Model):
        async def read_all(self, query: str, hooks: Hooks = NO_HOOKS) -> ExecutionPage:
            await self._travel("list", hooks)
            await asyncio.sleep(2)
            return await super().read_all(query)

    async def main() -> None:
        poller = Poller(SlowListing([0.0] * 6, [100.0] * 6), 100)
        patient = PollPolicy(min_interval=20, max_outage=5, jitter=0)
        waits = [
            asyncio.ensure_future(poller.wait(Wait(f"e{n}", options(patient)))) for n in range(5)
        ]
        await asyncio.sleep(15)
        sixth = asyncio.ensure_future(poller.wait(Wait("e5", options(PollPolicy(jitter=0)))))
        await asyncio.sleep(0.6)
        sixth.cancel()
        assert all(one.succeeded for one in await asyncio.gather(*waits))

    for seed in range(8):
        random.seed(seed)
        run(main())


@pytest.mark.parametrize("count", [3, 10])
def test_a_request_that_somebody_else_has_cancelled_leaves_no_wait_hanging(count):
    """As those do who cancel each task that there is, but their own."""
    model = Model([0.0] * count, [5.0] * count, latency=1.0)

    async def main() -> list[Any]:
        poller = Poller(model, 100)
        waits = [asyncio.ensure_future(poller.wait(Wait(f"e{n}", options()))) for n in range(count)]
        await asyncio.sleep(0.6)
        for one in asyncio.all_tasks():
            if "Poller._ask" in repr(one.get_coro()):
                one.cancel()
        return await asyncio.gather(*waits, return_exceptions=True)

    assert all(outcome.succeeded for outcome in run(main()))


def test_what_was_asked_before_a_wait_began_does_not_end_it():
    """The reading under way saw the failure; meanwhile someone has fixed it."""

    class Fixed(Model):
        async def read(self, execution_id: str, hooks: Hooks = NO_HOOKS) -> Execution:
            await self._travel("read", hooks)
            asked = asyncio.get_running_loop().time()
            await asyncio.sleep(3)
            status = ExecutionStatus.FAILED if asked < 1 else ExecutionStatus.SUCCESSFUL
            return evolve(self._states[0][0], status=status)

    async def main() -> list[Execution]:
        poller = Poller(Fixed([0.0], [1000.0]), 100)
        first = asyncio.ensure_future(poller.wait(Wait("e0", options())))
        await asyncio.sleep(2)
        second = await poller.wait(Wait("e0", options()))
        return [await first, second]

    first, second = run(main())
    assert first.failed
    assert second.succeeded


@pytest.mark.parametrize("moment", ["at once", "in the next moment"])
def test_waits_that_are_left_before_they_have_asked_take_no_place_along(moment):
    """A task that is cancelled before its first step never comes to its end, either."""

    async def main() -> Execution:
        poller = Poller(Model([0.0] * 30, [10.0] * 30), 5)
        kept = asyncio.ensure_future(poller.wait(Wait("e0", options())))
        await asyncio.sleep(1)
        for n in range(1, 30):
            if moment == "at once":
                with pytest.raises(WaitTimeoutError):
                    await poller.wait(Wait(f"e{n}", options(timeout=0)))
            else:
                left = asyncio.ensure_future(poller.wait(Wait(f"e{n}", options())))
                await asyncio.sleep(0)
                left.cancel()
                await asyncio.wait([left])
        return await asyncio.wait_for(kept, 30)

    assert run(main()).succeeded

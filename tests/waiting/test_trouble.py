"""Trouble that passes, trouble that does not, and outages, on a simulated clock."""

import asyncio
import statistics
from typing import Any

import pytest

from benchmarks.simulation import Model, run
from nuvo_async import (
    AuthenticationError,
    Execution,
    ExecutionPage,
    NotFoundError,
    PermissionDeniedError,
    PollPolicy,
    ServerError,
    TransportError,
    WaitOutageError,
    WaitTimeoutError,
)
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import Wait
from nuvo_async.wire.protocol import Hooks
from tests.waiting.simulated import (
    NO_HOOKS,
    Broken,
    api_error,
    broken,
    broken_down,
    model_of,
    no_answer,
    options,
    per_run,
    wait_for_all_of,
)

PASSING = {
    "500": broken_down,
    "no answer": no_answer,
}


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("calls", [("list",), ("read",), ("list", "read")])
def test_trouble_that_passes_ends_no_wait_and_makes_no_storm(trouble, calls):
    model = broken(500, trouble, calls=calls, until=20.0)
    outcomes = wait_for_all_of(model)
    assert len(outcomes.late) == 500
    assert max(outcomes.late) < 60
    assert per_run(model) < 8
    if "read" in calls:  # One attempt for each tick, and what was under way when it began.
        during = [moment for moment, _ in model.requests if 4 < moment < 20]
        assert len(during) < 200


def test_a_listing_that_never_answers_is_done_without():
    class Hanging(Model):
        async def _travel(self, call: str, hooks: Hooks) -> None:
            await super()._travel(call, hooks)
            if call == "list" and asyncio.get_running_loop().time() > 3:
                await asyncio.sleep(30)
                raise no_answer()

    whole = model_of(200)
    outcomes = wait_for_all_of(model := Hanging(whole.begins, whole.ends))
    assert len(outcomes.late) == 200
    assert statistics.mean(outcomes.late) < 4
    assert per_run(model) < 5


@pytest.mark.parametrize(
    "trouble", [api_error(PermissionDeniedError, 403), api_error(AuthenticationError, 401)]
)
def test_a_listing_that_is_refused_is_done_without(trouble):
    model = broken(100, trouble, calls=("list",), since=0.0)
    assert len(wait_for_all_of(model).late) == 100
    assert model.count()["list"] < 60


def test_credentials_that_are_refused_by_both_end_all_waits_at_once():
    model = broken(1000, api_error(AuthenticationError, 401))
    outcomes = wait_for_all_of(model)
    assert set(map(type, outcomes.errors.values())) == {AuthenticationError}
    assert len(outcomes.late) + len(outcomes.errors) == 1000
    assert len([moment for moment, _ in model.requests if moment > 3]) < 250


def test_an_error_for_one_execution_ends_that_one_only():
    class Partly(Model):
        async def read(self, execution_id: str, hooks: Hooks = NO_HOOKS) -> Execution:
            if execution_id == "e7":
                raise PermissionDeniedError("no", status=403, method="GET", path="execution/e7")
            return await super().read(execution_id, hooks)

    whole = model_of(100)
    outcomes = wait_for_all_of(Partly(whole.begins, whole.ends))
    assert len(outcomes.late) == 99
    assert type(outcomes.errors["e7"]) is PermissionDeniedError


def test_an_unknown_id_among_many_is_not_found_after_the_grace():
    model = model_of(100)

    async def main() -> float:
        poller = Poller(model, 100)
        await asyncio.sleep(1.1)
        others = [asyncio.ensure_future(poller.wait(Wait(f"e{n}", options()))) for n in range(100)]
        with pytest.raises(NotFoundError):
            await poller.wait(Wait("e999", options()))
        ended = asyncio.get_running_loop().time()
        await asyncio.gather(*others)
        return ended

    assert 11 <= run(main()) < 16


@pytest.mark.parametrize("count", [1, 5, 6, 300])
def test_an_outage_ends_every_wait_to_the_moment(count):
    """Also those that rest on a listing, and have no request of their own that could fail."""
    policy = PollPolicy(max_outage=50)
    whole = model_of(count)
    model = Broken(whole.begins, [1000.0] * count)
    model.trouble = no_answer
    model.since = 30.0
    ended_at = []

    async def follow(poller: Poller, n: int) -> None:
        await asyncio.sleep(1.1)
        with pytest.raises(WaitOutageError) as caught:
            await poller.wait(Wait(f"e{n}", options(policy)))
        ended_at.append(asyncio.get_running_loop().time())
        assert caught.value.last is not None
        assert isinstance(caught.value.__cause__, TransportError)

    async def main() -> None:
        poller = Poller(model, 100)
        await asyncio.gather(*(follow(poller, n) for n in range(count)))

    run(main())
    assert len(ended_at) == count
    # The first request of the outage is sent some time after its begin, at 30.
    assert 79.9 < min(ended_at) <= max(ended_at) < 95


def test_trouble_in_the_middle_of_a_sweep_passes():
    """Pages are read some at a time; one that fails ends the sweep, and the others with it."""

    class Failing(Model):
        async def read_all(self, query: str, hooks: Hooks = NO_HOOKS) -> ExecutionPage:
            page = await super().read_all(query, hooks)
            if page.pagination.offset == 200:
                raise no_answer()
            return page

    whole = model_of(1000)
    outcomes = wait_for_all_of(model := Failing(whole.begins, whole.ends))
    assert len(outcomes.late) == 1000
    assert per_run(model) < 7


@pytest.mark.parametrize("trouble", [api_error(ServerError, 500), api_error(NotFoundError, 404)])
def test_an_execution_that_cannot_be_read_is_asked_for_at_its_pace(trouble):
    """However long that goes on: being overdue is no reason to hurry."""
    model = Broken([0.0], [1000.0])
    model.trouble = trouble
    model.calls = ("read",)
    policy = PollPolicy(max_interval=5, not_found_grace=100)

    async def main() -> None:
        with pytest.raises(WaitTimeoutError):
            await Poller(model, 100).wait(Wait("e0", options(policy, timeout=90)))

    run(main())
    assert 18 <= len([moment for moment, _ in model.requests if moment > 3]) < 45


class Hanging(Model):
    """Answers nothing any more from some moment on."""

    since: float = 50.0

    async def _travel(self, call: str, hooks: Hooks) -> None:
        await super()._travel(call, hooks)
        if asyncio.get_running_loop().time() > self.since:
            await asyncio.Event().wait()


async def end_of(poller: Poller, execution_id: str, **details: Any) -> float:
    """Wait until this wait has ended by an outage, and return when that was."""
    with pytest.raises(WaitOutageError):
        await poller.wait(Wait(execution_id, options(PollPolicy(**details))))
    return asyncio.get_running_loop().time()


def test_each_wait_bears_as_much_of_an_outage_as_its_policy_says():
    model = Hanging([0.0] * 300, [1000.0] * 300)

    async def main() -> list[float]:
        poller = Poller(model, 100)
        patient = [asyncio.ensure_future(end_of(poller, f"e{n}")) for n in range(100)]
        await asyncio.sleep(20)
        others = [end_of(poller, f"e{n}", max_outage=10) for n in range(100, 200)]
        early = await asyncio.gather(*others)
        return [max(early), min(await asyncio.gather(*patient))]

    last_of_the_early, first_of_the_late = run(main())
    assert last_of_the_early < 75
    assert first_of_the_late > 340


def test_who_joins_a_reading_that_hangs_bears_no_more_of_it():
    model = Hanging([0.0], [1000.0])

    async def main() -> float:
        poller = Poller(model, 100)
        other = asyncio.ensure_future(end_of(poller, "e0"))
        await asyncio.sleep(70)
        ended = await end_of(poller, "e0", max_outage=10)
        await other
        return ended

    assert 79.9 < run(main()) < 80.1


def test_what_a_listing_has_shown_is_no_outage():
    """Two readings fail, with a minute and many states that were listed between them."""
    failed: list[float] = []

    class Failing(Model):
        async def read(self, execution_id: str, hooks: Hooks = NO_HOOKS) -> Execution:
            now = asyncio.get_running_loop().time()
            if execution_id == "e0" and now > 50 and len(failed) < 2:
                await self._travel("read", hooks)
                failed.append(now)
                raise broken_down()
            return await super().read(execution_id, hooks)

    async def main() -> None:
        poller = Poller(Failing([0.0] * 10, [500.0] * 10), 100)
        policy = PollPolicy(max_outage=60)
        waits = (poller.wait(Wait(f"e{n}", options(policy))) for n in range(10))
        assert all(one.succeeded for one in await asyncio.gather(*waits))

    run(main())
    assert len(failed) == 2

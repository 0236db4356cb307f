"""Many waits are read together. On a simulated clock: each second here is exact, and quick."""

import asyncio
import gc
import logging
import random
import statistics
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from attrs import define, evolve, field

from benchmarks.simulation import Model, durations, run
from nuvo_async import (
    AuthenticationError,
    Execution,
    ExecutionPage,
    ExecutionStatus,
    NotFoundError,
    NuvoClient,
    NuvoError,
    PermissionDeniedError,
    PollPolicy,
    ServerError,
    TransportError,
    TriggerType,
    WaitOutageError,
    WaitTimeoutError,
)
from nuvo_async.models import converter
from nuvo_async.waiting.engine import Engine
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import Wait, WaitOptions
from nuvo_async.wire.protocol import Hooks

DEFAULT = PollPolicy()
NO_HOOKS = Hooks()


def model_of(count: int, *, most: float = 30.0, **options: Any) -> Model:
    """So many executions, all begun within a second."""
    dice = random.Random(5)
    begins = sorted(dice.random() for _ in range(count))
    lengths = durations(count, most=most)
    return Model(begins, [b + d for b, d in zip(begins, lengths, strict=True)], **options)


@define
class Outcomes:
    late: list[float] = field(factory=list)
    errors: dict[str, BaseException] = field(factory=dict)


def wait_for_all_of(model: Any, poller: Poller | None = None, **options: Any) -> Outcomes:
    """Wait for each execution from when its Create was answered, each in a task of its own."""
    options.setdefault("policy", DEFAULT)
    outcomes = Outcomes()

    async def follow(poller: Poller, index: int) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(model.begins[index] + model.latency)
        wait = WaitOptions(**options).wait_for(f"e{index}")
        try:
            execution = await poller.wait(wait)
        except NuvoError as error:
            outcomes.errors[wait.execution_id] = error
        else:
            assert execution.is_finished
            assert execution.id == wait.execution_id
            outcomes.late.append(loop.time() - model.ends[index])

    async def main() -> None:
        at_work = poller or Poller(model, 100)
        await asyncio.gather(*(follow(at_work, index) for index in range(len(model.begins))))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    return outcomes


def per_run(model: Model) -> float:
    return len(model.requests) / len(model.begins)


# What it costs.


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


def options(policy: PollPolicy = DEFAULT, **others: Any) -> WaitOptions:
    return WaitOptions(policy=policy, **others)


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


def test_each_is_read_by_id_within_bounded_intervals():
    """Whatever listings show: here nothing changes for an hour."""
    count = 50
    model = Model([0.01 * n for n in range(count)], [3600.0] * count)
    read_at: dict[str, list[float]] = {f"e{n}": [0.5] for n in range(count)}
    read = model.read

    class Recorded(Model):
        async def read(self, execution_id: str, hooks: Hooks = NO_HOOKS) -> Execution:
            read_at[execution_id].append(asyncio.get_running_loop().time())
            return await read(execution_id, hooks)

    recorded = Recorded(model.begins, model.ends)
    wait_for_all_of(recorded)
    for moments in read_at.values():
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        assert max(gaps) <= 4 * DEFAULT.max_interval
    assert recorded.count()["read"] < count * 3600 / 60


# Listings that lie.


def stale(_: random.Random) -> Callable[..., list[Execution]]:
    first: list[Execution] = []

    def distort(executions: list[Execution], _: dict[str, Any]) -> list[Execution]:
        first.extend(executions if not first else ())
        return first

    return distort


def half(_: random.Random) -> Callable[..., list[Execution]]:
    return lambda executions, _: [one for one in executions if int(one.id[1:]) % 2]


def half_at_random(dice: random.Random) -> Callable[..., list[Execution]]:
    return lambda executions, _: [one for one in executions if dice.random() < 0.5]


def in_random_order(dice: random.Random) -> Callable[..., list[Execution]]:
    return lambda executions, _: dice.sample(executions, len(executions))


def by_creation(_: random.Random) -> Callable[..., list[Execution]]:
    return lambda executions, _: sorted(executions, key=lambda one: one.created_at, reverse=True)


def without_dates(_: random.Random) -> Callable[..., list[Execution]]:
    return lambda executions, _: [evolve(one, updated_at=None) for one in executions]


def dates_that_stay(_: random.Random) -> Callable[..., list[Execution]]:
    return lambda executions, _: sorted(
        (evolve(one, updated_at=one.created_at) for one in executions),
        key=lambda one: one.updated_at,
        reverse=True,
    )


def never_an_end(_: random.Random) -> Callable[..., list[Execution]]:
    return lambda executions, _: [
        evolve(one, status=ExecutionStatus.PROCESSING) for one in executions
    ]


def empty(_: random.Random) -> Callable[..., list[Execution]]:
    return lambda executions, _: []


def foreign(count: int) -> list[Execution]:
    later = datetime(2030, 1, 1, tzinfo=UTC)
    return [
        Execution(
            f"x{n}", "p", ExecutionStatus.SUCCESSFUL, TriggerType.EVENT, None, updated_at=later
        )
        for n in range(count)
    ]


def among_many_others(_: random.Random) -> Callable[..., list[Execution]]:
    others = foreign(1000)
    return lambda executions, _: others + executions


def never_filtered_nor_sorted(dice: random.Random) -> Callable[..., list[Execution]]:
    others = foreign(20_000)
    return lambda executions, _: others + dice.sample(executions, len(executions))


LIES = [
    stale,
    half,
    half_at_random,
    in_random_order,
    by_creation,
    without_dates,
    dates_that_stay,
    never_an_end,
    empty,
    among_many_others,
    never_filtered_nor_sorted,
]


@pytest.mark.parametrize("with_logs", [True, False])
@pytest.mark.parametrize("lie", LIES)
def test_a_listing_that_lies_costs_time_and_requests_only(lie, with_logs):
    model = model_of(300, distort=lie(random.Random(3)))
    outcomes = wait_for_all_of(model, with_logs=with_logs)
    assert len(outcomes.late) == 300
    assert statistics.mean(outcomes.late) < 4
    assert max(outcomes.late) < 4 * DEFAULT.max_interval
    # Each by its own id, at the same policy, takes five or so.
    assert per_run(model) < 8


def test_what_was_chosen_is_in_the_debug_log(caplog):
    with caplog.at_level(logging.DEBUG, logger="nuvo_async"):
        wait_for_all_of(model_of(50, distort=without_dates(random.Random(1))))
    log = caplog.text
    assert "executions are read by the change feed" in log
    assert "there are executions without updated_at" in log
    assert "executions are read by what is PROCESSING" in log
    assert "executions are read by their ids" in log


def test_a_feed_whose_dates_do_not_follow_what_changes_is_left_at_once(caplog):
    """It would have to miss three ends first, which Read by ID tells of late."""
    with caplog.at_level(logging.DEBUG, logger="nuvo_async"):
        outcomes = wait_for_all_of(model_of(300, distort=dates_that_stay(random.Random(1))))
    assert "has not changed its updated_at" in caplog.text
    assert statistics.mean(outcomes.late) < 1.5


def test_an_older_state_is_no_news():
    """The caller has it as PROCESSING; a stale listing still shows the failure before the fix."""
    model = model_of(30)
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1)
    old = [
        Execution(f"e{n}", "orders", ExecutionStatus.FAILED, TriggerType.MANUAL, None)
        for n in range(30)
    ]
    old = [evolve(one, updated_at=moment - timedelta(minutes=1 + n)) for n, one in enumerate(old)]
    model.distort = lambda _, __: old

    async def main() -> list[Execution]:
        poller = Poller(model, 100)
        waits = [Wait(f"e{n}", options(with_logs=False), known_at=moment) for n in range(30)]
        await asyncio.sleep(1)
        return await asyncio.gather(*map(poller.wait, waits))

    assert all(one.succeeded for one in run(main()))


# Trouble.


class Broken(Model):
    """Fails in a way, for some calls, for some time."""

    trouble: Callable[[], NuvoError]
    calls: tuple[str, ...] = ("read", "list")
    since: float = 3.0
    until: float = float("inf")

    async def _travel(self, call: str, hooks: Hooks) -> None:
        await super()._travel(call, hooks)
        now = asyncio.get_running_loop().time()
        if call in self.calls and self.since <= now < self.until:
            raise self.trouble()


def broken(count: int, trouble: Callable[[], NuvoError], **details: Any) -> Broken:
    whole = model_of(count)
    model = Broken(whole.begins, whole.ends)
    model.trouble = trouble
    for name, value in details.items():
        setattr(model, name, value)
    return model


def api_error(kind: type[Any], status: int) -> Callable[[], NuvoError]:
    return lambda: kind("no", status=status, method="GET", path="execution/e")


def no_answer() -> NuvoError:
    return TransportError("cut", method="GET", path="execution/e")


unauthorized = api_error(AuthenticationError, 401)
broken_down = api_error(ServerError, 500)
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


def test_a_slow_listing_is_no_reason_to_ask_for_each():
    """Its pages take a second each, and there are many of them."""
    whole = model_of(1000)
    model = Model(whole.begins, whole.ends, latency=1.0)
    assert len(wait_for_all_of(model, with_logs=False).late) == 1000
    assert model.count()["read"] < 200


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


def test_a_callback_sees_every_state_of_listings_too():
    model = model_of(50)
    seen: dict[str, list[str]] = {}

    def note(execution: Execution) -> None:
        seen.setdefault(execution.id, []).append(execution.status)

    wait_for_all_of(model, on_poll=note, with_logs=False)
    assert len(seen) == 50
    assert all(statuses[-1] == "SUCCESSFUL" for statuses in seen.values())
    assert sum(map(len, seen.values())) > model.count()["read"]


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
    assert "polling has failed" in caplog.text


def test_pages_are_as_long_as_the_server_makes_them():
    model = model_of(300, page_size=10)
    assert len(wait_for_all_of(model, with_logs=False).late) == 300
    assert per_run(model) < 0.8


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


def test_an_answer_that_the_listing_has_overtaken_is_asked_for_again():
    """It was sampled before the end, and arrives after the listing has shown that."""

    class Slow(Model):
        async def read(self, execution_id: str, hooks: Hooks = NO_HOOKS) -> Execution:
            execution = await super().read(execution_id, hooks)
            await asyncio.sleep(3)
            return execution

    whole = model_of(300)
    outcomes = wait_for_all_of(Slow(whole.begins, whole.ends))
    assert len(outcomes.late) == 300
    assert max(outcomes.late) < 15


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


# What a hostile reading has found.


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


def test_an_answer_at_the_very_end_of_an_outage_lets_the_wait_go_on():
    """It comes after the clock has struck, and before the waiting task has taken note of that."""

    async def main() -> Execution:
        loop = asyncio.get_running_loop()
        running, ended = Model([0.0], [5.0])._states[0]
        wait = Wait("e0", options(PollPolicy(max_outage=10)))
        wait.start(0.0)
        wait.meet_silence(0.0)
        outcome = asyncio.ensure_future(wait.outcome())
        await asyncio.sleep(5)
        loop.call_at(10, lambda: wait.see(running, final=False))  # Ties are broken by age.
        loop.call_at(20, lambda: wait.see(ended, final=True))
        return await outcome

    assert run(main()).succeeded


@pytest.mark.parametrize("task", ["Engine._run", "Engine._read", "Engine._sweep"])
def test_a_task_that_somebody_else_has_cancelled_leaves_no_wait_hanging(task):
    """As those do who cancel each task that there is, but their own."""
    model = Model([0.0] * 10, [5.0] * 10, latency=1.0)

    async def main() -> list[Any]:
        poller = Poller(model, 100)
        waits = [asyncio.ensure_future(poller.wait(Wait(f"e{n}", options()))) for n in range(10)]
        await asyncio.sleep(0.6)
        for one in asyncio.all_tasks():
            if task in repr(one.get_coro()):
                one.cancel()
        return await asyncio.gather(*waits, return_exceptions=True)

    for outcome in run(main()):
        if task == "Engine._run":
            assert isinstance(outcome, RuntimeError)
        else:
            assert outcome.succeeded


def test_each_is_read_by_id_while_pages_take_long():
    """A sweep of many slow pages must not hold back what has to be read by its id."""
    count = 300
    read_at: dict[str, list[float]] = {f"e{n}": [] for n in range(count)}

    class Slow(Model):
        async def read(self, execution_id: str, hooks: Hooks = NO_HOOKS) -> Execution:
            read_at[execution_id].append(asyncio.get_running_loop().time())
            return await super().read(execution_id, hooks)

        async def read_all(self, query: str, hooks: Hooks = NO_HOOKS) -> ExecutionPage:
            await asyncio.sleep(4.5)
            return await super().read_all(query, hooks)

    wait_for_all_of(Slow([0.0] * count, [1500.0] * count, page_size=3))
    for moments in read_at.values():
        assert max(later - earlier for earlier, later in pairwise(moments)) <= 120


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


def test_a_listing_that_shows_what_the_caller_has_is_no_news():
    """It is stale: the failure that it shows is the very one that was fixed since."""
    model = model_of(20)
    failed_at = datetime(2026, 1, 1, tzinfo=UTC)
    old = [
        Execution(
            *(f"e{n}", "orders", ExecutionStatus.FAILED, TriggerType.MANUAL), updated_at=failed_at
        )
        for n in range(20)
    ]
    model.distort = lambda _, __: old

    async def main() -> list[Execution]:
        poller = Poller(model, 100)
        await asyncio.sleep(1)
        known = options(with_logs=False)
        return await asyncio.gather(*(poller.wait(known.wait_for(one)) for one in old))

    assert all(one.succeeded for one in run(main()))


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

    class Counted(Engine):
        def _turn(self, now: float) -> float | None:
            nonlocal turns
            turns += 1
            return super()._turn(now)

    async def main() -> None:
        poller = Poller(model, 100)
        poller._engine = Counted(model, 100, unknown_statuses=set())
        policy = PollPolicy(min_interval=0, max_interval=0)
        await asyncio.gather(*(poller.wait(Wait(f"e{n}", options(policy))) for n in range(10)))

    run(main())
    assert turns < 50_000  # One for each millisecond, the shortest tick, and some for what came.

"""A listing may be wrong in any way: that costs time and requests, and never a result."""

import asyncio
import logging
import random
import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from benchmarks.simulation import Model, run
from nuvo_async import (
    Execution,
    ExecutionStatus,
    TriggerType,
)
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import Wait
from nuvo_async.wire.protocol import Hooks
from tests.waiting.simulated import DEFAULT, NO_HOOKS, model_of, options, per_run, wait_for_all_of


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


def test_what_was_chosen_is_in_the_debug_log_with_the_reason(caplog):
    with caplog.at_level(logging.DEBUG, logger="nuvo_async"):
        model = model_of(100, distort=without_dates(random.Random(1)))
        wait_for_all_of(evolve(model, ignores=frozenset({"filter"})))
    log = caplog.text
    assert (
        "executions are read from the listing, by ids: it takes 1.0 requests for 8 of them" in log
    )
    assert "it shows ids that were not asked for: the filter is ignored" in log
    assert "executions are read from the listing, change feed" in log
    assert "there are executions without updated_at" in log
    assert "executions are read by id, one by one: no listing is of use" in log


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


def test_a_callback_sees_every_state_of_listings_too():
    model = model_of(50)
    seen: dict[str, list[str]] = {}

    def note(execution: Execution) -> None:
        seen.setdefault(execution.id, []).append(execution.status)

    wait_for_all_of(model, on_poll=note, with_logs=False)
    assert len(seen) == 50
    assert all(statuses[-1] == "SUCCESSFUL" for statuses in seen.values())
    assert sum(map(len, seen.values())) > model.count()["read"]


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

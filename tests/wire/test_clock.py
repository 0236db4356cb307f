"""A clock that is set, or wrong: nothing hangs, nothing runs twice, and no candidate is missed."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from nuvo_async import CreateOutcomeUnknownError, PollPolicy, RateLimitError
from nuvo_async.batches import journal_records
from nuvo_async.testing import faults
from nuvo_async.waiting import poller
from nuvo_async.wire import api, protocol, transport
from tests.conftest import calls


class Clock:
    """This machine's clock as the client reads it, and not the server's."""

    def __init__(self):
        self.ahead = timedelta(0)

    def now(self, zone):
        return datetime.now(zone) + self.ahead


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()

    class Datetime(datetime):
        @classmethod
        def now(cls, tz=None):
            return clock.now(tz)

    for module in (api, journal_records, poller, protocol, transport):
        monkeypatch.setattr(module, "datetime", Datetime)
    return clock


def setting(clock, hours, fault):
    """Set the clock when the request has come, and go on with the fault."""

    async def fault_then(request, act):
        clock.ahead = timedelta(hours=hours)
        return await fault(request, act)

    return fault_then


@pytest.mark.parametrize("hours", [-5, 5])
async def test_candidates_are_found_after_the_clock_was_set(nuvo_server, make_client, clock, hours):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", setting(clock, hours, faults.cut(acted=True)))
    with pytest.raises(CreateOutcomeUnknownError) as caught:
        await make_client().create_execution("orders")
    assert [one.id for one in caught.value.candidates] == [nuvo_server.executions[-1]["id"]]
    assert calls(nuvo_server) == ["create", "list"]


async def test_a_clock_that_is_set_back_makes_no_candidate_of_what_is_older(
    nuvo_server, make_client, clock
):
    nuvo_server.add_pipeline("orders")
    nuvo_server.start("orders", trigger_type="MANUAL")
    await asyncio.sleep(2.1)  # `Date` tells the server's clock in whole seconds.
    nuvo_server.add_fault("create", setting(clock, -5, faults.cut(acted=False)))
    with pytest.raises(CreateOutcomeUnknownError) as caught:
        await make_client().create_execution("orders")
    assert caught.value.candidates == ()


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_journal_that_is_taken_up_after_the_clock_was_set_finds_the_candidates(
    nuvo_server, make_client, clock, tmp_path, hours
):
    """The clock of the first run was off by so much, and is right by now."""
    clock.ahead = timedelta(hours=hours)
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.delay(30))
    file = tmp_path / "runs.journal"
    runs = make_client().run_pipelines(["orders"], journal=file)
    running = asyncio.create_task(anext(runs))
    while not nuvo_server.requests:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    clock.ahead = timedelta(0)
    [started] = nuvo_server.start("orders", trigger_type="MANUAL")
    [run] = [one async for one in make_client().run_pipelines(["orders"], journal=file)]
    assert [one.id for one in run.error.candidates] == [started]
    assert calls(nuvo_server) == ["create", "list"]


@pytest.mark.parametrize("hours", [-5, 5])
async def test_retry_after_as_a_date_goes_by_the_servers_own_clock(
    nuvo_server, make_client, clock, hours
):
    clock.ahead = timedelta(hours=hours)
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    nuvo_server.add_fault("list", faults.status(429, retry_after=later))
    loop = asyncio.get_running_loop()
    started = loop.time()
    await make_client().list_executions()
    assert 0.9 <= loop.time() - started < 60  # Whole seconds, both of them.


async def test_a_wrong_clock_and_a_server_that_shows_none_fail_at_once_instead_of_waiting(
    nuvo_server, make_client, clock
):
    clock.ahead = timedelta(hours=-5)
    later = format_datetime(datetime.now(UTC), usegmt=True)
    refused = faults.body(b"{}", code=429, headers={"Retry-After": later, "Date": "unknown"})
    nuvo_server.add_fault("list", refused)
    with pytest.raises(RateLimitError) as caught:
        await make_client().list_executions()
    assert caught.value.retry_after == pytest.approx(5 * 3600, abs=60)


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_clock_that_jumps_at_each_look_disturbs_no_run(
    nuvo_server, make_client, clock, tmp_path, hours
):
    def jump(zone):
        clock.ahead += timedelta(hours=hours)
        return datetime.now(zone) + clock.ahead

    clock.now = jump
    ids = [f"shop-{number}" for number in range(20)]
    for pipeline_id in ids:
        nuvo_server.add_pipeline(pipeline_id, duration=0.2)
    nuvo_server.add_fault("read", faults.status(503, retry_after="0.02"), times=5)
    nuvo_server.add_fault("create", faults.status(429, retry_after="0.02"), times=3)
    client = make_client(poll=PollPolicy(min_interval=0.02, max_outage=5))
    runs = client.run_pipelines(ids, journal=tmp_path / "runs.journal", timeout=30)
    ended = [run async for run in runs]
    assert all(run.succeeded for run in ended)
    assert sorted(run.pipeline_id for run in ended) == sorted(ids)
    assert len(nuvo_server.executions) == 20

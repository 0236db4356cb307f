"""`run_pipelines`: each pipeline as it ends, whatever came of it."""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import pytest

from nuvo_async import (
    CreateOutcomeUnknownError,
    ExecutionsFailed,
    NotFoundError,
    NuvoError,
    PollPolicy,
    RetryPolicy,
    WaitOutageError,
    WaitTimeoutError,
)
from nuvo_async.testing import faults
from tests.batches.conftest import listed
from tests.conftest import calls


async def test_each_pipeline_is_yielded_as_it_ends_with_what_went_wrong(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("slow", duration=1, files=2)
    nuvo_server.add_pipeline("empty", files=0)
    nuvo_server.add_pipeline("failing", duration=0.2, error="PARSING_FAILURE")
    nuvo_server.add_pipeline("long", duration=60)
    nuvo_server.add_fault("create", faults.cut(acted=True), of="cut")
    nuvo_server.add_pipeline("cut")
    ids = ["slow", "empty", "failing", "nope", "long", "cut"]
    runs = {}
    async for run in nuvo_client.run_pipelines(ids, timeout=3):
        runs[run.pipeline_id] = run
    assert list(runs)[-2:] == ["slow", "long"]
    assert set(runs) == set(ids)
    assert runs["slow"].succeeded
    assert len(runs["slow"].executions) == 2
    assert runs["empty"].succeeded
    assert runs["empty"].executions == ()
    assert isinstance(runs["failing"].error, ExecutionsFailed)
    assert runs["failing"].executions[0].logs
    assert isinstance(runs["nope"].error, NotFoundError)
    assert isinstance(runs["long"].error, WaitTimeoutError)
    assert runs["long"].executions[0].status == "PROCESSING"
    unknown = runs["cut"].error
    assert isinstance(unknown, CreateOutcomeUnknownError)
    assert len(unknown.candidates) == 1
    for name in ("failing", "nope", "long", "cut"):
        assert not runs[name].succeeded
        with pytest.raises(NuvoError):
            runs[name].raise_for_failure()


async def test_no_more_pipelines_are_under_way_than_asked_for(nuvo_server, nuvo_client):
    started = most = 0

    async def count(request, act):
        nonlocal started, most
        started += 1
        ended = sum(one["status"] == "SUCCESSFUL" for one in nuvo_server.executions)
        most = max(most, started - ended)
        return await act()

    nuvo_server.add_pipeline("orders", duration=0.1)
    nuvo_server.add_fault("create", count, times=20)
    runs = [run async for run in nuvo_client.run_pipelines(["orders"] * 20, concurrency=3)]
    assert all(run.succeeded for run in runs)
    assert 1 < most <= 3
    assert calls(nuvo_server).count("create") == 20


async def test_a_slow_consumer_holds_back_what_is_started(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders")
    async with aclosing(nuvo_client.run_pipelines(["orders"] * 50, concurrency=2)) as runs:
        await anext(runs)
        await asyncio.sleep(0.3)
        assert calls(nuvo_server).count("create") <= 6


async def test_the_same_pipeline_twice_is_two_runs(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders")
    runs = await listed(nuvo_client.run_pipelines(["orders", "orders"]))
    assert len({run.executions[0].id for run in runs}) == 2


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_was_started_is_told_before_it_ends(
    nuvo_server, nuvo_client, tmp_path, is_async
):
    """Also by a journal that is taken up again: whoever is interrupted knows what goes on."""
    nuvo_server.add_pipeline("sftp", files=2, duration=60)
    nuvo_server.add_pipeline("empty", files=0)
    ids = ["sftp", "empty", "nowhere"]
    started: dict[str, list[str]] = {}

    def note(pipeline_id, executions):
        started[pipeline_id] = [one.id for one in executions]

    async def note_later(pipeline_id, executions):
        await asyncio.sleep(0)
        note(pipeline_id, executions)

    on_start = note_later if is_async else note
    for _ in range(2):
        started.clear()
        runs = await listed(
            nuvo_client.run_pipelines(
                ids, timeout=0.2, journal=tmp_path / f"j{is_async}", on_start=on_start
            )
        )
        assert len(runs) == 3
        server_ids = [one["id"] for one in nuvo_server.executions]
        assert started.pop("sftp") == server_ids
    assert started == {}  # What had ended is told as ended.


async def test_what_on_start_raises_comes_out(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders", duration=60)

    def fail(*_: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await listed(nuvo_client.run_pipelines(["orders"], on_start=fail))
    with pytest.raises(TypeError, match="on_start must be callable"):
        nuvo_client.run_pipelines(["orders"], on_start=5)


async def test_what_was_started_is_named_when_a_callback_ends_it_all(
    nuvo_server, nuvo_client, caplog
):
    nuvo_server.add_pipeline("orders", duration=60)
    caplog.set_level(logging.DEBUG, logger="nuvo_async")

    def fail(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await listed(nuvo_client.run_pipelines(["orders"], on_start=fail))
    [execution] = nuvo_server.executions
    assert any(execution["id"] in note for note in caught.value.__notes__)
    assert f"these executions go on remotely: {execution['id']}" in caplog.text


async def test_an_outage_is_an_error_of_its_pipeline(nuvo_server, make_client):
    client = make_client(retry=RetryPolicy(max_attempts=1))
    nuvo_server.add_pipeline("orders", duration=60)
    nuvo_server.add_fault("read", faults.status(502), times=999)
    policy = PollPolicy(min_interval=0.02, max_outage=0.2)
    [run] = await listed(client.run_pipelines(["orders"], poll=policy))
    assert isinstance(run.error, WaitOutageError)
    assert run.executions[0].id == run.error.execution_id


async def test_many_at_once_against_a_real_server(nuvo_server, nuvo_client):
    """200 pipelines; what is asked is far less than each for itself would ask."""
    nuvo_server.add_pipeline("orders", duration=0.5)
    runs = await listed(nuvo_client.run_pipelines(["orders"] * 200, with_logs=False))
    assert all(run.succeeded for run in runs)
    counted = calls(nuvo_server)
    assert counted.count("create") == 200
    assert counted.count("list") > 0
    assert len(counted) - 200 < 200

"""A run that is continued with its journal: nothing is started twice, and nothing is lost."""

import asyncio
import json
import shutil
from contextlib import aclosing

import pytest

from nuvo_async import (
    ClientClosedError,
    CreateOutcomeUnknownError,
    RetryPolicy,
    WaitTimeoutError,
)
from nuvo_async.testing import faults
from tests.batches.conftest import created, events, listed, run_all, until
from tests.batches.test_journal_records import IDS, VERSION_1
from tests.conftest import calls, payload


async def test_a_finished_journal_repeats_the_results_without_a_request(
    nuvo_server, nuvo_client, path
):
    nuvo_server.add_pipeline("good", files=2)
    nuvo_server.add_pipeline("bad", error="PARSING_FAILURE", message="torn")
    nuvo_server.add_pipeline("empty", files=0)
    ids = ["good", "bad", "empty"]
    first = await run_all(nuvo_client, ids, path)
    asked = len(nuvo_server.requests)
    again = await run_all(nuvo_client, ids, str(path))
    assert len(nuvo_server.requests) == asked
    assert again["good"] == first["good"]
    assert again["empty"] == first["empty"]
    assert again["bad"].executions == first["bad"].executions
    assert str(again["bad"].error) == str(first["bad"].error)
    assert sorted(events(path)) == sorted(
        [(n, event) for n in range(3) for event in ("intent", "created")]
        + [(0, "finished"), (1, "failed"), (2, "finished")]
    )


async def test_what_was_under_way_is_waited_for_by_id(nuvo_server, nuvo_client, path):
    nuvo_server.add_pipeline("orders", duration=0.5)
    [run] = await listed(nuvo_client.run_pipelines(["orders"], journal=path, timeout=0.1))
    assert isinstance(run.error, WaitTimeoutError)
    [again] = await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert again.succeeded
    assert again.executions[0].id == run.executions[0].id
    assert calls(nuvo_server).count("create") == 1


async def test_a_run_of_release_0_1_0_can_be_continued(nuvo_server, nuvo_client, path):
    shutil.copy(VERSION_1, path)
    nuvo_server.add_pipeline("missing")
    nuvo_server.add_pipeline("lost")
    long = payload(id="6a0e3de8d4e94b96725406c8", pipeline="long")
    nuvo_server.add_fault("read", faults.body(json.dumps({"data": long})), of=long["id"])
    runs = await listed(nuvo_client.run_pipelines(IDS, journal=path))
    outcomes = sorted((run.pipeline_id, run.succeeded) for run in runs)
    assert outcomes == [
        *(("empty", True), ("long", True), ("lost", False), ("missing", True)),
        *(("orders", True), ("orders", True), ("retried", True), ("stock", False)),
    ]
    assert [one["pipeline"] for one in nuvo_server.executions] == ["missing"]
    assert path.read_bytes().startswith(VERSION_1.read_bytes())


# Creates in doubt.


async def test_an_intent_without_an_answer_is_reported_with_candidates(
    nuvo_server, nuvo_client, path
):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.cut(acted=True))
    [cut] = await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert isinstance(cut.error, CreateOutcomeUnknownError)
    for _ in range(2):
        [again] = await listed(nuvo_client.run_pipelines(["orders"], journal=path))
        assert isinstance(again.error, CreateOutcomeUnknownError)
        assert again.error.candidates == cut.error.candidates
        assert abs((again.error.sent_at - cut.error.sent_at).total_seconds()) < 5
    assert calls(nuvo_server).count("create") == 1


async def test_what_the_same_list_started_is_no_candidate(nuvo_server, nuvo_client, path):
    """The same pipeline three times: one was cut off, one was under way, one is started now."""
    nuvo_server.add_pipeline("orders", duration=0.3)
    nuvo_server.add_fault("create", faults.cut(acted=True))
    ids = ["orders"] * 3
    async with aclosing(nuvo_client.run_pipelines(ids, journal=path, concurrency=1)) as runs:
        cut = await anext(runs)
        await until(lambda: 1 in created(path))
    lost = cut.error.candidates[0].id
    again = await listed(nuvo_client.run_pipelines(ids, journal=path))
    assert [one.id for one in again[0].error.candidates] == [lost]
    assert [run.succeeded for run in again] == [False, True, True]
    assert len(nuvo_server.executions) == 3


async def test_candidates_are_found_behind_hundreds_of_later_ones(nuvo_server, nuvo_client, path):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.cut(acted=True))
    [cut] = await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    nuvo_server.add_pipeline("orders", files=250)
    nuvo_server.start("orders", trigger_type="MANUAL")
    [again] = await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert cut.error.candidates[0].id in {one.id for one in again.error.candidates}
    assert len(again.error.candidates) == 251


async def test_the_intent_is_on_disk_before_the_create_is_sent(nuvo_server, nuvo_client, path):
    seen = []

    async def look(_, act):
        seen.append(events(path))
        return await act()

    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", look)
    await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert seen == [[(0, "intent")]]


async def test_only_what_is_about_to_be_sent_is_intended(nuvo_server, make_client, path):
    """A crash leaves doubt about those in flight, and not about the thousands in the queue."""
    client = make_client(max_concurrency=2)
    nuvo_server.add_pipeline("orders", duration=60)
    nuvo_server.add_fault("create", faults.delay(30), times=99)
    running = asyncio.create_task(listed(client.run_pipelines(["orders"] * 50, journal=path)))
    await until(lambda: calls(nuvo_server).count("create") == 2)
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert events(path) == [(0, "intent"), (1, "intent")]


# Creates that started nothing.


@pytest.mark.parametrize("refusal", ["429", "404", "no connection", "token"])
async def test_a_create_that_was_clearly_refused_is_tried_again(
    nuvo_server, make_client, license_key, path, refusal
):
    client = make_client(license_key, retry=RetryPolicy(max_attempts=1))
    if refusal == "429":
        nuvo_server.add_fault("create", faults.status(429))
    elif refusal == "token":
        nuvo_server.add_fault("token", faults.status(403))
    elif refusal == "no connection":
        client = make_client(base_url="http://127.0.0.1:9/", retry=RetryPolicy(max_attempts=1))
    if refusal != "404":
        nuvo_server.add_pipeline("orders")
    [refused] = await listed(client.run_pipelines(["orders"], journal=path))
    assert refused.error is not None
    assert not isinstance(refused.error, CreateOutcomeUnknownError)
    nuvo_server.add_pipeline("orders")
    [again] = await listed(make_client().run_pipelines(["orders"], journal=path))
    assert again.succeeded
    assert len(nuvo_server.executions) == 1


async def test_what_was_refused_is_recorded_before_the_pause_is_over(
    nuvo_server, make_client, path
):
    """A run that is stopped while a rate limit delays it is started again, without any doubt."""
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.status(429, retry_after=30), times=99)
    client = make_client()
    running = asyncio.create_task(run_all(client, ["orders"] * 3, path, concurrency=1))
    await until(lambda: (0, "refused") in events(path))
    running.cancel()
    await asyncio.wait([running])
    nuvo_server.clear_faults()
    runs = await listed(make_client().run_pipelines(["orders"] * 3, journal=path))
    assert [run.succeeded for run in runs] == [True] * 3
    assert len(nuvo_server.executions) == 3


async def test_a_token_that_is_exchanged_meanwhile_is_no_intent(
    nuvo_server, make_client, license_key, path
):
    nuvo_server.add_pipeline("orders")
    client = make_client(license_key)
    await client.list_executions()
    nuvo_server.expire_tokens()
    await run_all(client, ["orders"], path)
    assert events(path) == [
        *((0, "intent"), (0, "refused"), (0, "intent")),
        *((0, "created"), (0, "finished")),
    ]


# Runs that were stopped.


async def test_a_cancelled_run_can_be_continued_at_once(nuvo_server, nuvo_client, path):
    nuvo_server.add_pipeline("orders", duration=0.6)
    ids = ["orders"] * 5
    async with aclosing(nuvo_client.run_pipelines(ids, journal=path, concurrency=2)) as runs:
        await anext(runs)
        await until(lambda: len(created(path)) == 4)  # No Create is in flight.
    again = await listed(nuvo_client.run_pipelines(ids, journal=path))
    assert all(run.succeeded for run in again)
    assert len(nuvo_server.executions) == 5


async def test_closing_the_client_leaves_a_journal_that_can_be_continued(
    nuvo_server, make_client, path
):
    nuvo_server.add_pipeline("orders", duration=0.3)
    client = make_client()
    running = asyncio.create_task(listed(client.run_pipelines(["orders"] * 3, journal=path)))
    await until(lambda: len(created(path)) == 3)
    await client.close()
    with pytest.raises(ClientClosedError):
        await running
    again = await listed(make_client().run_pipelines(["orders"] * 3, journal=path))
    assert [run.succeeded for run in again] == [True] * 3
    assert len(nuvo_server.executions) == 3


async def test_no_secret_is_written(nuvo_server, make_client, license_key, path):
    nuvo_server.add_pipeline("orders", error="PARSING_FAILURE", message=f"no {license_key}")
    nuvo_server.add_pipeline("leaky", error="PARSING_FAILURE", message=license_key.license_key)
    nuvo_server.add_fault("create", faults.status(409, message=license_key.license_key), of="x")
    await listed(make_client(license_key).run_pipelines(["orders", "leaky", "x"], journal=path))
    content = path.read_text()
    assert "[secret]" in content
    assert license_key.license_key not in content
    assert nuvo_server.access_token not in content

"""The journal of `run_pipelines`: nothing is started twice, and nothing is lost."""

import asyncio
import json
import logging
import os
import random
import resource
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import aclosing
from typing import Any

import pytest

from nuvo_async import (
    ClientClosedError,
    CreateOutcomeUnknownError,
    JournalError,
    PipelineRun,
    RetryPolicy,
    WaitTimeoutError,
)
from nuvo_async.batches.journal import Journal
from nuvo_async.testing import faults
from tests.conftest import calls


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.journal"


async def listed(iterator: Any) -> list[Any]:
    return [one async for one in iterator]


async def run_all(client, ids, path, **options) -> dict[str, PipelineRun]:
    return {
        run.pipeline_id: run async for run in client.run_pipelines(ids, journal=path, **options)
    }


def events(path) -> list[tuple[int, str]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["position"], line["event"]) for line in lines[1:]]


async def test_a_finished_journal_tells_again_without_asking(nuvo_server, nuvo_client, path):
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
        assert abs((again.error.sent_at - cut.error.sent_at).total_seconds()) < 1
    assert calls(nuvo_server).count("create") == 1


async def test_what_the_same_list_started_is_no_candidate(nuvo_server, nuvo_client, path):
    """The same pipeline three times: one was cut off, one was under way, one is started now."""
    nuvo_server.add_pipeline("orders", duration=0.2)
    nuvo_server.add_fault("create", faults.cut(acted=True))
    ids = ["orders"] * 3
    async with aclosing(nuvo_client.run_pipelines(ids, journal=path, concurrency=1)) as runs:
        cut = await anext(runs)
        await asyncio.sleep(0.05)
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
    await asyncio.sleep(0.3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert events(path) == [(0, "intent"), (1, "intent")]


async def test_a_cancelled_run_can_be_taken_up_at_once(nuvo_server, nuvo_client, path):
    nuvo_server.add_pipeline("orders", duration=0.3)
    ids = ["orders"] * 5
    async with aclosing(nuvo_client.run_pipelines(ids, journal=path, concurrency=2)) as runs:
        await anext(runs)
        await asyncio.sleep(0.1)  # What follows is created by now, and not cut off.
    again = await listed(nuvo_client.run_pipelines(ids, journal=path))
    assert all(run.succeeded for run in again)
    assert len(nuvo_server.executions) == 5


async def test_closing_the_client_leaves_a_journal_that_goes_on(nuvo_server, make_client, path):
    nuvo_server.add_pipeline("orders", duration=0.3)
    client = make_client()
    running = asyncio.create_task(listed(client.run_pipelines(["orders"] * 3, journal=path)))
    await asyncio.sleep(0.2)
    await client.close()
    with pytest.raises(ClientClosedError):
        await running
    again = await listed(make_client().run_pipelines(["orders"] * 3, journal=path))
    assert all(run.succeeded for run in again)
    assert len(nuvo_server.executions) == 3


# A journal that cannot be taken up.


async def finished_journal(server, client, path):
    server.add_pipeline("orders")
    await listed(client.run_pipelines(["orders", "orders"], journal=path))
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("cut", [1, 10, 30])
async def test_a_last_line_that_was_cut_off_is_dropped_with_a_warning(
    nuvo_server, nuvo_client, path, caplog, cut
):
    lines = await finished_journal(nuvo_server, nuvo_client, path)
    path.write_bytes(b"".join(lines)[:-cut])
    with caplog.at_level(logging.WARNING, logger="nuvo_async"):
        again = await listed(nuvo_client.run_pipelines(["orders", "orders"], journal=path))
    assert "dropped a last line that was cut off" in caplog.text
    assert all(run.succeeded for run in again)
    assert len(nuvo_server.executions) == 2
    for line in path.read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("content", [b"", b"\n", b'{"journal": "nuv'])
async def test_an_empty_journal_is_begun(nuvo_server, nuvo_client, path, content):
    path.write_bytes(content)
    await finished_journal(nuvo_server, nuvo_client, path)
    assert len(events(path)) == 6


CORRUPT = {
    "no JSON": b"}{\n",
    "blank": b"\n",
    "no object": b"[]\n",
    "no event": b'{"position": 0}\n',
    "another event": b'{"position": 0, "event": "paused"}\n',
    "no such position": b'{"position": 7, "event": "intent", "pipeline": "orders", "at": "2026"}\n',
    "no position": b'{"position": "0", "event": "created", "executions": []}\n',
    "another pipeline": b'{"position": 0, "event": "intent", "pipeline": "x", "at": "2026"}\n',
    "no date": b'{"position": 0, "event": "intent", "pipeline": "orders", "at": "soon"}\n',
    "an answer without an intent": b'{"position": 0, "event": "created", "executions": []}\n',
    "an end without an answer": b'{"position": 0, "event": "finished", "executions": []}\n',
    "no UTF-8": b'{"position": 0, "event": "\xff"}\n',
}


@pytest.mark.parametrize("line", CORRUPT.values(), ids=CORRUPT)
async def test_a_corrupt_line_is_an_error_that_says_where(nuvo_server, nuvo_client, path, line):
    lines = await finished_journal(nuvo_server, nuvo_client, path)
    path.write_bytes(b"".join([lines[0], line, *lines[1:]]))
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"is corrupt in line 2 .*; mend it"):
        await listed(nuvo_client.run_pipelines(["orders", "orders"], journal=path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"journal": "nuvo_async", "version": 2}\n', "has version 2 of the format"),
        (b'{"journal": "other", "version": 1}\n', "corrupt in line 1"),
        (b"hello\n", "corrupt in line 1"),
    ],
)
async def test_a_file_that_is_no_journal_of_ours(nuvo_client, path, header, message):
    path.write_bytes(header)
    with pytest.raises(JournalError, match=message):
        await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert path.read_bytes() == header


@pytest.mark.parametrize("ids", [["orders"], ["orders", "stock"], ["orders"] * 3])
async def test_a_journal_of_another_list_is_refused(nuvo_server, nuvo_client, path, ids):
    await finished_journal(nuvo_server, nuvo_client, path)
    with pytest.raises(JournalError, match="of another list of pipelines"):
        await listed(nuvo_client.run_pipelines(ids, journal=path))


async def test_a_journal_in_use_is_refused(nuvo_server, nuvo_client, path):
    nuvo_server.add_pipeline("orders", duration=0.3)
    async with aclosing(nuvo_client.run_pipelines(["orders"] * 2, journal=path)) as runs:
        first = asyncio.ensure_future(anext(runs))
        await asyncio.sleep(0.1)
        with pytest.raises(JournalError, match="is held by another run"):
            await listed(nuvo_client.run_pipelines(["orders"] * 2, journal=path))
        assert (await first).succeeded


async def test_a_journal_that_cannot_be_opened_says_why(nuvo_server, nuvo_client, tmp_path):
    for path in (tmp_path, tmp_path / "no" / "folder"):
        with pytest.raises(JournalError, match="cannot be used"):
            await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert nuvo_server.requests == []


async def test_nothing_is_sent_once_the_disk_is_full(nuvo_server, nuvo_client, path, monkeypatch):
    nuvo_server.add_pipeline("orders", duration=0.1)
    fsync, left = os.fsync, 4

    def fill_up(descriptor):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fill_up)
    with pytest.raises(JournalError, match=r"cannot be written: .*No space left"):
        await listed(nuvo_client.run_pipelines(["orders"] * 9, journal=path, concurrency=1))
    assert calls(nuvo_server).count("create") == 1


async def test_no_secret_is_written(nuvo_server, make_client, license_key, path):
    nuvo_server.add_pipeline("orders", error="PARSING_FAILURE", message=f"no {license_key}")
    nuvo_server.add_pipeline("leaky", error="PARSING_FAILURE", message=license_key.license_key)
    nuvo_server.add_fault("create", faults.status(409, message=license_key.license_key), of="x")
    await listed(make_client(license_key).run_pipelines(["orders", "leaky", "x"], journal=path))
    content = path.read_text()
    assert "[secret]" in content
    assert license_key.license_key not in content
    assert nuvo_server.access_token not in content


async def test_what_is_written_while_the_disk_is_busy_is_written_together(path, monkeypatch):
    syncs = 0
    fsync = os.fsync

    def count(descriptor):
        nonlocal syncs
        syncs += 1
        fsync(descriptor)

    journal = Journal(path, ["orders"] * 100)
    await journal.open()
    monkeypatch.setattr(os, "fsync", count)
    await asyncio.gather(*map(journal.intend, range(100)))
    await journal.close()
    assert len(events(path)) == 100
    assert syncs < 100


# A crash, for real.

RUNNER = """
import asyncio, os, random, signal, sys, time
from nuvo_async import NuvoClient, PollPolicy

base_url, token, path, count, kills, seed = sys.argv[1:]
ids = [f"p{n}" for n in range(int(count))]


async def run():
    poll = PollPolicy(min_interval=0.01, max_interval=0.1)
    async with NuvoClient(token, base_url=base_url, poll=poll) as client:
        async for _ in client.run_pipelines(ids, journal=path, concurrency=4):
            pass


def lines():
    return open(path, "rb").read().count(b"\\n") if os.path.exists(path) else 0


dice = random.Random(int(seed))
for killed in range(int(kills)):
    # So many lines further, however slow the machine is, and then at any instant.
    enough = lines() + dice.randrange(8)
    child = os.fork()
    if not child:
        asyncio.run(run())
        os._exit(0)
    while lines() < enough:
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit(f"ended after {killed} kills")
        time.sleep(0.001)
    time.sleep(dice.uniform(0, 0.004))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, to be quick")
async def test_a_batch_that_is_killed_at_any_instant_can_be_taken_up_again(
    nuvo_server, make_client, path
):
    """Killed 50 times in the course of 200 triggers: each is started once, or reported."""
    count = 200
    for n in range(count):
        nuvo_server.add_pipeline(f"p{n}", duration=0.02)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(RUNNER), nuvo_server.base_url),
        *(nuvo_server.access_token, str(path), str(count), "50", str(random.randrange(10**6))),
        stderr=subprocess.PIPE,
    )
    _, stderr = await process.communicate()
    assert process.returncode == 0, stderr
    killed_at = len(events(path))

    runs = await run_all(make_client(), [f"p{n}" for n in range(count)], path)
    started: dict[str, list[str]] = {f"p{n}": [] for n in range(count)}
    for execution in nuvo_server.executions:
        started[execution["pipeline"]].append(execution["id"])
    unknown = [run for run in runs.values() if not run.succeeded]
    for pipeline, run in runs.items():
        ids = started[pipeline]
        assert len(ids) <= 1
        if run.succeeded:
            assert [one.id for one in run.executions] == ids
        else:
            assert isinstance(run.error, CreateOutcomeUnknownError)
            assert [one.id for one in run.error.candidates] == ids
    assert len(runs) == count
    assert killed_at > 50
    assert len(unknown) < count


class Disk:
    """A disk that is slow, or full, at the n-th time that something has to be on it."""

    def __init__(self, monkeypatch, *, at, is_full=False):
        self._fsync, self._left, self._is_full = os.fsync, at, is_full
        self._reached = threading.Event()
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, descriptor):
        self._left -= 1
        if self._left == 0:
            self._reached.set()
            if self._is_full:
                raise OSError(28, "No space left on device")
            time.sleep(0.3)
        self._fsync(descriptor)

    async def reached(self):
        assert await asyncio.to_thread(self._reached.wait, 10)


async def test_what_was_refused_is_known_to_be_so_in_the_pause_as_well(
    nuvo_server, make_client, path
):
    """A run that is stopped while a rate limit holds it back is started again, not in doubt."""
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.status(429, retry_after=30), times=99)
    client = make_client()
    running = asyncio.create_task(run_all(client, ["orders"] * 3, path))
    await asyncio.sleep(0.3)
    running.cancel()
    await asyncio.wait([running])
    nuvo_server.clear_faults()
    runs = await listed(make_client().run_pipelines(["orders"] * 3, journal=path))
    assert [run.succeeded for run in runs] == [True] * 3
    assert len(nuvo_server.executions) == 3


async def test_what_was_cut_short_before_it_was_sent_is_not_in_doubt(
    nuvo_server, nuvo_client, path, monkeypatch
):
    nuvo_server.add_pipeline("orders")
    disk = Disk(monkeypatch, at=3)  # The header and its folder come first.
    running = asyncio.create_task(run_all(nuvo_client, ["orders"], path))
    await disk.reached()
    running.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await running
    assert not hasattr(caught.value, "__notes__")
    assert events(path) == [(0, "intent"), (0, "refused")]
    assert calls(nuvo_server) == []


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


@pytest.mark.parametrize("trouble", ["a full disk", "a cancellation"])
async def test_what_was_created_is_named_where_that_cannot_be_written(
    nuvo_server, nuvo_client, path, monkeypatch, trouble
):
    nuvo_server.add_pipeline("orders", duration=60)
    disk = Disk(monkeypatch, at=4, is_full=trouble == "a full disk")
    running = asyncio.create_task(run_all(nuvo_client, ["orders"], path))
    await disk.reached()
    if trouble == "a cancellation":
        running.cancel()
    with pytest.raises((JournalError, asyncio.CancelledError)) as caught:
        await running
    [execution] = nuvo_server.executions
    assert any(execution["id"] in note for note in caught.value.__notes__)


async def test_a_file_that_may_not_grow_is_an_error_of_the_journal(nuvo_server, nuvo_client, path):
    nuvo_server.add_pipeline("orders")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
    try:
        with pytest.raises(JournalError, match=r"cannot be written: .*File too large"):
            await listed(nuvo_client.run_pipelines(["orders"] * 9, journal=path, concurrency=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    runs = await listed(nuvo_client.run_pipelines(["orders"] * 9, journal=path))
    assert len(runs) == 9

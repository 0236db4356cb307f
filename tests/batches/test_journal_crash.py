"""Runs that are killed or cancelled at random instants, for real, and then continued.

The embedded server is the witness: it knows what it has started, and when it has sent each answer.
The suite tries a few instants. The full size takes some five minutes:

    NUVO_CRASHES=50 pytest tests/batches/test_journal_crash.py -k slow_disk -n0 -s
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from nuvo_async import CreateOutcomeUnknownError, PipelineRun
from nuvo_async.testing import NuvoServer
from tests.batches.conftest import events, run_all, until

CRASHES = int(os.environ.get("NUVO_CRASHES", "0"))
TRIGGERS, SYNC_TIME, INSTANTS = (200, 0.5, CRASHES) if CRASHES else (40, 0.2, 4)
# So many seconds before the instant, an answer may have left the server without being known later.
# After SIGKILL, what the process has not read yet is lost, and on a busy machine it may wait
# for its turn: at full size there should be none. A slow disk must add nothing to that.
IN_THE_BUFFER = {signal.SIGKILL: 0.25 if CRASHES else 1.0, signal.SIGINT: 0.02}

SLOW = """
import asyncio, os, sys, time
from nuvo_async import NuvoClient, PollPolicy

base_url, token, path, prefix, count, sync_time = sys.argv[1:]
sync = os.fsync


def slow_sync(descriptor):
    time.sleep(float(sync_time))
    sync(descriptor)


async def run():
    ids = [f"{prefix}-{n}" for n in range(int(count))]
    poll = PollPolicy(min_interval=0.05, max_interval=0.5)
    async with NuvoClient(token, base_url=base_url, poll=poll) as client:
        async for _ in client.run_pipelines(ids, journal=path, concurrency=40):
            pass


os.fsync = slow_sync
asyncio.run(run())
"""


def started(server: NuvoServer) -> dict[str, list[str]]:
    """Return the ids of what was started, by pipeline."""
    ids = defaultdict(list)
    for one in server.executions:
        ids[one["pipeline"]].append(one["id"])
    return ids


def unknown_among(runs: dict[str, PipelineRun], server: NuvoServer) -> list[str]:
    """Check that each pipeline was started once, or not at all, and return those in doubt."""
    unknown = []
    ids = started(server)
    for pipeline_id, run in runs.items():
        assert len(ids[pipeline_id]) <= 1
        if run.succeeded:
            assert [one.id for one in run.executions] == ids[pipeline_id]
        else:
            assert isinstance(run.error, CreateOutcomeUnknownError)
            assert [one.id for one in run.error.candidates] == ids[pipeline_id]
            unknown.append(pipeline_id)
    return unknown


async def interrupted(
    server: NuvoServer, path: Path, prefix: str, number: signal.Signals
) -> float | None:
    """Run pipelines, interrupt that at a random instant, and return when; `None` if it was over."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SLOW, server.base_url, server.access_token),
        *(str(path), prefix, str(TRIGGERS), str(SYNC_TIME)),
        stderr=subprocess.PIPE,
    )
    ending = asyncio.create_task(process.communicate())
    # After so many records, however slow the machine is, and then at any instant.
    records = random.randrange(3 * TRIGGERS)
    await until(lambda: len(events(path)) >= records or ending.done())
    await asyncio.sleep(random.uniform(0, SYNC_TIME))
    instant = time.monotonic()
    if not ending.done():
        process.send_signal(number)
    _, stderr = await ending
    if process.returncode == 0:
        return None
    assert process.returncode == -number, stderr.decode()
    return instant


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_a_run_on_a_slow_disk_is_interrupted_at_any_instant(
    nuvo_server, make_client, tmp_path, number
):
    """Each pipeline is started once, or its answer was truly not received."""

    async def answer_later(request, act):
        response = await act()
        await asyncio.sleep(random.uniform(0, 0.2))
        await response.prepare(request)
        await response.write_eof()
        answered[(await request.json())["pipeline_id"]] = time.monotonic()
        return response

    answered: dict[str, float] = {}  # When the answer had left the server.
    nuvo_server.add_fault("create", answer_later, times=10**6)
    counted: Counter[str] = Counter()
    longest = 0.0
    for trial in range(INSTANTS // 2):
        path = tmp_path / f"{trial}.journal"
        prefix = f"{number.name}-{trial}"
        ids = [f"{prefix}-{n}" for n in range(TRIGGERS)]
        for one in ids:
            nuvo_server.add_pipeline(one, duration=0.05)
        instant = await interrupted(nuvo_server, path, prefix, number)
        runs = await run_all(make_client(), ids, path)
        assert set(runs) == set(ids)
        unknown = unknown_among(runs, nuvo_server)
        asked = {one.json["pipeline_id"] for one in nuvo_server.requests if one.call == "create"}
        for one in unknown:
            assert instant is not None
            # How long before the instant its answer was there to be received.
            lead = instant - answered.get(one, float("inf"))
            assert lead < IN_THE_BUFFER[number], one
            longest = max(longest, lead)
            counted["not sent"] += one not in asked
            counted["not answered"] += one in asked and lead < 0
            counted["in the buffer"] += lead >= 0
        counted["interrupted"] += instant is not None
        counted["known"] += TRIGGERS - len(unknown)
        nuvo_server.forget()
    # ruff: noqa: T201 - what a run at full size is for
    print(f"\n{number.name}: {dict(counted)}, in the buffer for {longest * 1000:.0f} ms at most")


QUICK = """
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


async def test_a_run_that_is_killed_again_and_again_can_be_continued(
    nuvo_server, make_client, path
):
    """Killed 50 times in the course of 200 triggers: each is started once, or reported."""
    ids = [f"p{n}" for n in range(200)]
    for one in ids:
        nuvo_server.add_pipeline(one, duration=0.02)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", QUICK, nuvo_server.base_url, nuvo_server.access_token),
        *(str(path), "200", "50", str(random.randrange(10**6))),
        stderr=subprocess.PIPE,
    )
    _, stderr = await process.communicate()
    assert process.returncode == 0, stderr
    killed_at = len(events(path))

    runs = await run_all(make_client(), ids, path)
    assert set(runs) == set(ids)
    assert len(unknown_among(runs, nuvo_server)) < 200
    assert killed_at > 50

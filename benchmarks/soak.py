"""A long run: every way to wait, random faults, and a look at what is left when all has ended.

Usage: python -m benchmarks.soak [--minutes M] [--waits N] [--seed S]

Each round begins thousands of waits against the embedded server, which meets the client with
faults of all kinds; some waits are cancelled, some are not given the time. Once the last has ended,
it is counted what remains: memory, objects, sockets and tasks. None of it may grow from round to
round, and nothing may end otherwise than it was scripted; else the exit code is 1. Linux only.
"""

import argparse
import asyncio
import gc
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from resource import getpagesize
from typing import Literal

import aiohttp
from attrs import define, field

from nuvo_async import (
    APIError,
    CreateOutcomeUnknownError,
    Execution,
    ExecutionsFailed,
    NuvoClient,
    PollPolicy,
    RetryPolicy,
    TransportError,
    WaitTimeoutError,
)
from nuvo_async.testing import NuvoServer, faults
from nuvo_async.testing.faults import Fault

__all__ = ["main"]

_MOST_IN_FLIGHT = 100
_LONGEST = 3.0
_DISTURBED = 5.0
# The first rounds fill caches and pools. After that, so much more is allowed in the last.
_WARM_UP = 2
_MOST_OBJECTS = 1.005
_MOST_MEMORY = 1.15

_PASSING: Sequence[Callable[[random.Random], Fault]] = (
    lambda dice: faults.status(dice.choice([500, 502, 503, 504])),
    lambda dice: faults.status(dice.choice([429, 503]), retry_after=f"{dice.uniform(0, 0.2):.3f}"),
    lambda dice: faults.delay(dice.uniform(0.1, 2.0)),
    lambda dice: faults.cut(acted=dice.random() < 0.5),
    lambda _: faults.truncated(),
    lambda _: faults.html_page(502),
)
# A read of one execution would end by these. Where a listing does, others are asked.
_FOR_LISTINGS: Sequence[Callable[[random.Random], Fault]] = (
    *_PASSING,
    lambda _: faults.not_json(),
    lambda _: faults.status(403),
    lambda _: faults.gzip_bomb(2_000_000),
    lambda dice: faults.stale_listing(dice.uniform(1, 10)),
)


@define
class Round:
    """How the waits of one round ended, and what was left after it."""

    ended: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    seconds: float = 0.0
    requests: int = 0
    memory: int = 0
    objects: int = 0
    sockets: int = 0
    tasks: int = 0

    def check(self, execution: Execution) -> None:
        """Note how an execution ended, and whether that was scripted."""
        self.ended["failed" if execution.failed else "succeeded"] += 1
        if not execution.is_finished or execution.failed is not execution.pipeline.startswith(
            "bad"
        ):
            self.wrong.append(f"{execution.id} of {execution.pipeline} is {execution.status}")

    def look(self) -> None:
        """Count what is there now."""
        gc.collect()
        self.memory = getpagesize() * int(Path("/proc/self/statm").read_text().split()[1])
        self.objects = len(gc.get_objects())
        links = [link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.exists()]
        self.sockets = sum(name.startswith("socket:") for name in links)
        self.tasks = len(asyncio.all_tasks())

    def __str__(self) -> str:
        ended = ", ".join(f"{count:,} {how}" for how, count in sorted(self.ended.items()))
        return (
            f"{self.seconds:.1f} s, {self.requests:,} requests ({self.requests / self.seconds:,.0f}"
            f" per s), left: {self.memory / 2**20:.1f} MiB, {self.objects:,} objects,"
            f" {self.sockets} sockets, {self.tasks} tasks; {ended}"
        )


class Soak:
    """One client and one server, over all rounds."""

    def __init__(self, server: NuvoServer, client: NuvoClient, waits: int, seed: int) -> None:
        self._server = server
        self._client = client
        self._waits = waits
        self._dice = random.Random(seed)
        self._pipelines: list[str] = []
        for number in range(50):
            for kind, error in (("good", None), ("bad", "PARSING_FAILURE")):
                self._pipelines.append(f"{kind}-{number}")
                server.add_pipeline(
                    self._pipelines[-1], duration=_LONGEST * number / 50, error=error
                )

    async def round(self) -> Round:
        """Begin as many waits, in every way, and look when all have ended."""
        done, began = Round(), time.monotonic()
        ids = [self._start() for _ in range(self._waits)]
        shares = [ids[offset::10] for offset in range(10)]
        disturbing = asyncio.create_task(self._disturb())
        async with asyncio.TaskGroup() as group:
            for one in [*shares[0], *shares[1], *shares[2], *shares[3], *shares[4]]:
                group.create_task(self._wait(done, one, with_logs=True))
            for one in [*shares[4], *shares[5]]:  # Some have two waits, of another kind.
                group.create_task(self._wait(done, one, with_logs=False))
            for one in shares[6]:
                group.create_task(self._wait_and_leave(done, one))
            for one in shares[7]:
                group.create_task(self._wait_too_short(done, one))
            group.create_task(self._wait_as_completed(done, shares[8]))
            group.create_task(self._wait_for_all(done, shares[9]))
            group.create_task(self._run_pipelines(done, len(ids) // 10))
        done.seconds = time.monotonic() - began
        done.requests = len(self._server.requests)
        disturbing.cancel()
        await asyncio.wait([disturbing])
        self._server.clear_faults()
        await asyncio.sleep(_LONGEST)  # What was left has ended by then, too.
        self._server.forget()
        done.look()
        return done

    def _start(self) -> str:
        [execution_id] = self._server.start(self._dice.choice(self._pipelines))
        return execution_id

    async def _disturb(self) -> None:
        calls: list[Literal["create", "read", "list"]] = ["create", "read", "list"]
        end = time.monotonic() + _DISTURBED
        # Not for ever: a client that holds back would not be through with the faults laid out.
        while time.monotonic() < end:
            await asyncio.sleep(self._dice.uniform(0.05, 0.5))
            call = self._dice.choice(calls)
            fault = self._dice.choice(_FOR_LISTINGS if call == "list" else _PASSING)
            times = self._dice.randint(1, 20)
            self._server.add_fault(call, fault(self._dice), times=times)

    async def _wait(self, done: Round, execution_id: str, *, with_logs: bool) -> None:
        done.check(
            await self._client.wait_for_completion(
                execution_id, raise_on_failure=False, with_logs=with_logs
            )
        )

    async def _wait_and_leave(self, done: Round, execution_id: str) -> None:
        waiting = asyncio.create_task(self._wait(done, execution_id, with_logs=True))
        await asyncio.wait([waiting], timeout=self._dice.uniform(0, _LONGEST))
        waiting.cancel()
        await asyncio.wait([waiting])
        done.ended["cancelled"] += waiting.cancelled()

    async def _wait_too_short(self, done: Round, execution_id: str) -> None:
        timeout = self._dice.uniform(0, 1)
        try:
            done.check(
                await self._client.wait_for_completion(
                    execution_id, raise_on_failure=False, timeout=timeout
                )
            )
        except WaitTimeoutError:
            done.ended["timed out"] += 1

    async def _wait_as_completed(self, done: Round, ids: Sequence[str]) -> None:
        async for execution in self._client.as_completed(ids):
            done.check(execution)

    async def _wait_for_all(self, done: Round, ids: Sequence[str]) -> None:
        for execution in await self._client.wait_for_all(ids, raise_on_failure=False):
            done.check(execution)

    async def _run_pipelines(self, done: Round, count: int) -> None:
        pipelines = self._dice.choices(self._pipelines, k=count)
        async for run in self._client.run_pipelines(pipelines, concurrency=_MOST_IN_FLIGHT):
            for execution in run.executions:
                done.check(execution)
            if isinstance(run.error, CreateOutcomeUnknownError):
                done.ended["unknown"] += 1
            elif isinstance(run.error, APIError | TransportError) and not run.executions:
                done.ended["refused"] += 1
            elif run.error is not None and not isinstance(run.error, ExecutionsFailed):
                done.wrong.append(repr(run.error))


def _complaints(rounds: Sequence[Round]) -> list[str]:
    complaints = [text for one in rounds for text in one.wrong]
    first, last = rounds[_WARM_UP - 1], rounds[-1]
    if last.objects > first.objects * _MOST_OBJECTS:
        complaints.append(f"objects have grown, from {first.objects:,} to {last.objects:,}")
    if last.memory > first.memory * _MOST_MEMORY:
        complaints.append(f"memory has grown, from {first.memory:,} to {last.memory:,} bytes")
    if any(one.tasks > 1 for one in rounds):
        complaints.append("tasks were left")
    if any(one.sockets > rounds[0].sockets for one in rounds):
        complaints.append("connections were left")
    return complaints


async def soak(seconds: float, waits: int, seed: int) -> list[Round]:
    """Run rounds for so long, a few at least, and print each."""
    rounds: list[Round] = []
    end = time.monotonic() + seconds
    # Connections that are not used are closed before it is counted what is left.
    connector = aiohttp.TCPConnector(limit=_MOST_IN_FLIGHT, keepalive_timeout=_LONGEST / 2)
    async with (
        NuvoServer() as server,
        aiohttp.ClientSession(connector=connector) as session,
        NuvoClient(
            server.access_token,
            base_url=server.base_url,
            session=session,
            request_timeout=1.0,
            retry=RetryPolicy(max_attempts=8, base_delay=0.05, max_delay=0.5),
            poll=PollPolicy(min_interval=0.1, max_interval=1.0),
            max_body_size=1_000_000,
        ) as client,
    ):
        at_work = Soak(server, client, waits, seed)
        while time.monotonic() < end or len(rounds) <= _WARM_UP:
            rounds.append(await at_work.round())
            print(f"round {len(rounds)}: {rounds[-1]}", flush=True)
    return rounds


def main() -> None:
    """Soak, and tell what has grown or gone wrong."""
    parser = argparse.ArgumentParser(description="A long run, with random faults.")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long (2)")
    parser.add_argument("--waits", type=int, default=2000, help="at once, in each round (2000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"{options.waits:,} waits at once, seed {options.seed}")
    rounds = asyncio.run(soak(60 * options.minutes, options.waits, options.seed))
    if complaints := _complaints(rounds):
        sys.exit("\n".join(complaints))
    print(f"nothing has grown, and nothing ended otherwise than scripted, in {len(rounds)} rounds")


if __name__ == "__main__":
    main()

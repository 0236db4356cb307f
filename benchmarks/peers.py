"""The waiters of two admired SDKs beside this one, against the embedded server, in real time.

Usage: python -m benchmarks.peers [--short]

Each waits for the same executions: the poll loops are the libraries' own code, called on a small
adapter that reads an execution of nuvo where theirs would read a run or an action. They block, so
that each of their waits has a thread of its own.
"""

import argparse
import asyncio
import math
import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import requests.adapters
from attrs import define
from databricks.sdk.service.jobs import JobsAPI, RunLifeCycleState
from hcloud import Client as HetznerClient
from hcloud.actions.client import BoundAction
from hcloud.actions.domain import Action

from benchmarks.report import Table
from nuvo_async import NuvoClient
from nuvo_async.testing import NuvoServer

__all__ = ["table"]

_OURS = "nuvo_async, wait_for_completion"
_DATABRICKS = "databricks-sdk, wait_get_run_job_terminated_or_skipped"
_HCLOUD = "hcloud, BoundAction.wait_until_finished"


@define
class _Reader:
    """Read by ID, as the peers' adapters do it. `ended` is when the server says that it did."""

    session: requests.Session
    base_url: str
    execution_id: str
    ended: datetime | None = None

    def read(self) -> str:
        response = self.session.get(f"{self.base_url}execution/{self.execution_id}", timeout=30)
        response.raise_for_status()
        execution = response.json()["data"]
        self.ended = datetime.fromisoformat(execution["updated_at"])
        return cast("str", execution["status"])


def _wait_like_databricks(reader: _Reader) -> None:
    def get_run(run_id: object) -> Any:
        del run_id
        ended = reader.read() != "PROCESSING"
        state = RunLifeCycleState.TERMINATED if ended else RunLifeCycleState.RUNNING
        return SimpleNamespace(state=SimpleNamespace(life_cycle_state=state, state_message=""))

    jobs = SimpleNamespace(get_run=get_run)
    JobsAPI.wait_get_run_job_terminated_or_skipped(cast("JobsAPI", jobs), 1)


def _wait_like_hcloud(reader: _Reader) -> None:
    class _Action:
        _client = SimpleNamespace(_client=HetznerClient(token="none")._client)  # noqa: SLF001
        status = Action.STATUS_RUNNING

        def reload(self) -> None:
            if reader.read() != "PROCESSING":
                self.status = Action.STATUS_SUCCESS

    BoundAction.wait_until_finished(cast("BoundAction", _Action()))


def _lengths(runs: int, longest: float) -> list[float]:
    dice = random.Random(3)
    return [min(dice.lognormvariate(math.log(2), 1), longest) for _ in range(runs)]


async def _started(server: NuvoServer, lengths: list[float]) -> list[str]:
    """Start the executions, some milliseconds apart, and return their ids."""
    ids = []
    async with NuvoClient(server.access_token, base_url=server.base_url) as client:
        for number, length in enumerate(lengths):
            server.add_pipeline(f"pipeline-{number}", duration=length)
            ids += [one.id for one in await client.create_execution(f"pipeline-{number}")]
    server.requests.clear()
    return ids


def _late_by(ended: datetime) -> float:
    return time.time() - ended.timestamp()


async def _measure_ours(server: NuvoServer, ids: list[str]) -> list[float]:
    async with NuvoClient(server.access_token, base_url=server.base_url) as client:

        async def wait(execution_id: str) -> float:
            execution = await client.wait_for_completion(execution_id)
            assert execution.updated_at is not None
            return _late_by(execution.updated_at)

        return await asyncio.gather(*map(wait, ids))


async def _measure_peer(
    wait: Callable[[_Reader], None], server: NuvoServer, ids: list[str]
) -> list[float]:
    with requests.Session() as session, ThreadPoolExecutor(len(ids)) as pool:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=len(ids)))
        session.headers["Authorization"] = f"Bearer {server.access_token}"

        def follow(execution_id: str) -> float:
            reader = _Reader(session, server.base_url, execution_id)
            wait(reader)
            assert reader.ended is not None
            return _late_by(reader.ended)

        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(pool, follow, one) for one in ids))


async def _measure(name: str, lengths: list[float]) -> list[str]:
    async with NuvoServer() as server:
        ids = await _started(server, lengths)
        if name == _OURS:
            late = await _measure_ours(server, ids)
        elif name == _DATABRICKS:
            late = await _measure_peer(_wait_like_databricks, server, ids)
        else:
            late = await _measure_peer(_wait_like_hcloud, server, ids)
        per_run = len(server.requests) / len(ids)
    return [name, f"{per_run:.2f}", f"{statistics.mean(late):.2f}", f"{max(late):.2f}"]


def table(*, short: bool) -> Table:
    """Wait in each way for the same executions, one way after the other."""
    runs, longest = (10, 2.0) if short else (100, 20.0)
    lengths = _lengths(runs, longest)
    rows = [asyncio.run(_measure(name, lengths)) for name in (_OURS, _DATABRICKS, _HCLOUD)]
    note = (
        f"{runs} executions, of 2 s in the median and {longest:g} s at most, in real time against"
        " the embedded server; seconds from an end to its being noticed."
    )
    return Table(
        "Waiting, beside peers", note, ["waiter", "requests per run", "late by", "most"], rows
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="The waiters of other SDKs beside ours.")
    parser.add_argument("--short", action="store_true", help="10 executions of 2 s at most")
    options = parser.parse_args()
    print(table(short=options.short))


if __name__ == "__main__":
    main()

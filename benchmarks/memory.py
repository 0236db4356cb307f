"""What a wait takes in memory, with 10,000 of them: as Python counts it, and as the system does.

Usage: python -m benchmarks.memory [--short]

The server never ends an execution. A caller's own task, asleep, is measured the same way and
shown beside it. RSS is read as Linux tells it. Each figure comes from a process of its own, in
which nothing was freed before.
"""

import argparse
import asyncio
import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.report import Table
from benchmarks.simulation import Model, run
from nuvo_async import NuvoClient
from nuvo_async.waiting.poller import Poller

__all__ = ["table"]

_WAYS = ("task asleep", "task that waits")


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("the system does not tell")


async def _measure(way: str, waits: int, used: Callable[[], int]) -> float:
    model = Model([0.0] * waits, [1e6] * waits)
    client = NuvoClient("a-token")
    client._poller = Poller(model, 100)  # noqa: SLF001 - the model in the place of the network

    async def wait(execution_id: str) -> None:
        await client.wait_for_completion(execution_id)

    async def sleep(_: str) -> None:
        await asyncio.sleep(1e6)

    begin: Callable[[str], Awaitable[None]] = sleep if way == "task asleep" else wait
    gc.collect()
    before = used()
    tasks = [asyncio.ensure_future(begin(f"e{n}")) for n in range(waits)]
    await asyncio.sleep(30)
    gc.collect()
    taken = used() - before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()
    return taken / waits


def _traced() -> int:
    return tracemalloc.get_traced_memory()[0]


def _in_own_process(way: str, waits: int, by: str) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", "--one", way, by, str(waits)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def table(*, short: bool) -> Table:
    """Measure both in both ways."""
    waits = 1000 if short else 10_000
    ways = {way: [_in_own_process(way, waits, by) for by in ("traced", "rss")] for way in _WAYS}
    more = [ours - own for own, ours in zip(*ways.values(), strict=True)]
    rows = [
        [name, *(f"{value:,.0f}" for value in values)]
        for name, values in {**ways, "the wait alone": more}.items()
    ]
    return Table(
        "Memory",
        f"Bytes for each of {waits:,}, half a minute of simulated time after they began.",
        ["what", "tracemalloc", "RSS"],
        rows,
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What a wait takes in memory.")
    parser.add_argument("--short", action="store_true", help="1,000 waits")
    parser.add_argument("--one", nargs=3, metavar=("WAY", "BY", "WAITS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is None:
        print(table(short=options.short))
        return
    way, by, waits = options.one
    if by == "traced":
        tracemalloc.start()
    print(run(_measure(way, int(waits), _traced if by == "traced" else _resident)))


if __name__ == "__main__":
    main()

"""What many calls cost together: 10,000 triggers, and iterating over 10,000 executions.

Usage: python -m benchmarks.batches [--short]
"""

import argparse
import asyncio
import gc
import random
import statistics
from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from benchmarks.contenders import HEADERS, OURS, PAGE, REFERENCE, TOKEN, Cost, cost_of
from benchmarks.report import Table
from benchmarks.server import EXECUTIONS, execution_id, serving
from nuvo_async import NuvoClient

__all__ = ["table"]

_AT_ONCE = 100
Batch = Callable[[str, int], Awaitable[Cost]]


async def trigger_by_aiohttp(base_url: str, calls: int) -> Cost:
    """Gather over bare aiohttp, whose connector holds back what is too much at once."""
    connector = aiohttp.TCPConnector(limit=_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

        async def trigger(number: int) -> None:
            body = {"pipeline_id": execution_id(number)}
            async with session.post(f"{base_url}execution/", json=body) as response:
                response.raise_for_status()
                await response.json()

        return await _gathered(trigger, calls)


async def trigger_by_us(base_url: str, calls: int) -> Cost:
    """Gather over `create_execution`."""
    async with NuvoClient(TOKEN, base_url=base_url, max_concurrency=_AT_ONCE) as client:

        async def trigger(number: int) -> None:
            await client.create_execution(execution_id(number))

        return await _gathered(trigger, calls)


async def _gathered(trigger: Callable[[int], Awaitable[None]], calls: int) -> Cost:
    async def batch(calls: int) -> None:
        await asyncio.gather(*map(trigger, range(calls)))

    return await cost_of(calls, batch)


async def iterate_by_aiohttp(base_url: str, calls: int) -> Cost:
    """Page after page over bare aiohttp."""
    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def batch(calls: int) -> None:
            seen = 0
            while seen < calls:
                async with session.get(f"{base_url}execution/{PAGE}{seen}") as response:
                    response.raise_for_status()
                    seen += len((await response.json())["data"])

        return await cost_of(calls, batch)


async def iterate_by_us(base_url: str, calls: int) -> Cost:
    """`iter_executions`."""
    async with NuvoClient(TOKEN, base_url=base_url) as client:

        async def batch(calls: int) -> None:
            async for _ in client.iter_executions(max_items=calls):
                pass

        return await cost_of(calls, batch)


_PARTS: dict[str, tuple[Batch, Batch]] = {
    "trigger": (trigger_by_aiohttp, trigger_by_us),
    "iterate": (iterate_by_aiohttp, iterate_by_us),
}


def table(base_url: str, *, short: bool) -> Table:
    """Measure both, the contenders in turns."""
    calls, turns = (500, 1) if short else (EXECUTIONS, 5)
    rows: list[Sequence[str]] = []
    for name, batches in _PARTS.items():
        costs: dict[Batch, list[Cost]] = {batch: [] for batch in batches}
        for _ in range(turns):
            for batch in random.sample(batches, len(batches)):
                gc.collect()
                costs[batch].append(asyncio.run(_run(batch, base_url, calls)))
        reference, ours = (costs[batch] for batch in batches)
        for label, own in ((REFERENCE, reference), (OURS, ours)):
            pairs = list(zip(own, reference, strict=True))
            rows.append(
                [
                    f"{name} {calls:,}, {label}",
                    f"{statistics.median(one.cpu for one in own):.2f}",
                    f"{statistics.median(one.cpu / other.cpu for one, other in pairs):.2f}",
                    f"{statistics.median(one.wall for one in own):.2f}",
                    f"{statistics.median(one.wall / other.wall for one, other in pairs):.2f}",
                ]
            )
    note = (
        f"All triggers at once, {_AT_ONCE} of them in flight; pages of 100, one after another."
        f" Seconds, and multiples of `{REFERENCE}`; medians of {turns} turns."
    )
    return Table("Many calls", note, ["what", "CPU s", "ratio", "s", "ratio"], rows)


async def _run(batch: Batch, base_url: str, calls: int) -> Cost:
    return await batch(base_url, calls)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What many calls cost together.")
    parser.add_argument("--short", action="store_true", help="one turn, fewer calls")
    options = parser.parse_args()
    with serving() as server:
        print(table(server.base_url, short=options.short))


if __name__ == "__main__":
    main()

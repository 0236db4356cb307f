"""What it costs to wait for many executions, by this client's engine and by the usual ways.

Usage: python -m benchmarks.waits [--runs 100 1000 10000] [--picture]

All run on a simulated clock against a model of the API: the same executions, begun within a second,
log-normal lengths of 2 s in the median and 30 s at most, 30 ms for a request and its answer, pages
of 100. The engine is the real one. `--picture` draws the table into `benchmarks/waits.svg`, and
needs matplotlib (the `bench` extra).
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import repeat
from pathlib import Path

from attrs import frozen

from benchmarks.report import Table
from benchmarks.simulation import Model, durations, run
from nuvo_async import PollPolicy
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import WaitOptions

PICTURE = Path(__file__).with_name("waits.svg")
POLICY = PollPolicy()

Wait = Callable[[str], Awaitable[object]]
Strategy = Callable[[Model], Wait]


def engine(*, with_logs: bool) -> Strategy:
    """Wait by the engine of this client."""
    options = WaitOptions(policy=POLICY, with_logs=with_logs)

    def strategy(model: Model) -> Wait:
        poller = Poller(model, 100)
        return lambda execution_id: poller.wait(options.wait_for(execution_id))

    return strategy


def each(delays: Callable[[random.Random], Iterator[float]]) -> Strategy:
    """Wait for each by Read by ID, after such delays."""

    def strategy(model: Model) -> Wait:
        dice = random.Random(7)

        async def wait(execution_id: str) -> None:
            for delay in delays(dice):
                if (await model.read(execution_id)).is_finished:
                    return
                await asyncio.sleep(delay)

        return wait

    return strategy


def exponential(dice: random.Random) -> Iterator[float]:
    """Double from 0.2 s by 1.5, with full jitter, up to 30 s."""
    longest = 0.2
    while True:
        yield dice.uniform(0, longest)
        longest = min(longest * 1.5, 30.0)


def growing(_: random.Random) -> Iterator[float]:
    """As `PollPolicy` does it, but each for itself."""
    waited = 0.0
    while True:
        delay = POLICY.delay(waited)
        waited += delay
        yield delay


STRATEGIES = {
    "nuvo_async, with_logs=True": engine(with_logs=True),
    "nuvo_async, with_logs=False": engine(with_logs=False),
    "each every 1 s": each(lambda _: repeat(1.0)),
    "each every 5 s": each(lambda _: repeat(5.0)),
    "each, exponential, full jitter": each(exponential),
    "each, 20 % of the time waited": each(growing),
}


@frozen
class Result:
    """What a strategy cost for so many runs. Times are seconds."""

    strategy: str
    runs: int
    requests: float
    peak: int
    latency: float
    p95: float
    cpu: float


def measure(name: str, runs: int) -> Result:
    """Wait for so many runs in one way."""
    random.seed(3)  # The jitter of policies; so that each run can be repeated.
    dice = random.Random(5)
    begins = [dice.random() for _ in range(runs)]
    lengths = durations(runs)
    model = Model(begins, [b + d for b, d in zip(begins, lengths, strict=True)])
    late: list[float] = []

    async def follow(wait: Wait, index: int) -> None:
        await asyncio.sleep(begins[index] + model.latency)
        await wait(f"e{index}")
        late.append(asyncio.get_running_loop().time() - model.ends[index])

    async def main() -> None:
        wait = STRATEGIES[name](model)
        await asyncio.gather(*(follow(wait, index) for index in range(runs)))

    began = time.process_time()
    run(main())
    return Result(
        name,
        runs,
        requests=len(model.requests) / runs,
        peak=model.peak(),
        latency=statistics.mean(late),
        p95=statistics.quantiles(late, n=20)[-1],
        cpu=time.process_time() - began,
    )


def table(results: list[Result]) -> Table:
    """Show them, with the engine's figures as ratios to reading each by its id."""
    rows = [
        [
            result.strategy,
            f"{result.runs:,}",
            f"{result.requests:.3f}",
            f"{result.peak:,}",
            f"{result.latency:.2f}",
            f"{result.p95:.2f}",
            f"{result.cpu:.2f}",
        ]
        for result in results
    ]
    notes = ["On a simulated clock; latency in seconds; the processor's includes the model's."]
    by_name = {(result.runs, result.strategy): result for result in results}
    for runs in dict.fromkeys(result.runs for result in results):
        best = by_name[runs, "nuvo_async, with_logs=False"]
        usual = by_name[runs, "each every 1 s"]
        notes.append(
            f"{runs:,} runs: {usual.requests / best.requests:.0f} times fewer requests than one a"
            f" second each, {usual.peak / best.peak:.0f} times lower at the peak."
        )
    head = ["way", "runs", "requests per run", "peak per s", "latency", "p95", "CPU s"]
    return Table("Waiting for many", " ".join(notes), head, rows)


def draw(results: list[Result]) -> None:
    """Draw requests and latency of each way, side by side."""
    import matplotlib as mpl  # noqa: PLC0415 - of the extra `bench`
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "nuvo-async"  # The same picture for the same figures.
    mpl.rcParams["svg.fonttype"] = "none"
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
    counts = list(dict.fromkeys(result.runs for result in results))
    names = list(reversed(STRATEGIES))
    height = 0.8 / len(counts)
    measures = ("requests", "peak", "latency")
    titles = (
        "requests per run",
        "peak per second (log)",
        "noticed late by, s (mean)",
    )
    for axis, measure_, title in zip(axes, measures, titles, strict=True):
        for row, runs in enumerate(counts):
            values = {one.strategy: getattr(one, measure_) for one in results if one.runs == runs}
            places = [n + 0.4 - (row + 0.5) * height for n in range(len(names))]
            bars = axis.barh(
                places, [values[name] for name in names], height, label=f"{runs:,} runs"
            )
            axis.bar_label(bars, fmt=_short, padding=2, fontsize=7)
        axis.set_title(title, fontsize=10)
        axis.margins(x=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        if measure_ == "peak":
            axis.set_xscale("log")
    axes[0].set_yticks(range(len(names)), names, fontsize=9)
    axes[2].legend(fontsize=8, loc="lower right")
    figure.savefig(PICTURE, metadata={"Date": None})
    print(f"drawn into {PICTURE.name}")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def main() -> None:
    """Measure all ways with the same executions, and print them."""
    parser = argparse.ArgumentParser(description="What it costs to wait for many executions.")
    parser.add_argument("--runs", nargs="+", type=int, default=[100, 1000, 10_000])
    parser.add_argument("--picture", action="store_true", help=f"draw {PICTURE.name}")
    options = parser.parse_args()
    results = [measure(name, runs) for runs in options.runs for name in STRATEGIES]
    print(table(results))
    if options.picture:
        draw(results)


if __name__ == "__main__":
    main()

"""What it costs to wait for many executions, by this client's engine and by the usual ways.

Usage: python -m benchmarks.waits [--short] [--picture]

All wait for the same executions: log-normal lengths, cut at the longest, 30 ms for a request and
its answer, pages of 100. The engine is the real one, on a simulated clock, against a model of the
API. The other ways poll each execution for itself, so that their requests can be counted one
execution after the other. `--picture` draws the table into `benchmarks/waits.svg`, and needs
matplotlib (the `bench` extra).
"""

import argparse
import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
_FOREIGN_LENGTH = 60.0


@frozen
class Scenario:
    """The executions that are waited for. Times are seconds.

    They begin within `spread`. `others` executions begin each second in the same organization, and
    `ignores` names what the server does not heed: "filter" by ids, "sort".
    """

    runs: int
    median: float
    most: float
    spread: float
    others: int = 0
    ignores: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """What it is called in tables."""
        extra = f", {self.others} others a second" if self.others else ""
        lies = f", the server ignores {' and '.join(sorted(self.ignores))}" if self.ignores else ""
        return f"{self.runs:,} of {self.median:g} s (at most {self.most:,g}){extra}{lies}"

    def model(self) -> Model:
        """Make the API with these executions, and the others behind them."""
        dice = random.Random(5)
        begins = [dice.random() * self.spread for _ in range(self.runs)]
        lengths = durations(self.runs, median=self.median, most=self.most)
        ends = [begin + length for begin, length in zip(begins, lengths, strict=True)]
        foreign = int(self.others * max(ends)) if self.others else 0
        others = [number / self.others - _FOREIGN_LENGTH for number in range(foreign)]
        return Model(
            [*begins, *others],
            [*ends, *(begin + _FOREIGN_LENGTH for begin in others)],
            others=foreign,
            ignores=self.ignores,
        )


def short_runs(runs: int) -> Scenario:
    """So many executions of seconds, begun within a second."""
    return Scenario(runs, 2, 30, 1)


SHORT = [short_runs(100), short_runs(1000), short_runs(10_000)]
LONG = [
    Scenario(20, 60, 900, 10),
    Scenario(100, 60, 900, 10),
    Scenario(1000, 60, 900, 10),
    Scenario(100, 600, 7200, 10),
    Scenario(1000, 600, 7200, 10),
    Scenario(10_000, 600, 7200, 60),
    Scenario(20, 60, 900, 10, others=20),
    Scenario(1000, 60, 900, 10, others=20),
]
UNHELPFUL = [
    Scenario(1000, 60, 900, 10, ignores=frozenset({"filter"})),
    Scenario(1000, 60, 900, 10, ignores=frozenset({"sort"})),
    Scenario(1000, 60, 900, 10, ignores=frozenset({"filter", "sort"})),
]

Delays = Callable[[random.Random], Iterator[float]]


def exponential(dice: random.Random) -> Iterator[float]:
    """Grow from 0.2 s by half, with full jitter, up to 30 s."""
    longest = 0.2
    while True:
        yield dice.uniform(0, longest)
        longest = min(longest * 1.5, 30.0)


def growing(dice: random.Random) -> Iterator[float]:
    """As `PollPolicy` does it, but each for itself."""
    waited = 0.0
    while True:
        delay = POLICY.delay(waited, dice.random())
        waited += delay
        yield delay


ENGINE = {"nuvo_async, with_logs=True": True, "nuvo_async, with_logs=False": False}
EACH: dict[str, Delays] = {
    "each every 1 s": lambda _: repeat(1.0),
    "each every 5 s": lambda _: repeat(5.0),
    "each every 30 s": lambda _: repeat(30.0),
    "each, exponential, full jitter": exponential,
    "each, 20 % of the time waited": growing,
}
STRATEGIES = [*ENGINE, *EACH]


@frozen
class Result:
    """What a strategy cost for so many runs. Times are seconds."""

    strategy: str
    scenario: Scenario
    requests: float
    peak: int
    latency: float
    p95: float
    cpu: float


def measure(strategy: str, scenario: Scenario) -> Result:
    """Wait for the runs of a scenario in one way."""
    random.seed(3)  # The jitter of policies, so that each run can be repeated.
    began = time.process_time()
    model = scenario.model()
    if strategy in ENGINE:
        late = _wait_together(model, scenario.runs, with_logs=ENGINE[strategy])
        requests, peak = len(model.requests), model.peak()
    else:
        late, requests, peak = _wait_for_each(model, scenario.runs, EACH[strategy])
    return Result(
        strategy,
        scenario,
        requests=requests / scenario.runs,
        peak=peak,
        latency=statistics.mean(late),
        p95=statistics.quantiles(late, n=20)[-1],
        cpu=time.process_time() - began,
    )


def _wait_together(model: Model, runs: int, *, with_logs: bool) -> list[float]:
    options = WaitOptions(policy=POLICY, with_logs=with_logs)
    late: list[float] = []

    async def follow(poller: Poller, index: int) -> None:
        await asyncio.sleep(model.begins[index] + model.latency)
        await poller.wait(options.wait_for(f"e{index}"))
        late.append(asyncio.get_running_loop().time() - model.ends[index])

    async def main() -> None:
        poller = Poller(model, 100)
        await asyncio.gather(*(follow(poller, index) for index in range(runs)))

    run(main())
    return late


def _wait_for_each(model: Model, runs: int, delays: Delays) -> tuple[list[float], int, int]:
    dice = random.Random(7)
    late: list[float] = []
    seconds: Counter[int] = Counter()
    for begin, end in zip(model.begins[:runs], model.ends[:runs], strict=True):
        now = begin + model.latency
        for delay in delays(dice):
            seconds[int(now)] += 1
            is_over = now + model.latency / 2 >= end
            now += model.latency
            if is_over:
                break
            now += delay
        late.append(now - end)
    return late, seconds.total(), max(seconds.values())


def table(results: list[Result]) -> Table:
    """Show them."""
    rows = [
        [
            result.strategy,
            result.scenario.name,
            f"{result.requests:.3f}",
            f"{result.peak:,}",
            f"{result.latency:.2f}",
            f"{result.p95:.2f}",
            f"{result.cpu:.2f}",
        ]
        for result in results
    ]
    note = (
        "On a simulated clock. Delay is from the end of a run to when it is noticed, in seconds;"
        " the processor's seconds include the model's."
    )
    head = ["way", "runs", "requests per run", "peak per s", "delay", "p95", "CPU s"]
    return Table("Waiting for many", note, head, rows)


def draw(results: list[Result]) -> None:
    """Draw requests, peaks and delays of each way side by side, for short and for long runs."""
    import matplotlib as mpl  # noqa: PLC0415 - of the extra `bench`
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "nuvo-async"  # The same picture for the same figures.
    mpl.rcParams["svg.fonttype"] = "none"
    measures = ("requests", "peak", "latency")
    titles = ("requests per run (log)", "peak per second (log)", "mean delay, s (log)")
    figure, grid = plt.subplots(2, 3, figsize=(12, 7), sharey=True, layout="constrained")
    groups = [SHORT, [LONG[3], LONG[4], LONG[5]]]
    for axes, scenarios in zip(grid, groups, strict=True):
        names = list(reversed(STRATEGIES))
        height = 0.8 / len(scenarios)
        for axis, measure_, title in zip(axes, measures, titles, strict=True):
            for row, scenario in enumerate(scenarios):
                values = {
                    one.strategy: getattr(one, measure_)
                    for one in results
                    if one.scenario == scenario
                }
                places = [n + 0.4 - (row + 0.5) * height for n in range(len(names))]
                label = f"{scenario.runs:,} runs"
                bars = axis.barh(places, [values[name] for name in names], height, label=label)
                axis.bar_label(bars, fmt=_short, padding=2, fontsize=7)
            lengths = "2 s runs" if scenarios is SHORT else "10 min runs"
            axis.set_title(f"{lengths}: {title}", fontsize=10)
            axis.margins(x=0.25)
            axis.set_xscale("log")
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].set_yticks(range(len(names)), names, fontsize=9)
    grid[0][2].legend(fontsize=8, loc="upper right")
    figure.savefig(PICTURE, metadata={"Date": None})
    print(f"drawn into {PICTURE.name}")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def measured(*, short: bool) -> list[Result]:
    """Measure every way: all of them, or so many as show that they run."""
    if short:
        return [measure(name, SHORT[0]) for name in STRATEGIES]
    results = [measure(name, scenario) for scenario in [*SHORT, *LONG] for name in STRATEGIES]
    ways = ["nuvo_async, with_logs=False", "each, 20 % of the time waited"]
    return [*results, *(measure(name, scenario) for scenario in UNHELPFUL for name in ways)]


def main() -> None:
    """Measure all ways with the same executions, and print them."""
    parser = argparse.ArgumentParser(description="What it costs to wait for many executions.")
    parser.add_argument("--short", action="store_true", help="to see that it runs")
    parser.add_argument("--picture", action="store_true", help=f"draw {PICTURE.name}")
    options = parser.parse_args()
    results = measured(short=options.short)
    print(table(results))
    if options.picture:
        draw(results)


if __name__ == "__main__":
    main()

"""What one call costs: Read by ID, Create, and a page of Read all, with many in flight.

Usage: python -m benchmarks.calls [--short]

The contenders take turns, in another order each time, against one server in a process of its own.
The figure is processor time of the client's process, divided by that of aiohttp with `json()` in
the same turn; the medians of all turns are shown, and beside them the share of it that went to the
garbage collector, which runs as in anybody's program, and the calls per second.
"""

import argparse
import random
import statistics
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from benchmarks.contenders import CONTENDERS, OURS, REFERENCE, Call, Cost
from benchmarks.report import Table
from benchmarks.server import Server, serving

__all__ = ["Comparison", "compare", "draw", "tables"]

PICTURE = Path(__file__).with_name("calls.svg")
_TITLES: dict[Call, str] = {
    "read": "Read by ID",
    "create": "Create",
    "page": "A page of 100 executions",
}
_CALLS: dict[Call, int] = {"read": 1500, "create": 1500, "page": 300}
_CALLS_IN_FLIGHT = 10
# What costs ten times as much is measured as well with fewer calls.
_SLOW = {"httpx", "requests, in threads"}


@define
class Comparison:
    """All turns of one call, with so many in flight. `busy` is the server's share of a core."""

    call: Call
    in_flight: int
    turns: list[dict[str, Cost]] = field(factory=list)
    busy: list[float] = field(factory=list)

    def micros(self, name: str) -> float:
        """Return the processor time of a call, in microseconds."""
        return statistics.median(1e6 * turn[name].cpu / turn[name].calls for turn in self.turns)

    def ratio(self, name: str, to: str = REFERENCE) -> float:
        """Return the processor time of a call, as a multiple of another contender's."""
        return statistics.median(
            (turn[name].cpu / turn[name].calls) / (turn[to].cpu / turn[to].calls)
            for turn in self.turns
        )

    def collecting(self, name: str) -> float:
        """Return the share of the processor time that the garbage collector took."""
        return statistics.median(turn[name].collecting / turn[name].cpu for turn in self.turns)

    def throughput(self, name: str) -> float:
        """Return the calls per second."""
        return statistics.median(turn[name].calls / turn[name].wall for turn in self.turns)


def compare(server: Server, call: Call, in_flight: int, *, turns: int, share: float) -> Comparison:
    """Let all contenders make a call, in turns; `share` is that of the usual number of calls."""
    comparison = Comparison(call, in_flight)
    names = list(CONTENDERS)
    for _ in range(turns):
        random.shuffle(names)
        turn = {}
        for name in names:
            # In a shorter window, one full run of the garbage collector would decide.
            usual = max(_CALLS[call], _CALLS_IN_FLIGHT * in_flight) * share
            calls = max(20, int(usual / 10 if name in _SLOW else usual))
            busy = server.cpu()
            turn[name] = CONTENDERS[name](server.base_url).run(call, calls, in_flight)
            comparison.busy.append((server.cpu() - busy) / turn[name].wall)
        comparison.turns.append(turn)
    return comparison


def tables(server: Server, *, short: bool) -> Iterator[tuple[Table, list[Comparison]]]:
    """Measure each call at each number in flight."""
    turns, share = (1, 0.1) if short else (5, 1.0)
    levels = (1, 100) if short else (1, 10, 100, 1000)
    for call, title in _TITLES.items():
        compared = [compare(server, call, n, turns=turns, share=share) for n in levels]
        rows = [
            [
                name,
                *(f"{one.micros(name):.0f}" for one in compared),
                *(f"{one.ratio(name):.2f}" for one in compared),
                *(f"{one.collecting(name):.0%}" for one in compared),
                *(f"{one.throughput(name):,.0f}" for one in compared),
            ]
            for name in CONTENDERS
        ]
        busy = max(statistics.median(one.busy) for one in compared)
        note = (
            f"Processor time of the client per call, in µs, and as a multiple of `{REFERENCE}`;"
            f" the garbage collector's share of it; calls per second. Medians of {turns} turns;"
            f" the server used {busy:.0%} of a core."
        )
        head = [
            "client; in flight",
            *(f"µs, {one.in_flight:,}" for one in compared),
            *(f"ratio, {one.in_flight:,}" for one in compared),
            *(f"gc, {one.in_flight:,}" for one in compared),
            *(f"per s, {one.in_flight:,}" for one in compared),
        ]
        yield Table(title, note, head, rows), compared


def draw(compared: dict[str, list[Comparison]], in_flight: int = 100) -> None:
    """Draw the processor time of each call by each contender, with so many in flight."""
    import matplotlib as mpl  # noqa: PLC0415 - it takes long to import
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "nuvo-async"  # The same picture for the same figures.
    mpl.rcParams["svg.fonttype"] = "none"
    figure, axes = plt.subplots(
        1, len(compared), figsize=(12, 2.6), sharey=True, layout="constrained"
    )
    names = list(reversed(CONTENDERS))
    for axis, (title, comparisons) in zip(axes, compared.items(), strict=True):
        comparison = next(one for one in comparisons if one.in_flight == in_flight)
        colors = ["C1" if name == OURS else "C0" for name in names]
        ratios = [comparison.ratio(name) for name in names]
        bars = axis.barh(names, ratios, color=colors)
        axis.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
        axis.set_title(f"{title}, {in_flight} in flight", fontsize=10)
        axis.margins(x=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_xlabel(f"processor time of the client, as a multiple of {REFERENCE}", fontsize=9)
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What one call costs.")
    parser.add_argument("--short", action="store_true", help="one turn, fewer calls")
    options = parser.parse_args()
    with serving() as server:
        for table, _ in tables(server, short=options.short):
            print(table)


if __name__ == "__main__":
    main()

"""Everything that is measured, one part after the other.

Usage: python -m benchmarks [--short] [--keep]

It takes some minutes, and wants the machine for itself. `--keep` writes the tables into
`benchmarks/RESULTS.md` and draws the pictures beside it; `--short` only shows that all of it runs.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks import batches, calls, import_time, memory, peers, waits
from benchmarks.report import Table, header
from benchmarks.server import serving

_RESULTS = Path(__file__).with_name("RESULTS.md")


def measured(*, short: bool, keep: bool) -> Iterator[Table]:
    """Measure each part, and draw what is to be kept."""
    compared: dict[str, list[calls.Comparison]] = {}
    with serving() as server:
        for table, comparisons in calls.tables(server, short=short):
            yield table
            compared[table.title] = comparisons
        yield batches.table(server.base_url, short=short)
    yield memory.table(short=short)
    yield import_time.table(short=short)
    yield peers.table(short=short)
    results = waits.measured(short=short)
    yield waits.table(results)
    if keep:
        calls.draw(compared)
        waits.draw(results)


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description="All benchmarks.")
    parser.add_argument("--short", action="store_true", help="to see that they run")
    parser.add_argument("--keep", action="store_true", help="write RESULTS.md and the pictures")
    options = parser.parse_args()
    parts = [f"# What was measured, and with what\n\n{header()}"]
    print(parts[0])
    for table in measured(short=options.short, keep=options.keep):
        parts.append(str(table))
        print(table, flush=True)
    if options.keep:
        _RESULTS.write_text("\n".join(parts))


if __name__ == "__main__":
    main()

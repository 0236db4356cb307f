"""What importing `NuvoClient` costs on top of `import aiohttp`, in new processes, in turns.

Usage: python -m benchmarks.import_time [--short]
"""

import argparse
import os
import statistics
import subprocess
import sys

from benchmarks.report import Table

__all__ = ["table"]

_KEEPS_NONE = "PYTHONDONTWRITEBYTECODE"
AIOHTTP = "import aiohttp"
OURS = "from nuvo_async import NuvoClient"
STATEMENTS = (AIOHTTP, OURS, "import nuvo_async")
CODE = """
import time
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""


def measure(statement: str) -> float:
    """Import in a new process, and return the milliseconds that it took."""
    code = CODE.format(statement=statement)
    # Compiled files must be kept, as they are for a user: compiling is no part of importing.
    environ = {name: value for name, value in os.environ.items() if name != _KEEPS_NONE}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environ
    )
    return 1000 * float(done.stdout)


def table(*, short: bool) -> Table:
    """Measure both in turns: the medians."""
    turns = 3 if short else 21
    for statement in STATEMENTS:
        measure(statement)  # To have it compiled, and in the file cache.
    rounds = [{statement: measure(statement) for statement in STATEMENTS} for _ in range(turns)]
    extra = statistics.median(one[OURS] - one[AIOHTTP] for one in rounds)
    rows = [
        [
            statement,
            f"{statistics.median(one[statement] for one in rounds):.1f}",
            f"{statistics.median(one[statement] / one[AIOHTTP] for one in rounds):.2f}",
        ]
        for statement in STATEMENTS
    ]
    note = (
        f"Milliseconds, in processes of their own, in turns; medians of {turns}."
        f" The client takes {extra:.1f} ms over aiohttp; without it, the package leaves that out."
    )
    return Table("Import", note, ["what", "ms", "ratio"], rows)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What importing the package costs.")
    parser.add_argument("--short", action="store_true", help="3 turns")
    print(table(short=parser.parse_args().short))


if __name__ == "__main__":
    main()

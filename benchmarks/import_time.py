"""What `import nuvo_async` costs on top of `import aiohttp`, in processes of their own, in turns.

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
MODULES = ("aiohttp", "nuvo_async")
CODE = """
import time
started = time.perf_counter()
import {module}
print(time.perf_counter() - started)
"""


def measure(module: str) -> float:
    """Import a module in a new process, and return the milliseconds that it took."""
    code = CODE.format(module=module)
    # Compiled files must be kept, as they are for a user: compiling is no part of importing.
    environ = {name: value for name, value in os.environ.items() if name != _KEEPS_NONE}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environ
    )
    return 1000 * float(done.stdout)


def table(*, short: bool) -> Table:
    """Measure both in turns: the medians."""
    turns = 3 if short else 21
    for module in MODULES:
        measure(module)  # To have it compiled, and in the file cache.
    rounds = [{module: measure(module) for module in MODULES} for _ in range(turns)]
    extra = statistics.median(one["nuvo_async"] - one["aiohttp"] for one in rounds)
    rows = [
        [
            f"import {module}",
            f"{statistics.median(one[module] for one in rounds):.1f}",
            f"{statistics.median(one[module] / one['aiohttp'] for one in rounds):.2f}",
        ]
        for module in MODULES
    ]
    note = (
        f"Milliseconds, in processes of their own, in turns; medians of {turns}."
        f" nuvo_async takes {extra:.1f} ms over aiohttp."
    )
    return Table("Import", note, ["what", "ms", "ratio"], rows)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What importing the package costs.")
    parser.add_argument("--short", action="store_true", help="3 turns")
    print(table(short=parser.parse_args().short))


if __name__ == "__main__":
    main()

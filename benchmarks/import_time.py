"""What `import nuvo_async` costs on top of `import aiohttp`, in processes of their own, in turns.

Usage: python benchmarks/import_time.py [REPETITIONS]
"""

import os
import statistics
import subprocess
import sys

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


def main() -> None:
    """Measure both in turns, and print the medians and what lies between them."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    for module in MODULES:
        measure(module)  # To have it compiled, and in the file cache.
    rounds = [{module: measure(module) for module in MODULES} for _ in range(repetitions)]
    print(f"Python {sys.version.split()[0]}, medians of {repetitions} imports in turns")
    for module in MODULES:
        print(f"  import {module:<11} {statistics.median(one[module] for one in rounds):7.1f} ms")
    extra = statistics.median(one["nuvo_async"] - one["aiohttp"] for one in rounds)
    ratio = statistics.median(one["nuvo_async"] / one["aiohttp"] for one in rounds)
    print(f"  nuvo_async over aiohttp: {extra:.1f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()

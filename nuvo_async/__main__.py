"""The command `nuvo-async`, also `python -m nuvo_async`."""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command, or say which extra it needs."""
    if missing := [name for name in ("click", "rich") if find_spec(name) is None]:
        print(  # noqa: T201 - rich may be what is missing
            f"nuvo-async needs {' and '.join(missing)}: pip install 'nuvo-async[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    from nuvo_async.cli import command  # noqa: PLC0415 - not before it is known to be installed

    command(prog_name="nuvo-async")


if __name__ == "__main__":
    main()

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
    # Not before they are known to be installed.
    import click  # noqa: PLC0415

    from nuvo_async.cli.commands import command  # noqa: PLC0415

    try:
        # Or else click would end with 1 where it is interrupted, as if an execution had failed.
        sys.exit(command.main(prog_name="nuvo-async", standalone_mode=False))
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)


if __name__ == "__main__":
    main()

"""The command `nuvo-async`, also `python -m nuvo_async`."""

import os
import sys
import traceback
from contextlib import suppress
from importlib.util import find_spec

_USAGE, _TROUBLE, _BUG, _INTERRUPTED = 2, 3, 70, 130


def main() -> None:
    """Run the command, or say which extra it needs."""
    try:
        code = _run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except OSError as error:
        with suppress(OSError):  # There may be no place to tell it.
            print(f"nuvo-async: {error}", file=sys.stderr)  # noqa: T201
        # Python flushes stdout again when it exits. A second failure would change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = _TROUBLE
    except Exception:  # noqa: BLE001 - 1 would tell that an execution has failed
        traceback.print_exc()
        code = _BUG
    sys.exit(code)


def _run() -> int:
    if missing := [name for name in ("click", "rich") if find_spec(name) is None]:
        print(  # noqa: T201 - rich may be what is missing
            f"nuvo-async needs {' and '.join(missing)}: pip install 'nuvo-async[cli]'",
            file=sys.stderr,
        )
        return _USAGE
    # Not before they are known to be installed.
    import click  # noqa: PLC0415

    from nuvo_async.cli.commands import command  # noqa: PLC0415

    try:
        # Or else click would end with 1 where it is interrupted, as if an execution had failed.
        return int(command.main(prog_name="nuvo-async", standalone_mode=False) or 0)
    except click.Abort:
        return _INTERRUPTED
    except click.ClickException as error:
        error.show()
        return _USAGE


if __name__ == "__main__":
    main()

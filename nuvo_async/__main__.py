"""The command `nuvo-async`, also `python -m nuvo_async`."""

import errno
import sys
import traceback
from importlib.util import find_spec

from nuvo_async.cli import streams

_USAGE, _TROUBLE, _BUG, _INTERRUPTED, _BROKEN_PIPE = 2, 3, 70, 130, 141


def main() -> None:
    """Run the command, or name the extra that it needs."""
    streams.prepare()
    try:
        code = _run()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except OSError as error:
        code = _trouble(error)
    except Exception:  # noqa: BLE001 - exit code 1 would mean that an execution failed
        traceback.print_exc()
        code = _BUG
    sys.stdout.flush()
    sys.stderr.flush()
    if code == 0 and (failure := streams.failure_of(sys.stdout)):
        code = _BROKEN_PIPE if failure.errno == errno.EPIPE else _trouble(failure)
    sys.exit(code)


def _trouble(error: OSError) -> int:
    print(f"nuvo-async: {error.strerror or error}", file=sys.stderr)  # noqa: T201
    return _TROUBLE


def _run() -> int:
    if missing := [name for name in ("click", "rich") if find_spec(name) is None]:
        print(  # noqa: T201 - rich may be what is missing
            f"nuvo-async needs {' and '.join(missing)}: pip install 'nuvo-async[cli]'",
            file=sys.stderr,
        )
        return _USAGE
    # These are imported only after the check that they are installed.
    import click  # noqa: PLC0415

    from nuvo_async.cli.commands import command  # noqa: PLC0415

    try:
        # Otherwise, click would exit with 1 if interrupted, as if an execution had failed.
        return int(command.main(prog_name="nuvo-async", standalone_mode=False) or 0)
    except click.Abort:
        return _INTERRUPTED
    except click.ClickException as error:
        # By default, click writes UTF-8 even if the encoding is ASCII.
        error.show(file=sys.stderr)
        return _USAGE


if __name__ == "__main__":
    main()

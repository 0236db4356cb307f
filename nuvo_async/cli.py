"""The command line: what it takes, and the exit codes it ends with."""

import asyncio
import sys

import click

from nuvo_async.demo import run_demo
from nuvo_async.version import __version__

__all__ = ["command"]

_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nuvo-async")
def command() -> None:
    """Run nuvo (now Ingestro) data pipelines from the shell."""


@command.command()
def demo() -> None:
    """Show pipelines being triggered, awaited and explained.

    It needs no account: a server of the Execution API runs inside the command. Exit code 0 when
    everything ended as scripted, 1 otherwise.
    """
    try:
        as_scripted = asyncio.run(run_demo())
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    sys.exit(0 if as_scripted else 1)

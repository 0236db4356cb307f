"""What the commands do, once their arguments are read."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, TextIO

import click

from nuvo_async.batches.groups import together
from nuvo_async.cli.display import Display
from nuvo_async.cli.report import list_execution, report_executions
from nuvo_async.client import NuvoClient
from nuvo_async.models.errors import ConfigurationError, NuvoError
from nuvo_async.models.executions import Execution, PipelineRun
from nuvo_async.waiting.policy import PollPolicy

__all__ = ["follow", "get", "list_all", "run", "show_runs", "trigger", "wait"]

_FAILED, _USAGE, _TROUBLE, _TIMED_OUT = 1, 2, 3, 4
_INTERRUPTED = 128  # And the number of the signal, as a shell tells of it.
_BROKEN_PIPE = 141  # Likewise, where there are signals.
_SIGNALS = () if sys.platform == "win32" else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PAGE_SIZE = 100
# Ids that are given by hand have existed for a while; long enough for those of a trigger just now.
_GRACE = 3.0


def follow(display: Display, work: Coroutine[Any, Any, int | None], *, goes_on: bool = True) -> int:
    """Do the work of a command, and return the exit code that tells how it went.

    `goes_on` tells that executions do, when the command is ended, and are to be named.
    """
    if display.output.verbose:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
        logging.getLogger("nuvo_async").setLevel(logging.DEBUG)
    return asyncio.run(_followed(display, work, goes_on=goes_on))


async def _followed(
    display: Display, work: Coroutine[Any, Any, int | None], *, goes_on: bool
) -> int:
    working = asyncio.create_task(work)
    with _cancelled_by_signals(working) as signals:
        await asyncio.wait([working])
        code = _INTERRUPTED + signals[0] if signals else _TROUBLE
        try:
            done = working.result()
            return _exit_code(display) if done is None else done
        except asyncio.CancelledError:
            if goes_on:
                display.name_unstarted()
        except BrokenPipeError:
            _give_up(sys.stdout)
            return _BROKEN_PIPE
        except NuvoError as error:
            display.complain(error)
            code = _USAGE if isinstance(error, ConfigurationError) else _TROUBLE
        except OSError as error:
            display.complain(error.strerror or error)
            _give_up(sys.stdout)
        if goes_on:
            display.name_unfinished()
        return code


def _give_up(stream: TextIO) -> None:
    """Write to nowhere: Python flushes once more when it ends, and would tell of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _cancelled_by_signals(working: asyncio.Task[Any]) -> Iterator[list[int]]:
    """Have the first signal to end cancel the work; those after it must not cut anything off."""
    noted: list[int] = []
    loop = asyncio.get_running_loop()

    def note(number: int) -> None:
        if not noted:
            working.cancel()
        noted.append(number)

    if sys.platform == "win32":  # asyncio has no handlers of signals there.
        signal.signal(signal.SIGINT, lambda number, _: loop.call_soon_threadsafe(note, number))
        yield noted
        return
    # What is to be ignored stays so, as `nohup` and shells have it.
    numbers = [one for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    for number in numbers:
        loop.add_signal_handler(number, note, number)
    try:
        yield noted
    finally:
        if noted:  # All is told, and the exit code is decided: none of them gets through any more.
            signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        for number in numbers:
            loop.remove_signal_handler(number)
            if noted:
                signal.signal(number, signal.SIG_IGN)
        if noted:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _exit_code(display: Display) -> int:
    if display.troubled:
        return _TROUBLE
    if display.timed_out:
        return _TIMED_OUT
    return _FAILED if display.failed else 0


async def trigger(
    display: Display, environ: Mapping[str, str], pipeline_ids: Sequence[str]
) -> None:
    """Create, for each pipeline."""

    async def create(pipeline_id: str) -> None:
        try:
            executions = await client.create_execution(pipeline_id)
        except NuvoError as error:
            display.end_run(PipelineRun(pipeline_id, error=error))
            return
        display.start(pipeline_id, executions)
        if display.output.json:
            for one in executions:
                display.print_json(one)

    async with NuvoClient.from_env(environ) as client:
        await together(map(create, pipeline_ids))


async def get(display: Display, environ: Mapping[str, str], execution_ids: Sequence[str]) -> None:
    """Read by ID, and show each in the order given."""

    async def read(execution_id: str) -> None:
        try:
            found[execution_id] = await client.get_execution(execution_id)
        except NuvoError as error:
            missing[execution_id] = error

    found: dict[str, Execution] = {}
    missing: dict[str, NuvoError] = {}
    async with NuvoClient.from_env(environ) as client:
        await together(map(read, execution_ids))
    report_executions(display, [found[one] for one in execution_ids if one in found])
    for one in execution_ids:
        if one in missing:
            display.troubled = True
            display.complain(f"execution {one}: {missing[one]}")


async def list_all(
    display: Display, environ: Mapping[str, str], limit: int, query: Mapping[str, Any]
) -> None:
    """Read all, and show them as they come."""
    async with NuvoClient.from_env(environ) as client:
        try:
            executions = client.iter_executions(
                **query, page_size=min(limit, _PAGE_SIZE), max_items=limit
            )
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        count = 0
        async for execution in executions:
            count += 1
            list_execution(display, execution)
    if not count and display.is_for_people:
        click.echo("no executions", err=True)


async def wait(
    display: Display,
    environ: Mapping[str, str],
    execution_ids: Sequence[str],
    timeout: float | None,
) -> None:
    """Wait for executions; trouble with one of them ends no other wait."""

    async def follow_one(execution_id: str) -> None:
        try:
            ended = await client.wait_for_completion(
                execution_id,
                raise_on_failure=False,
                timeout=timeout,
                poll=PollPolicy(not_found_grace=_GRACE),
                on_poll=display.see,
            )
        except NuvoError as error:
            display.fail(execution_id, error)
        else:
            display.end(ended)

    display.expect(execution_ids)
    async with NuvoClient.from_env(environ) as client, display.live():
        await together(map(follow_one, execution_ids))
    display.summarize()
    display.name_unfinished()


async def run(
    display: Display,
    environ: Mapping[str, str],
    pipeline_ids: Sequence[str],
    options: Mapping[str, Any],
) -> None:
    """Run pipelines by `run_pipelines`, whose `options` these are."""
    async with NuvoClient.from_env(environ) as client, display.live():
        await show_runs(display, client, pipeline_ids, **options)
    display.summarize()
    display.name_unfinished()


async def show_runs(
    display: Display, client: NuvoClient, pipeline_ids: Sequence[str], **options: Any
) -> None:
    """Run pipelines, and show what becomes of each."""
    runs = client.run_pipelines(
        pipeline_ids, on_start=display.start, on_poll=display.see, **options
    )
    async with aclosing(runs):
        async for one in runs:
            display.end_run(one)

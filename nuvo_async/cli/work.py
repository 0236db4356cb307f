"""What the commands do, once their arguments are read."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from nuvo_async.cli.display import Display
from nuvo_async.cli.report import list_execution, report_executions
from nuvo_async.client import NuvoClient
from nuvo_async.errors import ConfigurationError, JournalError, NuvoError
from nuvo_async.executions import Execution, PipelineRun

__all__ = ["follow", "get", "list_all", "run", "show_runs", "trigger", "wait"]

_FAILED, _USAGE, _TROUBLE, _TIMED_OUT, _INTERRUPTED = 1, 2, 3, 4, 130
_PAGE_SIZE = 100
_BROKEN_PIPE = 141  # As a shell tells of SIGPIPE.


def follow(display: Display, work: Coroutine[Any, Any, int | None]) -> int:
    """Do the work of a command, and return the exit code that tells how it went."""
    if display.output.verbose:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
        logging.getLogger("nuvo_async").setLevel(logging.DEBUG)
    try:
        code = asyncio.run(work)
    except KeyboardInterrupt:
        display.name_unstarted()
        display.name_unfinished()
        return _INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more when it ends, and would tell of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except (ConfigurationError, JournalError) as error:
        display.complain(error)
        display.name_unfinished()
        return _USAGE
    except NuvoError as error:
        display.complain(error)
        display.name_unfinished()
        return _TROUBLE
    return _exit_code(display) if code is None else code


def _exit_code(display: Display) -> int:
    if display.troubled:
        return _TROUBLE
    if display.timed_out:
        return _TIMED_OUT
    return _FAILED if display.failed else 0


async def _each(ids: Sequence[str], work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    """Do the same for all ids at once."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in ids:
                group.create_task(work(one))
    except ExceptionGroup as mistakes:
        mistake = mistakes.exceptions[0]
    else:
        return
    raise mistake


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
        await _each(pipeline_ids, create)


async def get(display: Display, environ: Mapping[str, str], execution_ids: Sequence[str]) -> None:
    """Read by ID, and show each in the order given."""

    async def read(execution_id: str) -> None:
        try:
            found[execution_id] = await client.get_execution(execution_id)
        except NuvoError as error:
            display.troubled = True
            display.complain(f"execution {execution_id}: {error}")

    found: dict[str, Execution] = {}
    async with NuvoClient.from_env(environ) as client:
        await _each(execution_ids, read)
    report_executions(display, [found[one] for one in execution_ids if one in found])


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
        async for execution in executions:
            list_execution(display, execution)


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
                execution_id, raise_on_failure=False, timeout=timeout, on_poll=display.see
            )
        except NuvoError as error:
            display.fail(execution_id, error)
        else:
            display.end(ended)

    display.expect(execution_ids)
    async with NuvoClient.from_env(environ) as client, display.live():
        await _each(execution_ids, follow_one)
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

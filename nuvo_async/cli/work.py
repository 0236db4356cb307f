"""The work of the commands, after their arguments were parsed."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from nuvo_async.batches import together
from nuvo_async.cli.display import Display
from nuvo_async.cli.report import list_execution, report_executions
from nuvo_async.cli.session import Access, open_client
from nuvo_async.cli.tasks import beside
from nuvo_async.client import NuvoClient
from nuvo_async.models import ConfigurationError, Execution, NuvoError, PipelineRun
from nuvo_async.waiting import PollPolicy

__all__ = ["get", "list_all", "run", "show_runs", "trigger", "wait"]

_PAGE_SIZE = 100
# Ids that users enter belong to executions that have existed for a while. This time is also long
# enough for executions that were triggered just now.
_GRACE = 3.0


@asynccontextmanager
async def _connected(display: Display, access: Access) -> AsyncIterator[NuvoClient]:
    """Open a client, and report outages while it is open."""
    async with (
        open_client(access, display.creates, display.contact) as client,
        beside(display.contact.report(display.complain)),
    ):
        yield client


async def trigger(display: Display, access: Access, pipeline_ids: Sequence[str]) -> None:
    """Create for each pipeline."""

    async def create(pipeline_id: str) -> None:
        try:
            executions = await client.create_execution(pipeline_id)
        except NuvoError as error:
            display.end_run(PipelineRun(pipeline_id, error=error))
            return
        display.start(pipeline_id, executions)
        for one in executions:
            display.write_json(one)

    display.batch.expect_runs(pipeline_ids)
    async with _connected(display, access) as client:
        await together(map(create, pipeline_ids))


async def get(display: Display, access: Access, execution_ids: Sequence[str]) -> None:
    """Read by ID, and show the executions in the order given."""

    async def read(execution_id: str) -> None:
        try:
            found[execution_id] = await client.get_execution(execution_id)
        except NuvoError as error:
            missing[execution_id] = error

    found: dict[str, Execution] = {}
    missing: dict[str, NuvoError] = {}
    async with _connected(display, access) as client:
        await together(map(read, execution_ids))
    report_executions(display, [found[one] for one in execution_ids if one in found])
    for one in execution_ids:
        if one in missing:
            display.batch.troubled = True
            display.complain(f"execution {one}: {missing[one]}")


async def list_all(display: Display, access: Access, limit: int, query: Mapping[str, Any]) -> None:
    """Read all, and show the executions as they arrive."""
    async with _connected(display, access) as client:
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
        display.note("no executions")


async def wait(
    display: Display, access: Access, execution_ids: Sequence[str], timeout: float | None
) -> None:
    """Wait for executions. An error in one wait does not end the others."""

    async def follow_one(execution_id: str) -> None:
        try:
            ended = await client.wait_for_completion(
                execution_id,
                raise_on_failure=False,
                timeout=timeout,
                poll=PollPolicy(not_found_grace=_GRACE),
                on_poll=display.batch.see,
            )
        except NuvoError as error:
            display.batch.fail(execution_id, error)
        else:
            display.batch.end(ended)

    async with _connected(display, access) as client, display.live():
        display.batch.expect(execution_ids)
        await together(map(follow_one, execution_ids))


async def run(
    display: Display, access: Access, pipeline_ids: Sequence[str], options: Mapping[str, Any]
) -> None:
    """Run pipelines with `run_pipelines` and its `options`."""
    display.journal = options.get("journal")
    async with _connected(display, access) as client, display.live():
        await show_runs(display, client, pipeline_ids, **options)


async def show_runs(
    display: Display, client: NuvoClient, pipeline_ids: Sequence[str], **options: Any
) -> None:
    """Run pipelines, and show the result of each."""
    display.batch.expect_runs(pipeline_ids)
    runs = client.run_pipelines(
        pipeline_ids, on_start=display.start, on_poll=display.batch.see, **options
    )
    async with aclosing(runs):
        async for one in runs:
            display.end_run(one)

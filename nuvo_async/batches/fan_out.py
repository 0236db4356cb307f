"""The client's methods for many executions or pipelines at once."""

import os
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import partial

from attrs import frozen

from nuvo_async import arguments
from nuvo_async.batches.journal import Journal
from nuvo_async.batches.runs import PipelineBatch, stream, wait_for_all
from nuvo_async.models import Execution, PipelineRun, failures_of
from nuvo_async.options import waits_for
from nuvo_async.waiting import Poller, WaitOptions
from nuvo_async.wire import ExecutionAPI, Lifetime

__all__ = ["FanOut"]


@frozen
class FanOut:
    """The batches of one client. `NuvoClient` has methods of the same names, with documentation."""

    api: ExecutionAPI
    poller: Poller
    lifetime: Lifetime

    def as_completed(
        self, executions: Iterable[Execution | str], options: WaitOptions
    ) -> AsyncGenerator[Execution]:
        """Yield executions in the order in which they finish."""
        waits = waits_for(executions, options)
        work = partial(wait_for_all, self.poller, waits)
        return stream(self.lifetime, work, most=max(len(waits), 1))

    async def wait_for_all(
        self,
        executions: Iterable[Execution | str],
        options: WaitOptions,
        *,
        raise_on_failure: bool = True,
    ) -> list[Execution]:
        """Wait until all executions have ended, and return them in the order given."""
        waits = waits_for(executions, options)
        with self.lifetime.inside():
            finished = await wait_for_all(self.poller, waits)
        if raise_on_failure and (failed := failures_of(finished)):
            raise failed
        return finished

    async def run_pipeline(self, pipeline_id: str, options: WaitOptions) -> list[Execution]:
        """Create, and wait for all executions that were created."""
        with self.lifetime.inside():
            created = await self.api.create(pipeline_id)
        return await self.wait_for_all(created, options)

    def run_pipelines(
        self,
        pipeline_ids: Iterable[str],
        options: WaitOptions,
        *,
        concurrency: int | None,
        journal: str | os.PathLike[str] | None,
        on_start: Callable[[str, list[Execution]], object] | None,
    ) -> AsyncGenerator[PipelineRun]:
        """Run many pipelines, and yield each as it ends."""
        ids = arguments.strings("pipeline_ids", pipeline_ids)
        if concurrency is None:
            concurrency = max(len(ids), 1)
        batch = PipelineBatch(
            self.api,
            self.poller,
            options,
            ids,
            concurrency=min(arguments.integer("concurrency", concurrency, minimum=1), len(ids)),
            journal=None if journal is None else Journal(arguments.path("journal", journal), ids),
            on_start=arguments.callback("on_start", on_start),
        )
        return stream(self.lifetime, batch.run, most=concurrency)

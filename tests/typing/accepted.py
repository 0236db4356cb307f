"""Usage that type checkers accept, with the types that they infer."""

import os
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_type

import aiohttp
from yarl import URL

from nuvo_async import (
    AccessToken,
    CreateOutcomeUnknownError,
    ErrorThresholdExceededError,
    ErrorType,
    Execution,
    ExecutionFailedError,
    ExecutionPage,
    ExecutionRun,
    ExecutionsFailed,
    ExecutionStatus,
    LicenseKey,
    NuvoClient,
    PipelineRun,
    PollPolicy,
    RetryPolicy,
    WaitTimeoutError,
)
from nuvo_async.models.converter import structure_execution, unstructure
from nuvo_async.testing import NuvoServer, faults


async def make_clients(session: aiohttp.ClientSession) -> None:
    assert_type(NuvoClient("token"), NuvoClient)
    NuvoClient(AccessToken("token"), base_url=URL("https://example.com/"), session=session)
    NuvoClient(LicenseKey("key", "user@example.com"), request_timeout=5, max_concurrency=10)
    NuvoClient("token", retry=RetryPolicy(max_attempts=1), poll=PollPolicy(min_interval=1))
    assert_type(NuvoClient.from_env(os.environ), NuvoClient)
    async with NuvoClient.from_env(max_concurrency=5) as client:
        assert_type(client, NuvoClient)


async def call(client: NuvoClient) -> None:
    assert_type(await client.create_execution("orders"), list[Execution])
    assert_type(await client.get_execution("65f0"), Execution)
    page = await client.list_executions(
        status=ExecutionStatus.FAILED,
        filters={"created_at": {"$gte": datetime.now(UTC)}, "pipeline": ["a", "b"]},
        sort={"created_at": "desc"},
        limit=10,
    )
    assert_type(page, ExecutionPage)
    assert_type(page.data, tuple[Execution, ...])
    assert_type(client.iter_executions(max_items=5), AsyncIterator[Execution])
    assert_type(await client.revoke_token(), None)


async def see(execution: Execution) -> None:
    assert_type(execution.status, ExecutionStatus)


async def wait(client: NuvoClient, executions: list[Execution]) -> None:
    finished = await client.wait_for_completion("65f0", timeout=5, on_poll=see)
    assert_type(finished, Execution)
    await client.wait_for_completion(finished, raise_on_failure=False, on_poll=print)
    assert_type(client.as_completed(executions), AsyncGenerator[Execution])
    assert_type(await client.wait_for_all(["65f0", finished]), list[Execution])
    assert_type(await client.run_pipeline("orders", with_logs=False), list[Execution])
    runs = client.run_pipelines(
        ("orders", "stock"),
        journal=Path("journal"),
        on_start=lambda pipeline_id, started: print(pipeline_id, len(started)),
    )
    assert_type(runs, AsyncGenerator[PipelineRun])


def read(execution: Execution) -> None:
    assert_type(execution.latest_run, ExecutionRun | None)
    if execution.latest_run is not None:
        assert_type(execution.latest_run.duration, timedelta | None)
    if execution.error is not None:
        assert_type(execution.error.type, ErrorType)
        assert_type(execution.error.type.is_known, bool)
    assert_type(structure_execution(unstructure(execution)), Execution)


async def explain(client: NuvoClient) -> None:
    try:
        await client.run_pipeline("orders")
    except ExecutionsFailed as failed:
        assert_type(failed.executions, tuple[Execution, ...])
        for one in failed.exceptions:
            assert_type(one, Exception | ExceptionGroup[Exception])
    except ErrorThresholdExceededError as error:
        assert_type(error.error_ratio, float | None)
    except ExecutionFailedError as error:
        assert_type(error.error_type, ErrorType | None)
    except WaitTimeoutError as error:
        assert_type(error.pending, dict[str, Execution | None])
    except CreateOutcomeUnknownError as error:
        assert_type(error.candidates, tuple[Execution, ...])


async def serve() -> None:
    async with NuvoServer() as server:
        assert_type(server, NuvoServer)
        server.add_pipeline("orders", duration=0.5, error=ErrorType.PARSING_FAILURE)
        server.add_fault("read", faults.status(503), times=2)
        assert_type(server.start("orders"), list[str])
    with NuvoServer(ignores={"sort"}) as server:
        assert_type(server, NuvoServer)

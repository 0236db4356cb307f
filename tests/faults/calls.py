"""Every call, and every way to wait, each on a server of its own, with a fault in its way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from attrs import frozen

from nuvo_async import (
    CreateOutcomeUnknownError,
    LicenseKey,
    NuvoClient,
    NuvoError,
    PollPolicy,
    RetryPolicy,
)
from nuvo_async.testing import NuvoServer
from nuvo_async.testing.faults import Fault
from nuvo_async.testing.state import Call
from tests.faults.catalogue import BODY_LIMIT

__all__ = ["CALLS", "Times", "outcome"]

Times = Literal["once", "always"]
_TIMES: dict[Times, int] = {"once": 1, "always": 10**6}
RIGHT = "right"
AGAIN = "right, by another attempt"


@frozen
class Way:
    """One call of the client, or way to wait; the fault is in the way of one call of the API."""

    faulted: Call
    use: Callable[[NuvoClient, str, float], Awaitable[Any]]


async def _iterate(client: NuvoClient, *_: object) -> Any:
    return [one async for one in client.iter_executions()]


async def _as_completed(client: NuvoClient, execution_id: str, timeout: float) -> Any:
    return [one async for one in client.as_completed([execution_id], timeout=timeout)]


async def _run_pipelines(client: NuvoClient, _: str, timeout: float) -> Any:
    [run] = [one async for one in client.run_pipelines(["orders"], timeout=timeout)]
    run.raise_for_failure()
    return run.executions


CALLS: dict[str, Way] = {
    "create": Way("create", lambda client, *_: client.create_execution("orders")),
    "read": Way("read", lambda client, known, _: client.get_execution(known)),
    "list": Way("list", lambda client, *_: client.list_executions()),
    "iterate": Way("list", _iterate),
    "token": Way("token", lambda client, known, _: client.get_execution(known)),
    "revoke": Way("revoke", lambda client, *_: client.revoke_token()),
    "wait": Way("read", lambda client, known, t: client.wait_for_completion(known, timeout=t)),
    "as_completed": Way("read", _as_completed),
    "wait_for_all": Way("read", lambda client, known, t: client.wait_for_all([known], timeout=t)),
    "run_pipeline": Way("create", lambda client, _, t: client.run_pipeline("orders", timeout=t)),
    "run_pipelines": Way("create", _run_pipelines),
    "its wait": Way("read", _run_pipelines),
}


@asynccontextmanager
async def _parts(*, request_timeout: float) -> AsyncIterator[tuple[NuvoServer, NuvoClient]]:
    async with (
        NuvoServer() as server,
        NuvoClient(
            LicenseKey(server.license_key, server.identifier),
            base_url=server.base_url,
            request_timeout=request_timeout,
            max_body_size=BODY_LIMIT,
            retry=RetryPolicy(max_attempts=3, base_delay=0.01),
            poll=PollPolicy(min_interval=0.02, max_interval=0.1, not_found_grace=2),
        ) as client,
    ):
        server.add_pipeline("orders")
        yield server, client


async def outcome(
    name: str,
    fault: Callable[[], Fault] | None,
    times: Times,
    *,
    request_timeout: float,
    timeout: float,
) -> str:
    """Let a call meet a fault, or no server at all, and say in a few words what came of it.

    `timeout` is that of a wait.
    """
    way = CALLS[name]
    async with _parts(request_timeout=request_timeout) as (server, client):
        [known] = server.start("orders")
        before = len(server.executions)
        sent = 0
        if fault is None:
            await server.__aexit__()
        else:
            await client.list_executions()  # There is a token, and a connection,
            if way.faulted == "token":
                server.expire_tokens()  # unless it is about that.
            sent = len(server.requests)
            server.add_fault(way.faulted, fault(), times=_TIMES[times])
        async with asyncio.timeout(20):
            try:
                await way.use(client, known, timeout)
            except CreateOutcomeUnknownError as error:
                assert [one.call for one in server.requests[sent:]].count("create") == 1
                assert [one.id for one in error.candidates] == [
                    one["id"] for one in server.executions[before:]
                ]
                found = f"{len(error.candidates)} candidate" + "s" * (len(error.candidates) != 1)
                return f"unknown, {found}"
            except NuvoError as error:
                return type(error).__name__
        started = len(server.executions) - before
        assert started == (way.faulted == "create" or name == "its wait"), "started once"
        asked = [one.call for one in server.requests[sent:]].count(way.faulted)
        return RIGHT if asked == 1 else AGAIN

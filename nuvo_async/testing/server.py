"""`NuvoServer`: the Execution API as a real HTTP server on 127.0.0.1."""

import asyncio
import copy
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Self

from nuvo_async.testing import listing
from nuvo_async.testing.faults import Fault
from nuvo_async.testing.handlers import BASE_PATH, Handlers
from nuvo_async.testing.pipelines import Pipeline
from nuvo_async.testing.state import CALLS, Call, ScriptedFault, State
from nuvo_async.testing.thread import ServerThread

__all__ = ["NuvoServer"]


class NuvoServer:
    """The Execution API for tests: a real HTTP server on a free port of 127.0.0.1.

    It runs in its own thread inside a `with` block, so synchronous code, other processes and all
    event loops can use it. `async with` does the same, but does not block the event loop while the
    server starts and stops. A client needs the server's `access_token` and `base_url`:

        async with NuvoServer() as server:
            server.add_pipeline("orders", duration=0.1, rows=250)
            server.add_pipeline("broken", error="PARSING_FAILURE", message="line 3 is torn")
            async with NuvoClient(server.access_token, base_url=server.base_url) as client:
                [execution] = await client.create_execution("orders")
                await client.wait_for_completion(execution)

    To use a licence key instead, pass `LicenseKey(server.license_key, server.identifier)`. To use
    the server from a command, set `NUVO_ACCESS_TOKEN` and `NUVO_BASE_URL` in its environment.

    - `add_pipeline` adds a pipeline and says what its runs do. Any other pipeline is a 404.
    - `start` starts a pipeline as its schedule or an event would.
    - `add_fault` adds a fault (`nuvo_async.testing.faults`) for one of the calls `"create"`,
      `"read"`, `"list"`, `"token"` and `"revoke"`. Requests meet faults in the order in which the
      faults were added. Faults run in the server's thread.
    - `expire_tokens` invalidates all tokens.
    - `requests` are the requests that the server received, in order.
    - `executions` are the server's executions, as Read by ID returns them. `forget` drops all
      requests, and the executions that have ended.

    All of these can be used from any thread, whether or not the server is running. A server that
    was stopped can be started again, and keeps its state.

    Args:
        max_page_size: the maximum number of executions on a page of Read all, for any limit.
        envelope: whether Read by ID answers `{"data": {...}}`, or the bare execution.
        count_page: whether `pagination.total` counts this page, or all matching executions.
        ignores: parts of Read all's query that the server ignores, with everything nested in
            them, such as `{"filters[id]", "sort"}`.
        port: the port to listen on; 0 is any free port.
    """

    def __init__(
        self,
        *,
        max_page_size: int = 100,
        envelope: bool = True,
        count_page: bool = False,
        ignores: Collection[str] = (),
        port: int = 0,
    ) -> None:
        self._state = State(
            max_page_size=max_page_size,
            envelope=envelope,
            count_page=count_page,
            ignores=listing.checked_ignores(ignores),
        )
        self.access_token = self._state.access_token
        self.license_key = self._state.license_key
        self.identifier = self._state.identifier
        self.requests = self._state.requests
        self._port = port
        self._thread: ServerThread | None = None
        self._base_url: str | None = None

    def __enter__(self) -> Self:
        """Start the server, and wait until it listens."""
        with self._starting() as thread:
            thread.listening.result()
        return self

    async def __aenter__(self) -> Self:
        """Start the server, and wait until it listens, without blocking the loop."""
        with self._starting() as thread:
            await asyncio.wrap_future(thread.listening)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server: abort requests under way, and wait until its thread has ended."""
        if (thread := self._tell_to_stop()) is not None:
            thread.join()

    async def __aexit__(self, *_: object) -> None:
        """Stop the server in the same way, without blocking the loop."""
        if (thread := self._tell_to_stop()) is not None:
            await asyncio.wrap_future(thread.ended)
            thread.join()

    @contextmanager
    def _starting(self) -> Iterator[ServerThread]:
        if self._thread is not None:
            raise RuntimeError("the server runs already: enter it once")
        self._thread = thread = ServerThread(Handlers(self._state).make_app, self._port)
        try:
            yield thread
            self._base_url = f"http://127.0.0.1:{thread.listening.result()}{BASE_PATH}"
        except BaseException as error:
            self._tell_to_stop()
            if isinstance(error, Exception):  # The thread failed, so it has ended.
                thread.join()
            raise

    def _tell_to_stop(self) -> ServerThread | None:
        thread, self._thread, self._base_url = self._thread, None, None
        if thread is not None:
            thread.stop()
        return thread

    @property
    def base_url(self) -> str:
        """The base URL of the API, while the server runs."""
        if self._base_url is None:
            raise RuntimeError("the server does not run: enter it using `with` or `async with`")
        return self._base_url

    @property
    def executions(self) -> list[dict[str, Any]]:
        """All executions, as Read by ID returns them now, oldest first."""
        return copy.deepcopy(self._state.store.read_all())

    def add_pipeline(
        self,
        pipeline_id: str,
        *,
        duration: float = 0.0,
        files: int = 1,
        error: str | None = None,
        message: str = "on request",
        fixed_after: float | None = None,
        rows: int = 100,
        columns: int = 10,
        error_cells: int = 0,
    ) -> None:
        """Add a pipeline, or change what its next executions do.

        Args:
            pipeline_id: its id.
            duration: seconds that a run takes.
            files: executions that one Create starts, one for each file; 0 is an empty folder.
            error: the error type that each run fails with; undocumented types are allowed.
            message: the message of that error.
            fixed_after: seconds between the failure and a fix by a user. The pipeline then runs
                again, and succeeds.
            rows: `total_rows` of a run.
            columns: cells in a row.
            error_cells: `total_error_cells` of a run, at most one in a row.

        Raises `TypeError` or `ValueError` for invalid values.
        """
        self._state.store.pipelines[pipeline_id] = Pipeline(
            id=pipeline_id,
            duration=duration,
            files=files,
            error=error,
            message=message,
            fixed_after=fixed_after,
            rows=rows,
            columns=columns,
            error_cells=error_cells,
        )

    def start(self, pipeline_id: str, *, trigger_type: str = "SCHEDULED") -> list[str]:
        """Start an added pipeline without a Create, and return the ids of its executions."""
        actor = self._state.actor if trigger_type == "MANUAL" else None
        pipeline = self._state.store.pipelines.get(pipeline_id)
        if pipeline is None:
            raise ValueError(f"there is no pipeline {pipeline_id!r}: add it with add_pipeline")
        return self._state.store.start(pipeline, trigger_type=trigger_type, actor=actor)

    def add_fault(self, call: Call, fault: Fault, *, times: int = 1, of: str | None = None) -> None:
        """Add a fault for the next requests of a call, as many as `times`.

        With `of`, only requests for that pipeline (`"create"`) or execution (`"read"`) meet it.
        Requests meet faults in the order in which the faults were added.
        """
        if call not in CALLS or times < 1 or not callable(fault):
            raise ValueError(
                f"call must be one of {', '.join(CALLS)}, fault a function such as those in"
                f" nuvo_async.testing.faults, and times 1 or more"
            )
        self._state.faults[call].append(ScriptedFault(fault, times, of))

    def clear_faults(self) -> None:
        """Remove the faults that no request has met yet."""
        for scripted in self._state.faults.values():
            scripted.clear()

    def forget(self) -> None:
        """Drop `requests`, and the executions that have ended. This frees memory in long tests."""
        self._state.requests.clear()
        self._state.store.forget_ended()

    def expire_tokens(self) -> None:
        """Invalidate all tokens, including `access_token`. The licence key still gets new ones."""
        self._state.tokens.clear()

"""`NuvoServer`: the Execution API as a real HTTP server on 127.0.0.1."""

import copy
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Self

from aiohttp import web
from attrs import define, field, frozen

from nuvo_async.testing import listing
from nuvo_async.testing.faults import AGE, Fault
from nuvo_async.testing.pipelines import Pipeline, Store

__all__ = ["Call", "NuvoServer", "ReceivedRequest"]

Call = Literal["create", "read", "list", "token", "revoke"]
_CALLS = ("create", "read", "list", "token", "revoke")
_BASE_PATH = "/dp/api/v1/"


@frozen
class ReceivedRequest:
    """A request as it came. `path` is relative to the base URL, `query` just as it was sent."""

    call: Call
    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@define
class _ScriptedFault:
    fault: Fault
    times: int
    of: str | None


class NuvoServer:
    """The Execution API, to test against: real HTTP on a port of 127.0.0.1 that is free.

    It runs while its context does, and a client needs two things of it:

        async with NuvoServer() as server:
            server.add_pipeline("orders", duration=0.1, rows=250)
            server.add_pipeline("broken", error="PARSING_FAILURE", message="line 3 is torn")
            async with NuvoClient(server.access_token, base_url=server.base_url) as client:
                [execution] = await client.create_execution("orders")
                await client.wait_for_completion(execution)

    With a licence key instead: `LicenseKey(server.license_key, server.identifier)`.

    **Pipelines** do what `add_pipeline` says; a pipeline that was not added is a 404. `start`
    starts one as its schedule or an event would. **Faults** (`nuvo_async.testing.faults`) are laid
    out for a call, `"create"`, `"read"`, `"list"`, `"token"` or `"revoke"`, by `add_fault`, and met
    in the order of adding. `expire_tokens` makes every token worthless. What the server was sent is
    in `requests`, in order; what it holds, as Read by ID shows it, in `executions`; `forget` drops
    both.

    Args:
        max_page_size: the most executions on a page of Read all, whatever limit is asked for.
        envelope: whether Read by ID answers `{"data": {...}}`, or the bare execution.
        count_page: whether `pagination.total` counts the page, or all that matches.
        port: where to listen; 0 is any port that is free.
    """

    def __init__(
        self,
        *,
        max_page_size: int = 100,
        envelope: bool = True,
        count_page: bool = False,
        port: int = 0,
    ) -> None:
        self.access_token = secrets.token_urlsafe(24)
        self.license_key = secrets.token_urlsafe(24)
        self.identifier = "user@example.com"
        self.requests: list[ReceivedRequest] = []
        self._max_page_size = max_page_size
        self._envelope = envelope
        self._count_page = count_page
        self._port = port
        self._tokens = {self.access_token}
        self._faults: dict[str, list[_ScriptedFault]] = {call: [] for call in _CALLS}
        self._store = Store(clock=time.monotonic)
        self._runner: web.AppRunner | None = None
        self._base_url: str | None = None

    async def __aenter__(self) -> Self:
        """Start to listen."""
        if self._runner is not None:
            raise RuntimeError("the server runs already: enter it once")
        app = web.Application()
        app.add_routes(
            [
                web.post(f"{_BASE_PATH}execution/", self._handler("create", self._create)),
                web.get(f"{_BASE_PATH}execution/", self._handler("list", self._list)),
                web.get(f"{_BASE_PATH}execution/{{id}}", self._handler("read", self._read)),
                web.post(f"{_BASE_PATH}auth/access-token", self._handler("token", self._token)),
                web.delete(f"{_BASE_PATH}auth/access-token", self._handler("revoke", self._revoke)),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        port = runner.addresses[0][1]
        self._base_url = f"http://127.0.0.1:{port}{_BASE_PATH}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cut what is under way, and stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = self._base_url = None

    @property
    def base_url(self) -> str:
        """Where the API is, while the server runs."""
        if self._base_url is None:
            raise RuntimeError("the server does not run: enter it with `async with`")
        return self._base_url

    @property
    def executions(self) -> list[dict[str, Any]]:
        """All executions as Read by ID shows them now, oldest first."""
        return copy.deepcopy(self._store.read_all())

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
            error: the error type that it fails with; it need not be a documented one.
            message: the message of that error.
            fixed_after: seconds after the failure in which someone fixes it: it runs once more,
                and succeeds.
            rows: `total_rows` of a run.
            columns: cells in a row.
            error_cells: `total_error_cells` of a run, at most one in a row.

        Raises `TypeError` or `ValueError` for figures that cannot be.
        """
        self._store.pipelines[pipeline_id] = Pipeline(
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
        """Start a pipeline that was added, without a Create, and return its executions' ids."""
        actor = self._actor() if trigger_type == "MANUAL" else None
        pipeline = self._store.pipelines.get(pipeline_id)
        if pipeline is None:
            raise ValueError(f"there is no pipeline {pipeline_id!r}: add it with add_pipeline")
        return self._store.start(pipeline, trigger_type=trigger_type, actor=actor)

    def add_fault(self, call: Call, fault: Fault, *, times: int = 1, of: str | None = None) -> None:
        """Let the next requests of a call meet a fault, as many `times`, in the order of adding.

        With `of`, only requests of that pipeline (`"create"`) or execution (`"read"`) meet it.
        """
        if call not in _CALLS or times < 1 or not callable(fault):
            raise ValueError(
                f"call must be one of {', '.join(_CALLS)}, fault a function such as those in"
                f" nuvo_async.testing.faults, and times 1 or more"
            )
        self._faults[call].append(_ScriptedFault(fault, times, of))

    def clear_faults(self) -> None:
        """Forget the faults that were not met yet."""
        for scripted in self._faults.values():
            scripted.clear()

    def forget(self) -> None:
        """Drop `requests`, and the executions that have ended, as one that runs for long must."""
        self.requests.clear()
        self._store.forget_ended()

    def expire_tokens(self) -> None:
        """Make every token worthless, `access_token` too; the licence key still gets new ones."""
        self._tokens.clear()

    def _handler(
        self, call: Call, act: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            received = ReceivedRequest(
                call=call,
                method=request.method,
                path=request.rel_url.raw_path.removeprefix(_BASE_PATH),
                query=request.rel_url.raw_query_string,
                headers=request.headers.copy(),
                body=await request.read(),
            )
            self.requests.append(received)
            fault = self._next_fault(received)
            if fault is None:
                return await act(request)
            return await fault(request, lambda: act(request))

        return handle

    def _next_fault(self, received: ReceivedRequest) -> Fault | None:
        for scripted in self._faults[received.call]:
            if scripted.times and scripted.of in {None, _subject(received)}:
                scripted.times -= 1
                return scripted.fault
        return None

    async def _create(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(401, "Unauthorized")
        body = await _json_object(request)
        pipeline_id = body.get("pipeline_id")
        if not isinstance(pipeline_id, str) or not pipeline_id:
            return _error(422, ["pipeline_id must be a string", "pipeline_id should not be empty"])
        pipeline = self._store.pipelines.get(pipeline_id)
        if pipeline is None:
            return _error(404, f"pipeline {pipeline_id} not found")
        ids = self._store.start(pipeline, trigger_type="MANUAL", actor=self._actor())
        data = [
            {"id": one, "pipeline": pipeline_id, "status": "PROCESSING", "trigger_type": "MANUAL"}
            for one in ids
        ]
        return web.json_response({"data": data}, status=201)

    async def _read(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(401, "Unauthorized")
        execution = self._store.read(request.match_info["id"])
        if execution is None:
            return _error(404, f"execution {request.match_info['id']} not found")
        return web.json_response({"data": execution} if self._envelope else execution)

    async def _list(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(401, "Unauthorized")
        try:
            answer = listing.answer_listing(
                self._store.read_all(age=request.get(AGE, 0.0)),
                request.rel_url.raw_query_string,
                max_page_size=self._max_page_size,
                count_page=self._count_page,
            )
        except listing.BadQueryError as error:
            return _error(422, str(error))
        return web.json_response(answer)

    async def _token(self, request: web.Request) -> web.Response:
        match await _json_object(request):
            case {"license_key": str(key), "auth": {"identifier": str(identifier), "type": kind}}:
                if key != self.license_key or identifier != self.identifier:
                    return _error(401, "unknown license key or identifier")
                if kind not in ("USER", "SUB_ORG"):
                    return _error(422, "auth.type must be USER or SUB_ORG")
                token = secrets.token_urlsafe(24)
                self._tokens.add(token)
                return web.json_response({"access_token": token}, status=201)
        return _error(422, "license_key and auth must be given")

    async def _revoke(self, request: web.Request) -> web.Response:
        token = request.headers.get("access_token")
        if not self._authorized(request) or token not in self._tokens:
            return _error(401, "Unauthorized")
        self._tokens.remove(token)
        return web.json_response({"message": "success"})

    def _authorized(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme == "Bearer" and token in self._tokens

    def _actor(self) -> dict[str, str]:
        return {"id": "user-1", "name": "A User", "identifier": self.identifier, "type": "USER"}


def _subject(received: ReceivedRequest) -> str | None:
    if received.call == "read":
        return received.path.removeprefix("execution/")
    if received.call == "create":
        try:
            return str(received.json.get("pipeline_id"))
        except (ValueError, AttributeError):
            return None
    return None


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _error(status: int, message: str | list[str]) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)

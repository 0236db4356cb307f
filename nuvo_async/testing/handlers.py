"""The server's handlers: one for each call of the API."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from attrs import frozen

from nuvo_async.testing import listing
from nuvo_async.testing.faults import AGE
from nuvo_async.testing.state import Call, ReceivedRequest, State

__all__ = ["BASE_PATH", "Handlers"]

BASE_PATH = "/dp/api/v1/"


@frozen
class Handlers:
    """The five calls of the Execution API, answered from the server's state."""

    state: State

    def make_app(self) -> web.Application:
        """Make the web application that serves the calls."""
        app = web.Application()
        app.add_routes(
            [
                web.post(f"{BASE_PATH}execution/", self._handler("create", self._create)),
                web.get(f"{BASE_PATH}execution/", self._handler("list", self._list)),
                web.get(f"{BASE_PATH}execution/{{id}}", self._handler("read", self._read)),
                web.post(f"{BASE_PATH}auth/access-token", self._handler("token", self._token)),
                web.delete(f"{BASE_PATH}auth/access-token", self._handler("revoke", self._revoke)),
            ]
        )
        return app

    def _handler(
        self, call: Call, act: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            received = ReceivedRequest(
                call=call,
                method=request.method,
                path=request.rel_url.raw_path.removeprefix(BASE_PATH),
                query=request.rel_url.raw_query_string,
                headers=request.headers.copy(),
                body=await request.read(),
            )
            fault = self.state.receive(received)
            if fault is None:
                return await act(request)
            return await fault(request, lambda: act(request))

        return handle

    async def _create(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(401, "Unauthorized")
        body = await _json_object(request)
        pipeline_id = body.get("pipeline_id")
        if not isinstance(pipeline_id, str) or not pipeline_id:
            return _error(422, ["pipeline_id must be a string", "pipeline_id should not be empty"])
        pipeline = self.state.store.pipelines.get(pipeline_id)
        if pipeline is None:
            return _error(404, f"pipeline {pipeline_id} not found")
        ids = self.state.store.start(pipeline, trigger_type="MANUAL", actor=self.state.actor)
        data = [
            {"id": one, "pipeline": pipeline_id, "status": "PROCESSING", "trigger_type": "MANUAL"}
            for one in ids
        ]
        return web.json_response({"data": data}, status=201)

    async def _read(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(401, "Unauthorized")
        execution = self.state.store.read(request.match_info["id"])
        if execution is None:
            return _error(404, f"execution {request.match_info['id']} not found")
        return web.json_response({"data": execution} if self.state.envelope else execution)

    async def _list(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(401, "Unauthorized")
        try:
            answer = listing.answer_listing(
                self.state.store.read_all(age=request.get(AGE, 0.0)),
                request.rel_url.raw_query_string,
                ignores=self.state.ignores,
                max_page_size=self.state.max_page_size,
                count_page=self.state.count_page,
            )
        except listing.BadQueryError as error:
            return _error(422, str(error))
        return web.json_response(answer)

    async def _token(self, request: web.Request) -> web.Response:
        match await _json_object(request):
            case {"license_key": str(key), "auth": {"identifier": str(identifier), "type": kind}}:
                if key != self.state.license_key or identifier != self.state.identifier:
                    return _error(401, "unknown license key or identifier")
                if kind not in ("USER", "SUB_ORG"):
                    return _error(422, "auth.type must be USER or SUB_ORG")
                token = secrets.token_urlsafe(24)
                self.state.tokens.add(token)
                return web.json_response({"access_token": token}, status=201)
        return _error(422, "license_key and auth must be given")

    async def _revoke(self, request: web.Request) -> web.Response:
        token = request.headers.get("access_token", "")
        if not self._authorized(request) or token not in self.state.tokens:
            return _error(401, "Unauthorized")
        self.state.tokens.discard(token)
        return web.json_response({"message": "success"})

    def _authorized(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme == "Bearer" and token in self.state.tokens


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _error(status: int, message: str | list[str]) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)

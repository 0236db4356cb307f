"""Tracks Creates under way, so that a command can wait for their answers before it ends.

This is an aiohttp middleware in the command's own session, because `run_pipelines` does not report
when it sends a Create.
"""

import asyncio
import errno
import json
from datetime import datetime

import aiohttp
from attrs import define, field

from nuvo_async.models import NuvoError
from nuvo_async.wire import Body

__all__ = ["Create", "Creates"]

# These statuses do not show whether the API has acted on the request.
_UNCLEAR = {303, 408}


@define(eq=False)
class Create:
    """A Create that is being sent, or that was sent and may have started something.

    Once the request `is_over`, its outcome is about to be reported.
    """

    pipeline_id: str
    began_at: datetime
    body: Body
    is_over: bool = False


class _HeldBack(aiohttp.ClientConnectorError):
    """The command is ending, and did not send this Create. It counts as a failed connection."""

    def __init__(self, request: aiohttp.ClientRequest) -> None:
        super().__init__(
            request.connection_key, OSError(errno.ECANCELED, "the command is about to end")
        )


@define(eq=False)
class Creates:
    """Tracks the Creates without a clear outcome yet, and can hold back further Creates."""

    _under_way: dict[Create, None] = field(init=False, factory=dict)
    _is_holding_back: bool = field(init=False, default=False)
    _one_settled: asyncio.Event = field(init=False, factory=asyncio.Event)

    @property
    def in_doubt(self) -> list[Create]:
        """The Creates that were sent, and may have started executions."""
        return [create for create in self._under_way if create.body.is_sent]

    def hold_back(self) -> None:
        """Send no further Creates. Creates under way continue."""
        self._is_holding_back = True

    @staticmethod
    def was_held_back(error: NuvoError | None) -> bool:
        """Whether the error only says that a Create was held back."""
        return error is not None and isinstance(error.__cause__, _HeldBack)

    def settle(self, pipeline_id: str) -> None:
        """Remove a Create for this pipeline: its outcome was reported, even if it is unknown."""
        for create in self._under_way:
            if create.pipeline_id == pipeline_id and create.is_over:
                self._remove(create)
                return

    async def settled(self) -> None:
        """Return when no Create is in doubt."""
        while self.in_doubt:
            self._one_settled.clear()
            await self._one_settled.wait()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Pass on a request; the signature is that of aiohttp's middlewares."""
        body = request.body
        if not isinstance(body, Body) or not request.url.path.endswith("/execution/"):
            return await handler(request)
        if self._is_holding_back:
            raise _HeldBack(request)
        pipeline_id = json.loads(body.peek())["pipeline_id"]
        create = Create(pipeline_id, datetime.now().astimezone(), body)
        self._under_way[create] = None
        try:
            response = await handler(request)
        except Exception:
            if not body.is_sent:
                self._remove(create)
            raise
        finally:
            create.is_over = True
        if _is_refusal(response.status):
            self._remove(create)
        return response

    def _remove(self, create: Create) -> None:
        self._under_way.pop(create, None)
        self._one_settled.set()


def _is_refusal(status: int) -> bool:
    return status == 503 or (300 <= status < 500 and status not in _UNCLEAR)

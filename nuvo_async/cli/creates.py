"""Creates under way, so that a command that ends can wait for their answers.

This is a middleware of aiohttp in the command's own session, since `run_pipelines` does not say
when it sends a Create.
"""

import asyncio
import errno
import json
from collections.abc import Iterator
from datetime import datetime

import aiohttp
from attrs import define, field

from nuvo_async.models.errors import NuvoError

__all__ = ["Create", "Creates"]

# What a gateway answers when it does not know whether the API has acted.
_UNCLEAR = {303, 408}
_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)


@define(eq=False)
class Create:
    """A Create that was sent, and may have started something.

    Once the request `is_over`, its outcome is about to be reported.
    """

    pipeline_id: str
    sent_at: datetime
    is_over: bool = False


class _HeldBack(aiohttp.ClientConnectorError):
    """The command is ending, and has not sent this Create: like a connection that was not made."""

    def __init__(self, request: aiohttp.ClientRequest) -> None:
        super().__init__(
            request.connection_key, OSError(errno.ECANCELED, "the command is about to end")
        )


@define(eq=False)
class Creates:
    """Knows which Creates have no clear outcome yet, and holds back further ones on request."""

    _under_way: dict[Create, None] = field(init=False, factory=dict)
    _is_holding_back: bool = field(init=False, default=False)
    _all_settled: asyncio.Event = field(init=False, factory=asyncio.Event)

    def __iter__(self) -> Iterator[Create]:
        return iter(self._under_way)

    def __len__(self) -> int:
        return len(self._under_way)

    def hold_back(self) -> None:
        """Send no further Create; those under way go on."""
        self._is_holding_back = True

    @staticmethod
    def was_held_back(error: NuvoError | None) -> bool:
        """Whether the error only says that a Create was held back."""
        return error is not None and isinstance(error.__cause__, _HeldBack)

    def settle(self, pipeline_id: str) -> None:
        """A Create for this pipeline that was sent has an outcome, known or not."""
        for create in self._under_way:
            if create.pipeline_id == pipeline_id and create.is_over:
                self._remove(create)
                return

    async def settled(self) -> None:
        """Return when no Create is under way."""
        while self._under_way:
            self._all_settled.clear()
            await self._all_settled.wait()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Pass on a request; the signature is that of aiohttp's middlewares."""
        if request.method != "POST" or not request.url.path.endswith("/execution/"):
            return await handler(request)
        if self._is_holding_back:
            raise _HeldBack(request)
        create = Create(await _pipeline_of(request), datetime.now().astimezone())
        self._under_way[create] = None
        try:
            response = await handler(request)
        except _NOT_CONNECTED:
            self._remove(create)
            raise
        finally:
            create.is_over = True
        if _is_refusal(response.status):
            self._remove(create)
        return response

    def _remove(self, create: Create) -> None:
        self._under_way.pop(create, None)
        if not self._under_way:
            self._all_settled.set()


async def _pipeline_of(request: aiohttp.ClientRequest) -> str:
    body = request.body if isinstance(request.body, bytes) else await request.body.as_bytes()
    return str(json.loads(body)["pipeline_id"])


def _is_refusal(status: int) -> bool:
    return status == 503 or (300 <= status < 500 and status not in _UNCLEAR)

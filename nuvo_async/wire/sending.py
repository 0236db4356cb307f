"""Makes sure of what aiohttp sends in one attempt: its body, its credentials, and nothing twice."""

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from nuvo_async.wire.diagnosis import is_before_sending

__all__ = ["Body", "authorized", "is_kept_back", "once"]


class Body(aiohttp.Payload):
    """A body of JSON that knows whether aiohttp has begun to send it, and the request with it.

    The bytes can be had from its methods alone, so that none are sent past them.
    """

    _autoclose = True  # There is nothing to close, and no warning to give.

    def __init__(self, content: bytes) -> None:
        super().__init__(None, content_type="application/json")
        self._content = content
        self.is_taken = False
        self.is_sent = False

    @property
    def size(self) -> int:
        """How long it is: asked for when a request is made of it."""
        self.is_taken = True
        return len(self._content)

    def peek(self) -> bytes:
        """Look at the bytes, without sending them."""
        return self._content

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Give the text away, to be sent by others."""
        self.is_sent = True
        return self._content.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it, unless a connection that was kept turns out to be closing."""
        self.is_sent = self.is_sent or not _is_closing(writer)
        await writer.write(self._content)


def _is_closing(writer: AbstractStreamWriter) -> bool:
    """Whether aiohttp, which looks at the same, will refuse to write anything."""
    if not isinstance(writer, StreamWriter):
        return False
    return writer.transport is None or writer.transport.is_closing()


def is_kept_back(body: Body | None, cause: BaseException) -> bool:
    """Whether it is certain, after an exception, that nothing was sent."""
    if body is not None and body.is_sent:
        return False
    if is_before_sending(cause):
        return True
    # Where no request was made of the body, the exception may be from a mock in aiohttp's place.
    return body is not None and body.is_taken


def authorized(authorization: str | None) -> aiohttp.ClientMiddlewareType:
    """Make a middleware that sets `Authorization`, or takes away what aiohttp found in `.netrc`.

    A session with `trust_env` looks there for each host, and refuses a request that has the header
    already. So the header is set when that is over.
    """

    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.popall("Authorization", None)
        if authorization is not None:
            request.headers["Authorization"] = authorization
        return await handler(request)

    return middleware


def once(body: Body | None) -> aiohttp.ClientMiddlewareType:
    """Make a middleware that lets a request through to the server once, and repeats the outcome.

    aiohttp sends a DELETE again when the connection breaks, and a middleware of the caller's own
    may send anything again.
    """
    outcome: aiohttp.ClientResponse | Exception | None = None

    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        nonlocal outcome
        if isinstance(outcome, aiohttp.ClientResponse):
            return outcome
        if outcome is not None:
            raise outcome
        if body is not None and request.body is not body:
            body.is_sent = True  # Another middleware has put its own in the place of it.
        outcome = aiohttp.ClientConnectionError("it was cut off, and is not sent again")
        try:
            outcome = await handler(request)
        except Exception as error:
            outcome = None if is_kept_back(body, error) else error
            raise
        return outcome

    return middleware

"""Controls what aiohttp sends in one attempt: the body, the credentials, and nothing twice."""

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from nuvo_async.wire.diagnosis import is_before_sending

__all__ = ["Body", "authorized", "is_kept_back", "once"]


class Body(aiohttp.Payload):
    """A JSON body that records whether aiohttp has begun to send it, and thus the request.

    The bytes are only accessible through its methods, so each way to send them is recorded.
    """

    _autoclose = True  # The body has nothing to close, so aiohttp need not warn.

    def __init__(self, content: bytes) -> None:
        super().__init__(None, content_type="application/json")
        self._content = content
        self.is_taken = False
        self.is_sent = False

    @property
    def size(self) -> int:
        """The length in bytes. aiohttp reads it when it makes a request with this body."""
        self.is_taken = True
        return len(self._content)

    def peek(self) -> bytes:
        """Return the bytes without sending them."""
        return self._content

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the text. The caller may send it, so the body counts as sent."""
        self.is_sent = True
        return self._content.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body. It does not count as sent if a reused connection is already closing."""
        self.is_sent = self.is_sent or not _is_closing(writer)
        await writer.write(self._content)


def _is_closing(writer: AbstractStreamWriter) -> bool:
    """Whether aiohttp will refuse to write. It makes the same check."""
    if not isinstance(writer, StreamWriter):
        return False
    return writer.transport is None or writer.transport.is_closing()


def is_kept_back(body: Body | None, cause: BaseException) -> bool:
    """Whether it is certain, after an exception, that the request was not sent."""
    if body is not None and body.is_sent:
        return False
    if is_before_sending(cause):
        return True
    # If aiohttp did not use the body, the exception may come from a mock in place of aiohttp.
    return body is not None and body.is_taken


def authorized(authorization: str | None) -> aiohttp.ClientMiddlewareType:
    """Make a middleware that sets `Authorization`, or removes a login that came from `.netrc`.

    A session with `trust_env` looks up each host in `.netrc`, and refuses a request that already
    has the header. So this middleware sets the header after the lookup.
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
    """Make a middleware that sends a request to the server once, and then repeats the outcome.

    aiohttp sends a DELETE again when the connection breaks, and the caller's own middlewares may
    send any request again.
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
            body.is_sent = True  # Another middleware has replaced the body.
        outcome = aiohttp.ClientConnectionError("it was cut off, and is not sent again")
        try:
            outcome = await handler(request)
        except Exception as error:
            outcome = None if is_kept_back(body, error) else error
            raise
        return outcome

    return middleware

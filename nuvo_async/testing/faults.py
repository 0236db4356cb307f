"""Faults that the server simulates: `server.add_fault("read", faults.status(503), times=2)`.

A fault is an async function `fault(request, act)` that returns an answer. It may await `act()`,
which carries out the request and returns the normal answer. You can write faults of your own.

Faults run in the server's thread and event loop, and not in the test's. So they must not block, and
must not use asyncio objects of the test. Use a `threading.Event` instead. This fault delays a
request until the test calls `go_on.set()`:

    go_on = threading.Event()

    async def hold(request, act):
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return await act()
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

__all__ = [
    "AGE",
    "Act",
    "Fault",
    "body",
    "cut",
    "delay",
    "gzip_bomb",
    "html_page",
    "not_json",
    "rate_limit",
    "redirect",
    "stale_listing",
    "status",
    "truncated",
]

Act = Callable[[], Awaitable[web.Response]]
Fault = Callable[[web.Request, Act], Awaitable[web.StreamResponse]]
AGE = web.RequestKey("AGE", float)


def status(
    code: int, *, retry_after: float | str | None = None, message: str = "on request"
) -> Fault:
    """Answer with an error, without acting. `retry_after` is in seconds, or text sent unchanged."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    async def fault(_request: web.Request, _act: Act) -> web.StreamResponse:
        json = {"statusCode": code, "message": message}
        return web.json_response(json, status=code, headers=headers)

    return fault


def rate_limit(requests: int, *, per: float = 1.0) -> Fault:
    """Act on this number of requests per window of `per` seconds, and answer 429 to the others.

    `Retry-After` is the time until the end of the window. If the same fault is added for several
    calls, it counts their requests together.
    """
    window, used = -1, 0

    async def fault(request: web.Request, act: Act) -> web.StreamResponse:
        nonlocal window, used
        now = asyncio.get_running_loop().time()
        if int(now / per) != window:
            window, used = int(now / per), 0
        used += 1
        if used <= requests:
            return await act()
        wait = max((window + 1) * per - now, 0.001)
        return await status(429, retry_after=f"{wait:.3f}")(request, act)

    return fault


def delay(seconds: float) -> Fault:
    """Wait for this time, then act and answer."""

    async def fault(_request: web.Request, act: Act) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await act()

    return fault


def cut(*, acted: bool) -> Fault:
    """Reset the connection without an answer. `acted` says whether the request is acted on."""

    async def fault(request: web.Request, act: Act) -> web.StreamResponse:
        if acted:
            await act()
        return _abort(request)

    return fault


def truncated() -> Fault:
    """Act, send half of the answer, and reset the connection."""

    async def fault(request: web.Request, act: Act) -> web.StreamResponse:
        whole = await act()
        content = whole.body if isinstance(whole.body, bytes) else b""
        half = web.StreamResponse(status=whole.status)
        half.content_type = "application/json"
        half.content_length = len(content)
        with suppress(ConnectionResetError):  # The client may have disconnected.
            await half.prepare(request)
            await half.write(content[: len(content) // 2])
            await asyncio.sleep(0.01)  # The data must arrive before the reset.
        return _abort(request)

    return fault


def body(
    content: str | bytes,
    *,
    code: int = 200,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Fault:
    """Act, and then answer with this body instead."""

    async def fault(_request: web.Request, act: Act) -> web.StreamResponse:
        await act()
        data = content.encode() if isinstance(content, str) else content
        return web.Response(status=code, body=data, content_type=content_type, headers=headers)

    return fault


def not_json() -> Fault:
    """Act, and answer 200 with truncated JSON."""
    return body('{"data": ')


def html_page(code: int = 502) -> Fault:
    """Act, and answer with an HTML page, as gateways do."""
    page = f"<html><head><title>{code}</title></head><body>Gateway trouble</body></html>"
    return body(page, code=code, content_type="text/html")


def gzip_bomb(size: int) -> Fault:
    """Act, and answer 200 with `size` bytes of spaces, compressed to a small body."""
    return body(gzip.compress(b" " * size), headers={"Content-Encoding": "gzip"})


def redirect(location: str, *, code: int = 302) -> Fault:
    """Redirect to `location`, without acting."""

    async def fault(_request: web.Request, _act: Act) -> web.StreamResponse:
        return web.Response(status=code, headers={"Location": location})

    return fault


def stale_listing(seconds: float) -> Fault:
    """Answer Read all with the state of that many seconds ago."""

    async def fault(request: web.Request, act: Act) -> web.StreamResponse:
        request[AGE] = seconds
        return await act()

    return fault


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()

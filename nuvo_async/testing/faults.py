"""What can go wrong, on request: `server.add_fault("read", faults.status(503), times=2)`.

A fault is an async function `fault(request, act)`: it may await `act()`, which carries the request
out and returns the proper answer, before, after or instead of answering otherwise. So a fault of
your own is a function of your own.

Faults run in the server's thread and event loop, and not in the test's. So they must not block,
and an asyncio object of the test is not for them: share a `threading.Event` instead. This one holds
a request back until the test calls `go_on.set()`:

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
    """Answer with an error, without acting. `retry_after` is in seconds, or sent as it is."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    async def fault(_request: web.Request, _act: Act) -> web.StreamResponse:
        json = {"statusCode": code, "message": message}
        return web.json_response(json, status=code, headers=headers)

    return fault


def rate_limit(requests: int, *, per: float = 1.0) -> Fault:
    """Act on so many requests in each window of `per` seconds, and answer 429 to the others.

    `Retry-After` names the end of the window. Laid out for several calls, it counts them together.
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
    """Be silent for so long, then act and answer."""

    async def fault(_request: web.Request, act: Act) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await act()

    return fault


def cut(*, acted: bool) -> Fault:
    """Reset the connection before an answer: after the request was acted on, or before."""

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
        with suppress(ConnectionResetError):  # The client may have left.
            await half.prepare(request)
            await half.write(content[: len(content) // 2])
            await asyncio.sleep(0.01)  # Let it get there: a reset would overtake it.
        return _abort(request)

    return fault


def body(
    content: str | bytes,
    *,
    code: int = 200,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Fault:
    """Act, and then answer with this instead."""

    async def fault(_request: web.Request, act: Act) -> web.StreamResponse:
        await act()
        data = content.encode() if isinstance(content, str) else content
        return web.Response(status=code, body=data, content_type=content_type, headers=headers)

    return fault


def not_json() -> Fault:
    """Act, and answer 200 with JSON that breaks off."""
    return body('{"data": ')


def html_page(code: int = 502) -> Fault:
    """Act, and answer with a page, as gateways do."""
    page = f"<html><head><title>{code}</title></head><body>Gateway trouble</body></html>"
    return body(page, code=code, content_type="text/html")


def gzip_bomb(size: int) -> Fault:
    """Act, and answer 200 with so many bytes of blanks, compressed to almost nothing."""
    return body(gzip.compress(b" " * size), headers={"Content-Encoding": "gzip"})


def redirect(location: str, *, code: int = 302) -> Fault:
    """Point elsewhere, without acting."""

    async def fault(_request: web.Request, _act: Act) -> web.StreamResponse:
        return web.Response(status=code, headers={"Location": location})

    return fault


def stale_listing(seconds: float) -> Fault:
    """Answer Read all as it was so long ago."""

    async def fault(request: web.Request, act: Act) -> web.StreamResponse:
        request[AGE] = seconds
        return await act()

    return fault


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()

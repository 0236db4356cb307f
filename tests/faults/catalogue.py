"""What can go wrong: the faults of the embedded server, and some that only these tests need."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from nuvo_async.testing import faults
from nuvo_async.testing.faults import Act, Fault

__all__ = ["BODY_LIMIT", "FAULTS", "SILENT"]

BODY_LIMIT = 100_000
_ELSEWHERE = "https://elsewhere.example/"


def _silent_after_acting() -> Fault:
    async def fault(_request: web.Request, act: Act) -> web.StreamResponse:
        answer = await act()
        await asyncio.sleep(30)
        return answer

    return fault


def _in_parts(*, chunked: bool = False, length: int = 0, slow: bool = False) -> Fault:
    """Act, and send the answer byte by byte, in chunks without an end, or of another length."""

    async def fault(request: web.Request, act: Act) -> web.StreamResponse:
        whole = await act()
        content = whole.body if isinstance(whole.body, bytes) else b""
        answer = web.StreamResponse(status=whole.status, headers={"Connection": "close"})
        answer.content_type = "application/json"
        if chunked:
            answer.enable_chunked_encoding()
        else:
            answer.content_length = len(content) + length
        await answer.prepare(request)
        if slow:
            with suppress(ConnectionResetError):  # Whoever asked has left.
                for byte in content:
                    await answer.write(bytes([byte]))
                    await asyncio.sleep(0.1)
            return answer
        await answer.write(content)
        await asyncio.sleep(0.01)  # Let it get there: a reset would overtake it.
        if (chunked or length > 0) and request.transport is not None:
            request.transport.abort()
        return answer

    return fault


def _changed(change: Callable[[str], str | bytes], content_type: str = "application/json") -> Fault:
    """Act, and answer with what becomes of the proper answer."""

    async def fault(_request: web.Request, act: Act) -> web.StreamResponse:
        whole = await act()
        changed = change(whole.text or "")
        data = changed.encode() if isinstance(changed, str) else changed
        return web.Response(status=whole.status, body=data, content_type=content_type)

    return fault


def _unreadable(code: int, *, encoding: str | None = None) -> Fault:
    """Refuse, with a body that is cut, or encoded in another way than it says."""

    async def fault(request: web.Request, _act: Act) -> web.StreamResponse:
        answer = web.StreamResponse(status=code, headers={"Connection": "close"})
        answer.content_length = 100
        if encoding is not None:
            answer.headers["Content-Encoding"] = encoding
        await answer.prepare(request)
        await answer.write(b"no" * (10 if encoding is None else 50))
        if encoding is None and request.transport is not None:
            await asyncio.sleep(0.01)
            request.transport.abort()
        return answer

    return fault


def _to_the_byte(*headers: str, after: bytes = b"") -> Fault:
    """Act, and answer with headers, or bytes after the body, that cannot be read."""

    async def fault(request: web.Request, act: Act) -> web.StreamResponse:
        whole = await act()
        content = whole.body if isinstance(whole.body, bytes) else b""
        head = [f"HTTP/1.1 {whole.status} OK", f"Content-Length: {len(content)}", *headers]
        if request.transport is not None:
            request.transport.write("\r\n".join([*head, "", ""]).encode() + content + after)
            request.transport.close()
        return web.Response()

    return fault


def _in_a_second() -> str:
    return format_datetime(datetime.now(UTC), usegmt=True)


# Those that end by `request_timeout` alone.
SILENT = {"silence, not acted", "silence, acted", "slow body"}

FAULTS: dict[str, Callable[[], Fault] | None] = {
    "refused": None,  # Nobody listens.
    "reset, not acted": lambda: faults.cut(acted=False),
    "reset, acted": lambda: faults.cut(acted=True),
    "silence, not acted": lambda: faults.delay(30),
    "silence, acted": _silent_after_acting,
    "slow body": lambda: _in_parts(slow=True),
    "truncated body": faults.truncated,
    "length too long": lambda: _in_parts(length=10),
    "length too short": lambda: _in_parts(length=-5),
    "chunked, cut": lambda: _in_parts(chunked=True),
    "header too long": lambda: _to_the_byte(f"X-Long: {'x' * 9000}"),
    "header not HTTP": lambda: _to_the_byte("X-\x01: y"),
    "bytes after the body": lambda: _to_the_byte(after=b"and more"),
    "no gzip": lambda: _to_the_byte("Content-Encoding: gzip"),
    "br": lambda: _to_the_byte("Content-Encoding: br"),
    "gzip bomb": lambda: faults.gzip_bomb(20 * BODY_LIMIT),
    "301": lambda: faults.redirect(_ELSEWHERE, code=301),
    "302": lambda: faults.redirect(_ELSEWHERE),
    "303": lambda: faults.redirect(_ELSEWHERE, code=303),
    "307": lambda: faults.redirect(_ELSEWHERE, code=307),
    "400": lambda: faults.status(400),
    "401": lambda: faults.status(401),
    "403": lambda: faults.status(403),
    "403, cut": lambda: _unreadable(403),
    "403, no gzip": lambda: _unreadable(403, encoding="gzip"),
    "404": lambda: faults.status(404),
    "408": lambda: faults.status(408),
    "409": lambda: faults.status(409),
    "413": lambda: faults.status(413),
    "422": lambda: faults.status(422),
    "429": lambda: faults.status(429),
    "429, cut": lambda: _unreadable(429),
    "429, in seconds": lambda: faults.status(429, retry_after="0.02"),
    "429, by a date": lambda: faults.status(429, retry_after=_in_a_second()),
    "429, in a year": lambda: faults.status(429, retry_after=31_536_000),
    "429, nonsense": lambda: faults.status(429, retry_after="-1e999"),
    "500": lambda: faults.status(500),
    "501": lambda: faults.status(501),
    "502, HTML, acted": faults.html_page,
    "503": lambda: faults.status(503),
    "503, cut": lambda: _unreadable(503),
    "503, in seconds": lambda: faults.status(503, retry_after="0.02"),
    "504": lambda: faults.status(504),
    "200, HTML": lambda: faults.html_page(200),
    "200, empty": lambda: faults.body(b""),
    "204": lambda: faults.body(b"", code=204),
    "JSON, cut": faults.not_json,
    "JSON, wrong shape": lambda: faults.body('{"data": 5, "access_token": 5, "message": 5}'),
    "JSON, another shape": lambda: faults.body("[]"),
    "JSON, null": lambda: faults.body("null"),
    "JSON, deep": lambda: faults.body('{"data":' * 30_000),
    "JSON, huge numbers": lambda: _changed(lambda text: text.replace("{", '{"x": 1e999, ', 1)),
    "JSON, huge integers": lambda: _changed(
        lambda text: text.replace("{", '{"x": 1' + "0" * 400 + ", ", 1)
    ),
    "JSON, duplicate keys": lambda: _changed(
        lambda text: text.replace("{", '{"data": null, "message": null, "access_token": null, ', 1)
    ),
    "JSON, NaN": lambda: _changed(lambda text: text.replace("{", '{"x": NaN, ', 1)),
    "JSON, lone surrogate": lambda: _changed(
        lambda text: text.replace("{", '{"x": "\\ud800", ', 1)
    ),
    "JSON, UTF-16": lambda: _changed(lambda text: text.encode("utf-16")),
    "JSON, Latin-1": lambda: _changed(
        lambda text: text.replace("{", '{"x": "é", ', 1).encode("latin-1")
    ),
    "JSON, as text": lambda: _changed(lambda text: text, "text/plain"),
}

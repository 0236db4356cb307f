"""What may stand between a client and the embedded server: TLS, and an HTTP proxy."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

__all__ = ["listening", "pipe", "proxy", "tls"]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handle: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Handle connections to a free port of this machine, while the block runs."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await handle(reader, writer)
        writer.close()
        tasks.discard(task)

    # What comes of a failed handshake is for the client to tell.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.sleep(0)


async def pipe(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes = b""
) -> None:
    """Pass on what comes, both ways, to a port of this machine."""
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    there_writer.write(first)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    try:
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))
    finally:
        there_writer.close()


@asynccontextmanager
async def tls(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Speak TLS on another port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pipe(reader, writer, port)

    async with listening(handle, context) as own:
        yield own


@asynccontextmanager
async def proxy(seen: list[str], *, status: int = 200) -> AsyncIterator[int]:
    """Be an HTTP proxy: note each target, and pass on, or refuse with another status."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        seen.append(f"{method} {target}")
        if status != 200:
            writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
        elif method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await pipe(reader, writer, int(target.split(":")[1]))
        else:
            host, _, path = target.removeprefix("http://").partition("/")
            first = head.replace(target.encode(), f"/{path}".encode(), 1)
            await pipe(reader, writer, int(host.split(":")[1]), first)

    async with listening(handle) as own:
        yield own

"""Serves a web application in a thread of its own, which has an event loop of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aiohttp import web

__all__ = ["ServerThread"]

_HOST = "127.0.0.1"
_SHUTDOWN_TIMEOUT = 0.05  # Seconds that requests under way are given when the server stops.


class ServerThread:
    """A thread that serves an application until it is told to stop.

    The thread owns its loop, its sockets and its end: once it is told to stop, it cleans up by
    itself. So a caller who waits for it can be interrupted or cancelled at any time, and nothing
    is left behind.
    """

    def __init__(self, make_app: Callable[[], web.Application], port: int) -> None:
        self.listening: Future[int] = _pending()  # The port; or why it does not listen.
        self.ended: Future[None] = _pending()  # After all is cleaned up; or what went wrong.
        self._told_to_stop: Future[None] = _pending()
        self._make_app = make_app
        self._port = port
        # A daemon, so that a server that was never stopped does not keep the interpreter alive.
        self._thread = threading.Thread(target=self._run, name="NuvoServer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to stop. It does so without anyone waiting for it."""
        self._told_to_stop.set_result(None)

    def join(self) -> None:
        """Wait until the thread has ended, and raise what went wrong in it."""
        self._thread.join()
        self.ended.result()

    def _run(self) -> None:
        try:
            # The stock loop, also where another is the default: `_close` relies on how it accepts.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as loop:
                loop.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            if self.listening.done():
                self.ended.set_exception(error)
                return
            self.listening.set_exception(error)
        self.ended.set_result(None)

    async def _serve(self) -> None:
        runner = web.AppRunner(
            self._make_app(), access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT
        )
        with socket.create_server((_HOST, self._port)) as listener:
            await runner.setup()
            try:
                await web.SockSite(runner, listener).start()
                self.listening.set_result(listener.getsockname()[1])
                await asyncio.wrap_future(self._told_to_stop)
            finally:
                await _close(runner, listener)


async def _close(runner: web.AppRunner, listener: socket.socket) -> None:
    # asyncio loses a connection that is being set up when its server closes: set it up first.
    asyncio.get_running_loop().remove_reader(listener)
    for _ in range(3):
        await asyncio.sleep(0)
    connections = runner.server.connections if runner.server is not None else []
    transports = [connection.transport for connection in connections]
    await runner.cleanup()
    for transport in transports:
        if transport is not None:
            transport.abort()  # It would stay open as long as the client does not read.


def _pending() -> Future[Any]:
    """Make a future that nobody can cancel, as asyncio would where a wait for it is cancelled."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future

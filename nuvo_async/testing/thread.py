"""Serves a web application in a separate thread with its own event loop."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aiohttp import web

__all__ = ["ServerThread"]

_HOST = "127.0.0.1"
_SHUTDOWN_TIMEOUT = 0.05  # Seconds that requests under way have when the server stops.


class ServerThread:
    """A thread that serves an application until `stop` is called.

    The thread owns its loop and its sockets. After `stop`, it cleans up by itself. So a caller that
    waits for it can be interrupted or cancelled at any time, and no resources are left behind.
    """

    def __init__(self, make_app: Callable[[], web.Application], port: int) -> None:
        self.listening: Future[int] = _pending()  # The port, or the error at the start.
        self.ended: Future[None] = _pending()  # Done after the cleanup, or with a later error.
        self._told_to_stop: Future[None] = _pending()
        self._make_app = make_app
        self._port = port
        # It is a daemon, so that a server that is never stopped does not keep Python running.
        self._thread = threading.Thread(target=self._run, name="NuvoServer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Make the thread stop. The caller need not wait for it."""
        self._told_to_stop.set_result(None)

    def join(self) -> None:
        """Wait until the thread has ended, and raise its error, if any."""
        self._thread.join()
        self.ended.result()

    def _run(self) -> None:
        try:
            # This loop is used even if another is the default: `_close` relies on how it accepts.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as loop:
                loop.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
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
    # asyncio loses connections that are being set up when the server closes. So stop accepting, and
    # let them finish first.
    asyncio.get_running_loop().remove_reader(listener)
    for _ in range(3):
        await asyncio.sleep(0)
    connections = runner.server.connections if runner.server is not None else []
    transports = [connection.transport for connection in connections]
    await runner.cleanup()
    for transport in transports:
        if transport is not None:
            transport.abort()  # Otherwise it stays open until the client reads.


def _pending() -> Future[Any]:
    """Make a future that asyncio cannot cancel when a wait for it is cancelled."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future

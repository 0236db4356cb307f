"""The embedded server's life: starting, stopping, and its thread."""

import asyncio
import gc
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from yarl import URL

from nuvo_async.testing import NuvoServer, faults
from nuvo_async.testing.handlers import Handlers
from tests.testing.conftest import get, session_of

REQUEST = b"GET /dp/api/v1/execution/ HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def synchronously(server):
    with server:
        yield server


@pytest.fixture(params=[synchronously, lambda server: server], ids=["with", "async with"])
def entered(request):
    """Enter a server, in an async test, in each of both ways."""
    return request.param


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def port_of(server):
    return int(URL(server.base_url).port or 0)


def server_threads():
    return [thread for thread in threading.enumerate() if thread.name == "NuvoServer"]


@contextmanager
def connected(server):
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=20) as connection:
        yield connection


async def asked(server):
    while not server.requests:  # noqa: ASYNC110 - the server has an event loop of its own
        await asyncio.sleep(0.01)


# Starting.


async def test_it_serves_while_its_context_runs(entered):
    server = NuvoServer()
    for _ in range(2):
        async with entered(server), session_of(server) as http:
            await get(http, "execution/")
            assert len(server_threads()) == 1
        assert not server_threads()
        with pytest.raises(RuntimeError, match="using `with` or `async with`"):
            assert server.base_url
    assert len(server.requests) == 2


async def test_a_server_that_runs_cannot_be_entered_again(entered):
    async with entered(NuvoServer()) as server:
        with pytest.raises(RuntimeError, match="runs already"), server:
            pass
        with pytest.raises(RuntimeError, match="runs already"):
            async with server:
                pass
        async with session_of(server) as http:
            await get(http, "execution/")


def test_a_server_needs_no_event_loop(nuvo_server):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{nuvo_server.base_url}execution/")
    assert [request.call for request in nuvo_server.requests] == ["list"]


async def test_a_port_can_be_chosen_and_may_be_taken(entered):
    with NuvoServer() as first:
        another = NuvoServer(port=port_of(first))
        with pytest.raises(OSError, match="address"):
            async with entered(another):
                pass
        assert len(server_threads()) == 1
        with pytest.raises(RuntimeError, match="does not run"):
            assert another.base_url
    async with entered(another), session_of(another) as http:
        await get(http, "execution/")


async def test_a_start_that_fails_leaves_nothing_behind(entered, monkeypatch):
    def fail(_):
        raise MemoryError("no more of it")

    opened = open_files()
    server = NuvoServer()
    with monkeypatch.context() as patched:
        patched.setattr(Handlers, "make_app", fail)
        with pytest.raises(MemoryError, match="no more of it"):
            async with entered(server):
                pass
    assert not server_threads()
    assert open_files() == opened
    async with entered(server), session_of(server) as http:
        await get(http, "execution/")


# Stopping.


async def test_what_the_body_raises_stops_the_server(entered):
    with pytest.raises(ZeroDivisionError):
        async with entered(NuvoServer()):
            raise ZeroDivisionError
    assert not server_threads()


async def test_a_server_that_was_not_started_can_be_left():
    server = NuvoServer()
    server.__exit__()
    await server.__aexit__()


async def refuse_to_stop(_request, act):
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    return await act()


@pytest.mark.parametrize(
    "fault",
    [faults.delay(60), refuse_to_stop, faults.body(b" " * 20_000_000)],
    ids=["silent", "not to be cancelled", "an answer that nobody reads"],
)
async def test_a_request_under_way_is_cut_off(entered, fault):
    opened = open_files()
    server = NuvoServer()
    server.add_fault("list", fault)
    with ExitStack() as connections:
        async with entered(server):
            asking, halfway = (connections.enter_context(connected(server)) for _ in range(2))
            asking.sendall(REQUEST)
            halfway.sendall(REQUEST[:10])
            await asked(server)
        assert not server_threads()
    gc.collect()  # What was not closed would warn, which is an error in these tests.
    assert open_files() == opened


def test_connections_that_are_being_made_are_closed_too():
    """Asyncio itself loses those that come in the very moment in which a server closes."""
    with NuvoServer() as server:
        address = ("127.0.0.1", port_of(server))
    server = NuvoServer(port=address[1])
    over = threading.Event()

    def connect():
        while not over.is_set():
            with suppress(OSError), socket.create_connection(address, timeout=20) as connection:
                connection.sendall(REQUEST)

    with ThreadPoolExecutor(3) as connecting:
        for _ in range(3):
            connecting.submit(connect)
        for _ in range(20):
            with server:
                time.sleep(random.random() / 50)
        over.set()
    gc.collect()


# The caller's loop.


async def test_starting_and_stopping_do_not_block_the_loop(monkeypatch):
    loop, make_app = asyncio.get_running_loop(), Handlers.make_app
    starting, stopping = threading.Event(), threading.Event()

    def make_app_later(handlers):
        loop.call_soon_threadsafe(starting.set)  # Only a loop that is not blocked does so.
        assert starting.wait(20)
        return make_app(handlers)

    async def end_later(_request, act):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        loop.call_soon_threadsafe(stopping.set)
        assert stopping.wait(20)
        return await act()

    monkeypatch.setattr(Handlers, "make_app", make_app_later)
    async with NuvoServer() as server:
        server.add_fault("list", end_later)
        with connected(server) as asking:
            asking.sendall(REQUEST)
            await asked(server)
    assert stopping.is_set()


async def test_a_start_that_is_cancelled_leaves_nothing_behind(monkeypatch):
    making, go_on, make_app = threading.Event(), threading.Event(), Handlers.make_app

    def make_app_later(handlers):
        making.set()
        assert go_on.wait(20)
        return make_app(handlers)

    monkeypatch.setattr(Handlers, "make_app", make_app_later)
    server = NuvoServer()
    entering = asyncio.create_task(server.__aenter__())
    assert await asyncio.to_thread(making.wait, 20)
    entering.cancel()
    await asyncio.wait([entering])  # At once: the thread is held up.
    assert entering.cancelled()
    go_on.set()
    [thread] = server_threads()
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
    async with server, session_of(server) as http:
        await get(http, "execution/")


async def test_a_stop_that_is_cancelled_is_carried_out_all_the_same():
    server = await NuvoServer().__aenter__()
    [thread] = server_threads()
    leaving = asyncio.create_task(server.__aexit__())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
    async with server, session_of(server) as http:
        await get(http, "execution/")


# Other threads, and other ends.


async def test_it_is_scripted_from_several_threads_at_once(nuvo_server, http):
    nuvo_server.add_pipeline("long", duration=60)

    def script(number):
        for _ in range(50):
            nuvo_server.add_pipeline(f"short-{number}")
            nuvo_server.start(f"short-{number}")
            nuvo_server.start("long")
            nuvo_server.add_fault("list", faults.status(503))
            nuvo_server.forget()
            nuvo_server.clear_faults()
            assert nuvo_server.executions

    with ThreadPoolExecutor(4) as threads:
        scripting = [threads.submit(script, number) for number in range(4)]
        while not all(one.done() for one in scripting):
            async with http.get("execution/") as response:
                assert response.status in {200, 503}
    for one in scripting:
        one.result()
    nuvo_server.forget()
    assert len(nuvo_server.executions) == 4 * 50


def test_a_server_that_is_never_stopped_does_not_keep_python_from_ending():
    code = "from nuvo_async.testing import NuvoServer; NuvoServer().__enter__(); print('over')"
    command = [sys.executable, "-Werror", "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, timeout=50)
    assert (done.stdout.strip(), done.stderr) == (b"over", b"")

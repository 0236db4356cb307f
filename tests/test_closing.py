"""The end of a client: whenever it comes, and however often, nothing is left behind."""

import asyncio
import gc
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from nuvo_async import ClientClosedError, NuvoClient, PollPolicy
from nuvo_async.testing import faults
from tests.fronts import listening
from tests.wire.test_create import full_backlog

FILES = Path("/proc/self/fd")


def sockets():
    """The sockets of this process, the server's own included, where the system tells."""
    if not FILES.exists():
        return set()
    links = []
    for file in FILES.iterdir():
        try:
            links.append(str(file.readlink()))
        except FileNotFoundError:  # It was that of the listing.
            continue
    return {link for link in links if link.startswith("socket:")}


@asynccontextmanager
async def nothing_left():
    """Fail if the block leaves a task or a socket behind; what it leaves unclosed would warn."""
    tasks, before = asyncio.all_tasks(), sockets()
    yield
    async with asyncio.timeout(10):
        # The other end, the server's, closes a moment later.
        while asyncio.all_tasks() - tasks or sockets() - before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    gc.collect()


@asynccontextmanager
async def busy(server, **options):
    """A client with calls under way, in each of which the server has its time, and idle sockets."""
    client = NuvoClient(server.access_token, base_url=server.base_url, **options)
    await asyncio.gather(*(client.list_executions() for _ in range(3)))
    server.add_fault("list", faults.delay(0.5), times=99)
    calls = [asyncio.create_task(client.list_executions()) for _ in range(2)]
    await asyncio.sleep(0.05)
    yield client
    for call in calls:
        with pytest.raises(ClientClosedError):
            await call


async def test_close_may_be_called_many_times_at_once(nuvo_server):
    async with nothing_left(), busy(nuvo_server) as client:
        await asyncio.gather(*(client.close() for _ in range(5)))
        await client.close()


@pytest.mark.parametrize("turns", range(5))
async def test_a_close_that_is_cancelled_is_finished_by_the_next(nuvo_server, turns):
    async with nothing_left(), busy(nuvo_server) as client:
        closing = asyncio.create_task(client.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await client.close()
        # It has waited for all of them.
        assert client._connection._transport.is_closed
        await asyncio.gather(closing, return_exceptions=True)


@pytest.mark.parametrize("turns", range(5))
async def test_a_close_that_is_cancelled_leaves_nothing_behind_in_the_end(nuvo_server, turns):
    async with nothing_left():
        client = NuvoClient(nuvo_server.access_token, base_url=nuvo_server.base_url)
        await client.list_executions()
        closing = asyncio.create_task(client.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        if turns == 0:  # It had not begun.
            await client.close()
        del client


async def test_a_close_in_a_block_that_is_cancelled_is_finished_by_the_next(nuvo_server):
    async with nothing_left():
        client = NuvoClient(nuvo_server.access_token, base_url=nuvo_server.base_url)

        async def use():
            async with client:
                await client.list_executions()
                await asyncio.sleep(30)

        using = asyncio.create_task(use())
        await asyncio.sleep(0.05)
        using.cancel()
        await asyncio.sleep(0)
        using.cancel()  # In the middle of its `close`.
        with pytest.raises(asyncio.CancelledError):
            await using
        await client.close()
        assert client._connection._transport.is_closed


@pytest.mark.parametrize("where", ["connecting", "resolving", "in TLS"])
async def test_close_ends_a_connection_that_is_being_made(nuvo_server, monkeypatch, where):
    async def hang(*_, **__):
        await asyncio.sleep(30)

    async with full_backlog() as port, nothing_left():
        base_url = f"http://127.0.0.1:{port}/"
        if where == "resolving":
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
            base_url = "https://nuvo.invalid/"

        async def listen(reader, _):
            await reader.read()

        async with listening(listen) as silent_port:
            if where == "in TLS":
                base_url = f"https://127.0.0.1:{silent_port}/"
            client = NuvoClient("t0ken", base_url=base_url)
            call = asyncio.create_task(client.create_execution("orders"))
            await asyncio.sleep(0.05)
            await client.close()
            with pytest.raises(ClientClosedError) as caught:
                await call
            assert not getattr(caught.value, "__notes__", [])  # It was never sent.
        monkeypatch.undo()


async def test_close_leaves_a_session_of_the_callers_in_use(nuvo_server):
    async with nothing_left(), aiohttp.ClientSession() as session:
        async with busy(nuvo_server, session=session) as client:
            await asyncio.gather(client.close(), client.close())
        assert not session.closed
        async with NuvoClient(
            nuvo_server.access_token, base_url=nuvo_server.base_url, session=session
        ) as another:
            nuvo_server.add_pipeline("orders")
            assert await another.create_execution("orders")


@pytest.mark.parametrize("times", [1, 2])
async def test_a_callback_may_close_the_client_and_be_cancelled_by_it(nuvo_server, times):
    nuvo_server.add_pipeline("orders", duration=60)
    async with nothing_left():
        client = NuvoClient(
            nuvo_server.access_token,
            base_url=nuvo_server.base_url,
            poll=PollPolicy(min_interval=0.02),
        )

        async def close(_):
            await asyncio.gather(*(client.close() for _ in range(times)))

        runs = [asyncio.create_task(client.run_pipeline("orders", on_poll=close)) for _ in range(3)]
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*runs, return_exceptions=True)
        assert [type(one) for one in outcomes] == [ClientClosedError] * 3
        await client.close()


async def test_closed_in_its_own_loop_a_client_may_be_closed_again_in_another(nuvo_server):
    client = NuvoClient(nuvo_server.access_token, base_url=nuvo_server.base_url)
    await client.list_executions()
    await client.close()
    await asyncio.to_thread(lambda: asyncio.run(client.close()))

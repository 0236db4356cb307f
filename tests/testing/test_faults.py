"""What the embedded server does wrong on request."""

import asyncio
import threading
from typing import Any

import pytest

from nuvo_async.testing import NuvoServer, faults
from tests.testing.conftest import get, post


async def test_a_rate_limit_names_the_end_of_its_window(nuvo_server, nuvo_client):
    nuvo_server.add_fault("list", faults.rate_limit(3, per=0.2), times=100)
    await asyncio.gather(*(nuvo_client.list_executions() for _ in range(9)))
    assert 9 < len(nuvo_server.requests) < 40


async def test_faults_are_met_in_order_and_by_whom_they_are_for(nuvo_server, http, five):
    nuvo_server.add_fault("read", faults.status(500), of=five[1])
    nuvo_server.add_fault("read", faults.status(503), times=2)
    nuvo_server.add_fault("create", faults.status(409), of="b")
    for n, status in [(0, 503), (1, 500), (1, 503), (0, 200), (1, 200)]:
        await get(http, f"execution/{five[n]}", status)
    for pipeline, status in [("a", 201), ("b", 409), ("b", 201)]:
        await post(http, "execution/", {"pipeline_id": pipeline}, expected=status)
    await post(http, "execution/", "x", expected=422)


async def test_a_fault_of_your_own_is_a_function(nuvo_server, http):
    async def twice(request, act):
        await act()
        return await act()

    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", twice)
    await post(http, "execution/", {"pipeline_id": "orders"})
    assert len(nuvo_server.executions) == 2


def test_a_fault_that_can_never_be_met_is_refused():
    unmeetable: list[tuple[Any, int]] = [("reed", 1), ("read", 0)]
    for call, times in unmeetable:
        with pytest.raises(ValueError, match="call must be one of"):
            NuvoServer().add_fault(call, faults.status(500), times=times)


async def test_scripts_that_make_no_sense_are_refused():
    server = NuvoServer()
    not_a_fault: Any = 503
    with pytest.raises(ValueError, match="there is no pipeline 'orders'"):
        server.start("orders")
    with pytest.raises(ValueError, match="fault a function"):
        server.add_fault("read", not_a_fault)


async def test_a_fault_can_hold_a_request_until_the_test_lets_it_go(nuvo_server, http):
    """As the guide to faults shows it."""
    held, go_on = threading.Event(), threading.Event()

    async def hold(request, act):
        held.set()
        while not go_on.is_set():  # noqa: ASYNC110 - it belongs to no event loop
            await asyncio.sleep(0.01)
        return await act()

    nuvo_server.add_fault("list", hold)
    asking = asyncio.create_task(get(http, "execution/"))
    assert await asyncio.to_thread(held.wait, 20)
    assert not asking.done()
    go_on.set()
    assert (await asking)["data"] == []


async def test_a_fault_runs_in_the_servers_thread(nuvo_server, http):
    loops, threads = [asyncio.get_running_loop()], [threading.current_thread()]

    async def look(request, act):
        loops.append(asyncio.get_running_loop())
        threads.append(threading.current_thread())
        return await act()

    nuvo_server.add_fault("list", look)
    await get(http, "execution/")
    assert loops[0] is not loops[1]
    assert threads[0] is not threads[1]

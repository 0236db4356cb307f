"""Fixtures that come with the package: a test against the Execution API is three lines.

    async def test_orders_are_loaded(nuvo_server, nuvo_client):
        nuvo_server.add_pipeline("orders", rows=250)
        assert await load_orders(nuvo_client) == 250

`nuvo_server` serves every test, also synchronous ones and other processes. `nuvo_client` needs
pytest-asyncio (0.26 or newer, in any mode and with any `loop_scope`), or anyio's plugin.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from nuvo_async.client import NuvoClient
from nuvo_async.testing import NuvoServer
from nuvo_async.waiting import PollPolicy
from nuvo_async.wire import RetryPolicy

__all__ = ["nuvo_client", "nuvo_server"]


@pytest.fixture
def nuvo_server() -> Iterator[NuvoServer]:
    """A `NuvoServer` that runs for one test, in a thread of its own."""
    with NuvoServer() as server:
        yield server


@pytest.fixture
def nuvo_client(request: pytest.FixtureRequest) -> NuvoClient:
    """A `NuvoClient` of that server, which polls and retries without the delays of real life.

    It is opened and closed on the event loop that the test runs on.
    """
    client: NuvoClient = request.getfixturevalue(f"_nuvo_client_{_loop_of(request)}")
    return client


def _loop_of(request: pytest.FixtureRequest) -> str:
    """Name the loop that a test runs on: anyio's, or the scope of one of pytest-asyncio."""
    mark = request.node.get_closest_marker("asyncio")
    if mark is None and "anyio_backend" in request.fixturenames:
        if request.getfixturevalue("anyio_backend_name") == "asyncio":
            return "anyio"
        pytest.fail(
            "nuvo_client needs asyncio: define a fixture anyio_backend that returns 'asyncio'",
            pytrace=False,
        )
    default = None
    with suppress(ValueError):  # Without pytest-asyncio, there is no such option.
        default = request.config.getini("asyncio_default_test_loop_scope")
    if default is None:
        pytest.fail(
            "nuvo_client needs a plugin that runs async tests: install pytest-asyncio 0.26 or"
            " newer and mark the test with @pytest.mark.asyncio, or use anyio's plugin",
            pytrace=False,
        )
    options = {} if mark is None else mark.kwargs
    return str(options.get("loop_scope") or options.get("scope") or default)


def _client_fixture(fixture: Callable[..., Any], loop: str) -> object:
    async def client(nuvo_server: NuvoServer) -> AsyncIterator[NuvoClient]:
        async with NuvoClient(
            nuvo_server.access_token,
            base_url=nuvo_server.base_url,
            retry=RetryPolicy(base_delay=0.01, max_delay=0.1),
            poll=PollPolicy(min_interval=0.02, max_interval=0.2, not_found_grace=0.5),
        ) as client:
            yield client

    return fixture(name=f"_nuvo_client_{loop}")(client)


# Each of these is set up by the plugin that it is meant for, on the loop that it is named after.
_of_anyio = _client_fixture(pytest.fixture, "anyio")
try:
    from pytest_asyncio import fixture

    _of_function, _of_class, _of_module, _of_package, _of_session = (
        _client_fixture(partial(fixture, loop_scope=scope), scope)
        for scope in ("function", "class", "module", "package", "session")
    )
except (ImportError, TypeError):  # It is not there, or too old to know scopes of loops.
    pass

"""Fixtures that come with the package: a test against the Execution API is three lines.

    async def test_orders_are_loaded(nuvo_server, nuvo_client):
        nuvo_server.add_pipeline("orders", rows=250)
        assert await load_orders(nuvo_client) == 250

They are async, and work with pytest-asyncio where it is installed, or else with anyio's plugin.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from nuvo_async.client import NuvoClient
from nuvo_async.testing import NuvoServer
from nuvo_async.waiting.policy import PollPolicy
from nuvo_async.wire.retry import RetryPolicy

if TYPE_CHECKING:
    fixture = pytest.fixture
else:
    try:
        from pytest_asyncio import fixture
    except ImportError:
        fixture = pytest.fixture

__all__ = ["nuvo_client", "nuvo_server"]


@fixture
async def nuvo_server() -> AsyncIterator[NuvoServer]:
    """A `NuvoServer` that runs for one test."""
    async with NuvoServer() as server:
        yield server


@fixture
async def nuvo_client(nuvo_server: NuvoServer) -> AsyncIterator[NuvoClient]:
    """A `NuvoClient` of that server, which polls and retries without the delays of real life."""
    async with NuvoClient(
        nuvo_server.access_token,
        base_url=nuvo_server.base_url,
        retry=RetryPolicy(base_delay=0.01, max_delay=0.1),
        poll=PollPolicy(min_interval=0.02, max_interval=0.2, not_found_grace=0.5),
    ) as client:
        yield client

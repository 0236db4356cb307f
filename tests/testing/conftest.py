"""The embedded server as any HTTP client sees it."""

import aiohttp
import pytest
import pytest_asyncio


@pytest_asyncio.fixture
async def http(nuvo_server):
    """A bare session with the server's token, and the server's base URL."""
    async with session_of(nuvo_server) as session:
        yield session


def session_of(server):
    headers = {"Authorization": f"Bearer {server.access_token}"}
    return aiohttp.ClientSession(server.base_url, headers=headers)


async def get(http, path, expected=200):
    async with http.get(path) as response:
        assert response.status == expected
        assert response.content_type == "application/json"
        return await response.json()


async def post(http, path, json, expected=201):
    async with http.post(path, json=json) as response:
        assert response.status == expected
        return await response.json()


@pytest.fixture
def five(nuvo_server):
    return start_five(nuvo_server)


def start_five(server):
    """Start five executions of two pipelines, and return the ids in the order of creation."""
    server.add_pipeline("a")
    server.add_pipeline("b", error="PARSING_FAILURE")
    ids = []
    for pipeline, trigger_type in [
        ("a", "MANUAL"),
        ("b", "MANUAL"),
        ("a", "SCHEDULED"),
        ("b", "EVENT"),
        ("a", "MANUAL"),
    ]:
        ids += server.start(pipeline, trigger_type=trigger_type)
    return ids

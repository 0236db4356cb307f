"""What the tests share: payloads as the API sends them, and clients of the embedded server."""

import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings

from nuvo_async import LicenseKey, NuvoClient, PollPolicy, RetryPolicy
from nuvo_async.testing import NuvoServer
from tests.canaries import Watch, watched

pytest_plugins = ["pytester"]
# How long an example takes says more of the machine than of the code.
settings.register_profile("nuvo", deadline=None)
settings.load_profile("nuvo")

MakeClient = Callable[..., NuvoClient]


def payload(**changes: Any) -> dict[str, Any]:
    """An execution with every documented field, as Read by ID answers."""
    actor = {"id": "u1", "name": "A User", "identifier": "user@example.com", "type": "USER"}
    return {
        "id": "65f0",
        "pipeline": "orders",
        "status": "SUCCESSFUL",
        "trigger_type": "MANUAL",
        "error": None,
        "logs": [
            {
                "status": "SUCCESSFUL",
                "data": {
                    "total_rows": 10,
                    "total_cells": 40,
                    "total_error_cells": 5,
                    "total_error_rows": 3,
                },
                "duration": 1500,
                "started_on": "2026-01-02T03:04:05.678Z",
                "type": "CREATE",
            }
        ],
        "configuration": "c1",
        "created_at": "2026-01-02T03:04:05Z",
        "created_by": actor,
        "updated_at": "2026-01-02T03:04:07.178900+02:00",
        "updated_by": {**actor, "type": "SUB_ORG"},
        **changes,
    }


@pytest_asyncio.fixture
async def make_client(nuvo_server: NuvoServer) -> AsyncIterator[MakeClient]:
    """Make clients of the embedded server, with options, that are closed after the test."""
    async with AsyncExitStack() as stack:

        def make(credentials: str | LicenseKey | None = None, **options: Any) -> NuvoClient:
            options.setdefault("base_url", nuvo_server.base_url)
            options.setdefault("retry", RetryPolicy(base_delay=0.01, max_delay=0.05))
            options.setdefault("poll", PollPolicy(min_interval=0.02, max_interval=0.1))
            client = NuvoClient(credentials or nuvo_server.access_token, **options)
            stack.push_async_callback(client.close)
            return client

        yield make


@pytest.fixture
def license_key(nuvo_server: NuvoServer) -> LicenseKey:
    return LicenseKey(nuvo_server.license_key, nuvo_server.identifier)


def calls(server: NuvoServer) -> list[str]:
    """The calls that the server got, in order."""
    return [request.call for request in server.requests]


@pytest.fixture(autouse=True)
def no_server_is_left() -> Iterator[None]:
    """Each embedded server that a test starts ends with it, and its thread, too."""
    before = threading.enumerate()
    yield
    started = [thread for thread in threading.enumerate() if thread not in before]
    assert "NuvoServer" not in [thread.name for thread in started]


_WATCH = pytest.StashKey[Watch]()


@pytest.fixture(autouse=True)
def no_secret_is_shown(request: pytest.FixtureRequest) -> Iterator[None]:
    """Search all that a test has shown for secrets; its output is searched by the hook below."""
    with watched() as watch:
        request.node.stash[_WATCH] = watch
        yield
        assert watch.shown(folder=request.node.funcargs.get("tmp_path")) == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    watch = item.stash.get(_WATCH, None)
    if report.when == "call" and report.passed and watch is not None:
        shown = watch.shown(report.capstdout, report.capstderr, report.caplog)
        if shown:
            report.outcome = "failed"
            report.longrepr = f"the test has shown secrets: {shown}"
    return report

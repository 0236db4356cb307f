"""What the tests of batches share: a journal's path, what is in it, and disks with troubles."""

import asyncio
import json
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nuvo_async import Execution, NuvoClient, PipelineRun

SYNC = os.fsync


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "runs.journal"


@pytest.fixture
async def executions(nuvo_server: Any, nuvo_client: NuvoClient) -> list[Execution]:
    """Three executions, of which the second ends first, and the third has failed."""
    nuvo_server.add_pipeline("slow", duration=0.8)
    nuvo_server.add_pipeline("quick")
    nuvo_server.add_pipeline("failing", duration=0.4, error="PARSING_FAILURE", message="torn")
    return [
        execution
        for pipeline in ("slow", "quick", "failing")
        for execution in await nuvo_client.create_execution(pipeline)
    ]


async def listed(iterator: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in iterator]


async def collect(iterator: AsyncIterator[Any], into: list[Any]) -> None:
    async for one in iterator:
        into.append(one)  # noqa: PERF401 - to have those before an error


async def run_all(
    client: NuvoClient, ids: list[str], path: Path | str, **options: Any
) -> dict[str, PipelineRun]:
    """Run pipelines with a journal, and return each run by its pipeline."""
    return {
        run.pipeline_id: run async for run in client.run_pipelines(ids, journal=path, **options)
    }


def events(path: Path) -> list[tuple[int, str]]:
    """Return the events in a journal, each with its position; none if there is no file yet."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    records = [json.loads(line) for line in lines[1:]]
    return [(record["position"], record["event"]) for record in records]


def created(path: Path) -> set[int]:
    """Return the positions whose Create was answered."""
    return {position for position, event in events(path) if event == "created"}


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - for what has no event
            await asyncio.sleep(0.01)


def journal_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("nuvo-journal")]


class Disk:
    """The disk behind `os.fsync`: busy as long as it is held, or with an error."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.folder_error: OSError | None = None
        self.syncs = 0
        self._is_free = threading.Event()
        self._is_free.set()
        self._until_held = 0

    def hold(self, *, after: int = 0) -> None:
        """Confirm nothing, after so many times, until `release`."""
        self._until_held = after
        self._is_free.clear()

    def release(self) -> None:
        self._is_free.set()

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        self._until_held -= 1
        assert self._until_held >= 0 or self._is_free.wait(60)
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if (error := self.folder_error if is_folder else self.error) is not None:
            raise error
        SYNC(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk that is as usual until the test changes it."""
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.sync)
    yield disk
    disk.release()

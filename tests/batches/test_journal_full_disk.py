"""A journal on a disk that is full or fails: nothing more is started, and what was is named."""

import asyncio
import errno
import resource

import pytest

from nuvo_async import CreateOutcomeUnknownError, JournalError, PipelineRun
from nuvo_async.batches.journal import Journal
from nuvo_async.models.converter import structure_execution
from tests.batches.conftest import collect, created, events, listed, run_all, until
from tests.conftest import calls, payload

STARTED = structure_execution(payload(status="PROCESSING"))


@pytest.fixture
def room():
    """Let no file grow beyond a size until the test is over."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def set_room(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))

    yield set_room
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [300, 400, 600, 800, 1200])
@pytest.mark.parametrize("concurrency", [1, 3, 9])
async def test_a_full_disk_in_the_middle_names_what_was_started(
    nuvo_server, nuvo_client, make_client, path, room, size, concurrency
):
    ids = [f"orders-{n}" for n in range(9)]
    for one in ids:
        nuvo_server.add_pipeline(one, duration=0.1)
    ended: list[PipelineRun] = []
    room(size)
    with pytest.raises(JournalError, match="cannot be written: File too large") as caught:
        await collect(nuvo_client.run_pipelines(ids, journal=path, concurrency=concurrency), ended)
    room(resource.RLIM_INFINITY)
    started = {one["id"] for one in nuvo_server.executions}
    named = {one.id for one in caught.value.executions}
    assert named | {run.executions[0].id for run in ended} == started
    notes = "".join(getattr(caught.value, "__notes__", ()))
    assert all(one.id in notes for one in caught.value.executions if not one.is_finished)
    # When there is room again, all the others are started. An intent may be in doubt that was not
    # sent, where there was no room to take it back.
    runs = await listed(make_client().run_pipelines(ids, journal=path))
    unknown = [run.error for run in runs if isinstance(run.error, CreateOutcomeUnknownError)]
    assert {one.id for error in unknown for one in error.candidates} <= named
    assert len(nuvo_server.executions) == 9 - sum(not error.candidates for error in unknown)
    assert sum(run.succeeded for run in runs) == 9 - len(unknown)


async def test_nothing_is_sent_once_the_disk_fails(nuvo_server, nuvo_client, path, disk):
    nuvo_server.add_pipeline("orders", duration=0.2)
    running = asyncio.create_task(run_all(nuvo_client, ["orders"] * 9, path, concurrency=1))
    await until(lambda: created(path))
    disk.error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(JournalError, match="cannot be written: Input/output error") as caught:
        await running
    assert calls(nuvo_server).count("create") == 1
    [execution] = caught.value.executions
    assert execution.id == nuvo_server.executions[0]["id"]


async def test_intents_that_the_disk_has_not_confirmed_are_taken_back(path, disk):
    journal = Journal(path, ["orders"] * 9)
    await journal.open()
    await journal.intend(0)
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    intents = [asyncio.create_task(journal.intend(n)) for n in range(1, 9)]
    await asyncio.sleep(0)
    journal.note_created(0, [STARTED])
    for outcome in await asyncio.gather(*intents, return_exceptions=True):
        assert isinstance(outcome, JournalError)
    await journal.close()
    assert events(path) == [(0, "intent"), (0, "created")]


async def test_a_full_disk_takes_no_part_of_a_line(path, room):
    journal = Journal(path, ["orders"] * 3)
    await journal.open()
    await journal.intend(0)
    room(path.stat().st_size + 70)
    journal.note_created(0, [STARTED])  # It is longer than that,
    journal.note_refused(1, ValueError())  # and this is not.
    with pytest.raises(JournalError, match="File too large"):
        await journal.settle()
    with pytest.raises(JournalError, match="File too large"):
        await journal.intend(2)
    await journal.close()
    room(resource.RLIM_INFINITY)
    assert events(path) == [(0, "intent"), (1, "refused")]
    assert path.read_bytes().endswith(b"}\n")


async def test_a_full_disk_leaves_no_half_header(path, room):
    room(50)
    journal = Journal(path, ["orders"])
    with pytest.raises(JournalError, match="cannot be used: File too large"):
        await journal.open()
    await journal.close()
    assert path.read_bytes() == b""

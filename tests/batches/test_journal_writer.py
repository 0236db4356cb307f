"""How a journal is written: slow disks, full disks, and callers that leave in the middle."""

import asyncio
import gc
import json
import signal
import socket
import subprocess
import sys
import threading
from contextlib import aclosing

import pytest
from aiohttp.client_proto import ResponseHandler

from nuvo_async import ClientClosedError, Execution, JournalError
from nuvo_async.batches.journal import Journal
from nuvo_async.batches.recorded_create import RecordedCreate
from nuvo_async.models.converter import structure_execution
from tests.batches.conftest import created, events, journal_threads, listed, run_all, until
from tests.conftest import payload

STARTED = structure_execution(payload(status="PROCESSING"))


@pytest.fixture
def answers(nuvo_server):
    """Hold back the answers to Creates that were carried out, until the event is set."""
    event = threading.Event()

    async def hold_back(_, act):
        answer = await act()
        while not event.is_set():  # noqa: ASYNC110 - the server has a loop of its own
            await asyncio.sleep(0.01)
        return answer

    nuvo_server.add_pipeline("orders", duration=60)
    nuvo_server.add_fault("create", hold_back, times=1000)
    return event


# A slow disk.


@pytest.mark.parametrize("how", ["cancel", "cancel twice", "close the client"])
async def test_what_was_answered_is_recorded_whoever_leaves_while_the_disk_is_busy(
    nuvo_server, make_client, path, disk, answers, how
):
    client = make_client()
    ids = ["orders"] * 40
    running = asyncio.create_task(run_all(client, ids, path))
    await until(lambda: len(nuvo_server.executions) == 40)
    disk.hold()
    answers.set()
    # Written already, and so safe from `kill -9`.
    await until(lambda: created(path) == set(range(40)))
    if how == "close the client":
        await client.close()
    else:
        running.cancel()
    await asyncio.sleep(0.1)
    assert not running.done()
    if how == "cancel twice":
        running.cancel()
        await asyncio.wait([running])  # It ends, and the writer goes on.
    disk.release()
    with pytest.raises((asyncio.CancelledError, ClientClosedError)):
        await running
    await until(lambda: not journal_threads())
    again = await listed(make_client().run_pipelines(ids, journal=path, timeout=0.1))
    assert {run.executions[0].id for run in again} == {one["id"] for one in nuvo_server.executions}
    assert len(nuvo_server.executions) == 40


async def test_an_iterator_that_is_left_has_written_all(nuvo_server, nuvo_client, path):
    nuvo_server.add_pipeline("orders", duration=60)
    nuvo_server.add_pipeline("quick")
    ids = ["quick", *["orders"] * 20]
    async with aclosing(nuvo_client.run_pipelines(ids, journal=path)) as runs:
        await anext(runs)
        await until(lambda: len(nuvo_server.executions) == 21)
    started = {event for event in events(path) if event[1] == "created"}
    in_doubt = {event for event in events(path) if event[1] == "intent"}
    assert len(started) == len(in_doubt) == 21
    assert journal_threads() == []


async def test_an_answer_is_recorded_when_its_caller_is_cancelled_at_that_moment(
    nuvo_server, nuvo_client, path, monkeypatch
):
    nuvo_server.add_pipeline("orders", duration=60)
    receive = ResponseHandler.data_received

    def cancel_and_receive(self, data):
        if b" 201 " in data[:15]:
            running.cancel()
        receive(self, data)

    running = asyncio.create_task(run_all(nuvo_client, ["orders"], path))
    monkeypatch.setattr(ResponseHandler, "data_received", cancel_and_receive)
    with pytest.raises(asyncio.CancelledError) as caught:
        await running
    assert events(path) == [(0, "intent"), (0, "created")]
    [execution] = nuvo_server.executions
    assert any(execution["id"] in note for note in caught.value.__notes__)


async def test_an_answer_that_the_machine_has_received_is_recorded(make_client, path):
    """It is in the system's buffer, since the event loop was busy until the cancellation."""
    answer = json.dumps({"data": [payload(status="PROCESSING")]}).encode()
    received, is_busy, answered = threading.Event(), threading.Event(), threading.Event()

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(10_000)
            received.set()
            is_busy.wait()
            head = f"HTTP/1.1 201 Created\r\nContent-Length: {len(answer)}\r\n\r\n"
            connection.sendall(head.encode() + answer)
            answered.set()
            connection.recv(1)  # Until the client has left.

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        client = make_client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        journal = Journal(path, ["orders"])
        await journal.open()
        noted: list[Execution] = []
        create = RecordedCreate(client._api, journal, 0, "orders", noted.extend)
        sending = asyncio.create_task(create.send())
        await until(received.is_set)
        is_busy.set()
        answered.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await journal.close()
        await client.close()
        await asyncio.to_thread(serving.join)
    assert events(path) == [(0, "intent"), (0, "created")]
    assert noted == [STARTED]


async def test_no_create_is_sent_after_the_cancellation(nuvo_server, nuvo_client, path, disk):
    """The disk confirms the intents only then."""
    nuvo_server.add_pipeline("orders")
    disk.hold(after=2)  # The new file and its folder.
    running = asyncio.create_task(run_all(nuvo_client, ["orders"] * 5, path))
    await until(lambda: len(events(path)) == 5)
    running.cancel()
    await asyncio.sleep(0.1)
    disk.release()
    with pytest.raises(asyncio.CancelledError) as caught:
        await running
    assert not hasattr(caught.value, "__notes__")
    assert nuvo_server.requests == []
    assert sorted(events(path)) == [(n, event) for n in range(5) for event in ("intent", "refused")]


async def test_what_is_written_while_the_disk_is_busy_is_confirmed_together(path, disk):
    """However many records come, and whenever: none waits for more than two syncs."""

    async def create(position):
        await journal.intend(position)
        journal.note_created(position, [])
        await journal.settle()

    journal = Journal(path, ["orders"] * 100)
    await journal.open()
    disk.syncs = 0
    disk.hold()
    creating = [asyncio.create_task(create(n)) for n in range(100)]
    # Written already, and so safe from `kill -9`.
    await until(lambda: len(events(path)) == 100)
    assert disk.syncs == 1
    disk.release()
    await asyncio.gather(*creating)
    await journal.close()
    assert len(events(path)) == 200
    assert disk.syncs < 20


# Its end.


async def test_close_writes_what_is_left_and_leaves_no_thread(path, disk):
    journal = Journal(path, ["orders"] * 9)
    await journal.open()
    disk.hold()
    intents = [asyncio.create_task(journal.intend(n)) for n in range(9)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0.1)
    assert not closing.done()
    disk.release()
    await closing
    assert journal_threads() == []
    assert len(events(path)) == 9
    await asyncio.gather(*intents)
    with pytest.raises(JournalError, match="is not open"):
        await journal.intend(0)


async def test_close_can_be_called_twice_at_once_and_again_after_it_was_cancelled(path, disk):
    journal = Journal(path, ["orders"])
    await journal.open()
    disk.hold()
    journal.note_refused(0, ValueError())
    first = asyncio.create_task(journal.close())
    second = asyncio.create_task(journal.close())
    await asyncio.sleep(0.05)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    disk.release()
    await second
    await journal.close()
    assert journal_threads() == []
    assert events(path) == [(0, "refused")]
    following = Journal(path, ["orders"])
    await following.open()
    await following.close()


async def test_opening_that_is_cancelled_or_fails_leaves_nothing_behind(path, disk):
    disk.hold()
    journal = Journal(path, ["orders"])
    opening = asyncio.create_task(journal.open())
    await until(path.exists)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    disk.release()
    await journal.close()
    holding = Journal(path, ["orders"])
    await holding.open()
    refused = Journal(path, ["orders"])
    with pytest.raises(JournalError, match="in use"):
        await refused.open()
    await refused.close()
    await holding.close()
    assert journal_threads() == []
    gc.collect()  # A file that is left open would be a warning.


PROGRAM = """
import asyncio, os, pathlib, signal, sys, time
from nuvo_async.batches.journal import Journal

sync = os.fsync


def slow_sync(descriptor):
    time.sleep(float(sys.argv[2]))
    sync(descriptor)


async def main():
    journal = Journal(pathlib.Path(sys.argv[1]), ["orders"] * 3)
    await journal.open()
    os.fsync = slow_sync
    for position in range(3):
        asyncio.ensure_future(journal.intend(position))
    await asyncio.sleep(0)
    for position in range(3):
        journal.note_created(position, [])
    LEAVE


loop = asyncio.new_event_loop()
START
"""
RUN = "asyncio.run(main())"
WAYS_OUT = {
    "the loop ends": ("return", RUN, 0),
    "an exception": ("raise ValueError", RUN, 1),
    "sys.exit": ("sys.exit(5)", RUN, 5),
    "Ctrl-C": ("signal.raise_signal(2); await asyncio.sleep(9)", RUN, -signal.SIGINT),
    "Ctrl-C in a callback": ("raise KeyboardInterrupt", RUN, -signal.SIGINT),
    "a loop that is not closed": ("return", "loop.run_until_complete(main())", 0),
    "a loop that is stopped": (
        "loop.stop(); await asyncio.sleep(9)",
        "loop.create_task(main()); loop.run_forever(); loop.close()",
        0,
    ),
    "kill -9": ("await asyncio.sleep(1); signal.raise_signal(9)", RUN, -signal.SIGKILL),
}


@pytest.mark.parametrize(("leave", "start", "code"), WAYS_OUT.values(), ids=WAYS_OUT)
def test_what_was_handed_over_is_written_however_the_program_ends(path, leave, start, code):
    program = PROGRAM.replace("LEAVE", leave).replace("START", start)
    sync_time = "60" if code == -signal.SIGKILL else "0.3"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), sync_time],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert sorted(events(path)) == [(n, event) for n in range(3) for event in ("created", "intent")]
    assert "Event loop is closed" not in done.stderr

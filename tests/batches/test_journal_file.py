"""The file of a journal: which file is accepted, and what becomes of it meanwhile."""

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from nuvo_async import JournalError
from nuvo_async.batches.journal import Journal
from tests.batches.conftest import events, journal_threads, listed, run_all, until
from tests.conftest import calls

JOURNAL = b"".join(
    [
        b'{"journal":"nuvo_async","version":1,"pipelines":1,"digest":',
        b'"b571e6ec6c35bf7ecb5d2ba6a5d7a4f0b2b7ef2c7b7e2a5c2e2f5a9d1c3b7a55"}\n',
        b'{"position":0,"event":"intent","pipeline":"orders","at":"2026-11-24T03:04:05.1Z"}\n',
    ]
)


async def finished_journal(server, client, path):
    """Run two pipelines, and return the lines of their journal."""
    server.add_pipeline("orders")
    await listed(client.run_pipelines(["orders", "orders"], journal=path))
    return path.read_bytes().splitlines(keepends=True)


# Which file is accepted.

OTHER_FILES = {
    "JSON": b'{"name": "value"}',
    "JSON over several lines": b'{\n  "name": "value"\n}\n',
    "JSON lines": b'{"a": 1}\n{"a": 2}\n',
    "text": b"remember the milk\n",
    "text without a newline at its end": b"remember\nthe milk",
    "one word": b"milk",
    "a newline": b"\n",
    "a blank": b" ",
    "a brace": b"{",
    "ids": b"orders\nstock\n",
    "a table": b"id,name\r\n1,one\r\n",
    "UTF-16": "remember".encode("utf-16"),
    "zero bytes": b"\0" * 600,
    "a zero byte": b"\0",
    "an image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a journal of something else": b'{"journal": "another", "version": 1}\n',
    "a journal of a later version": b'{"journal": "nuvo_async", "version": 2}\n',
    "a journal of another list": JOURNAL,
    "the start of a journal of another list": JOURNAL[:90],
}


@pytest.mark.parametrize("content", OTHER_FILES.values(), ids=OTHER_FILES)
async def test_another_file_is_never_changed_by_a_byte(nuvo_server, nuvo_client, path, content):
    nuvo_server.add_pipeline("orders")
    path.write_bytes(content)
    before = path.stat()
    for _ in range(2):
        with pytest.raises(JournalError, match=path.name):
            await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert path.read_bytes() == content
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert nuvo_server.requests == []


CONVERSIONS = {
    "CR line ends": lambda content: content.replace(b"\n", b"\r"),
    "CR line ends after the header": lambda content: b"\n".join(
        [content.partition(b"\n")[0], content.partition(b"\n")[2].replace(b"\n", b"\r")]
    ),
    "zero bytes in it": lambda content: content.replace(b"created", b"\0\0\0\0\0\0\0"),
    "zero bytes before it": lambda content: b"\0" * 512 + content,
    "a BOM": lambda content: b"\xef\xbb\xbf" + content,
    "a BOM and no newline at its end": lambda content: b"\xef\xbb\xbf" + content.rstrip(),
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "all on one line": lambda content: content.replace(b"\n", b""),
    "its header missing": lambda content: content.partition(b"\n")[2],
}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
async def test_a_journal_that_was_converted_is_refused_and_not_begun_anew(
    nuvo_server, nuvo_client, path, convert
):
    content = b"".join(await finished_journal(nuvo_server, nuvo_client, path))
    path.write_bytes(convert(content))
    with pytest.raises(JournalError, match="is corrupt in line"):
        await listed(nuvo_client.run_pipelines(["orders", "orders"], journal=path))
    assert path.read_bytes() == convert(content)
    assert len(nuvo_server.executions) == 2


async def test_an_empty_file_becomes_a_journal(nuvo_server, nuvo_client, path):
    path.touch()
    await finished_journal(nuvo_server, nuvo_client, path)
    assert len(events(path)) == 6


async def test_a_last_line_counts_without_its_newline(nuvo_server, nuvo_client, path):
    """Whatever it is, nothing is started a second time, and the file is complete again."""
    lines = await finished_journal(nuvo_server, nuvo_client, path)
    for count in range(2, len(lines) + 1):
        path.write_bytes(b"".join(lines[:count])[:-1])
        intents = sum(b'"intent"' in line for line in lines[:count])
        before = len(nuvo_server.executions)
        await listed(nuvo_client.run_pipelines(["orders", "orders"], journal=path))
        assert len(nuvo_server.executions) == before + 2 - intents
        assert path.read_bytes().startswith(b"".join(lines[:count]))


@pytest.mark.parametrize("cut", [2, 10, 30])
async def test_a_last_line_that_was_cut_off_is_dropped_with_a_warning(
    nuvo_server, nuvo_client, path, caplog, cut
):
    lines = await finished_journal(nuvo_server, nuvo_client, path)
    path.write_bytes(b"".join(lines)[:-cut])
    again = await listed(nuvo_client.run_pipelines(["orders", "orders"], journal=path))
    assert "dropped a last line that was cut off" in caplog.text
    assert all(run.succeeded for run in again)
    assert len(nuvo_server.executions) == 2
    assert len(events(path)) == 6


async def test_a_corrupt_journal_is_not_shortened_either(nuvo_server, nuvo_client, path):
    lines = await finished_journal(nuvo_server, nuvo_client, path)
    content = b"".join([lines[0], lines[-1], b'{"position": 1, "ev'])
    path.write_bytes(content)
    with pytest.raises(JournalError, match="is corrupt in line 2"):
        await listed(nuvo_client.run_pipelines(["orders", "orders"], journal=path))
    assert path.read_bytes() == content


async def test_a_journal_in_use_is_refused(nuvo_server, nuvo_client, path):
    nuvo_server.add_pipeline("orders", duration=60)
    running = asyncio.create_task(run_all(nuvo_client, ["orders"], path))
    await until(lambda: (0, "created") in events(path))
    content = path.read_bytes()
    with pytest.raises(JournalError, match="is in use by another run"):
        await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert path.read_bytes() == content
    running.cancel()
    await asyncio.wait([running])
    [again] = await listed(nuvo_client.run_pipelines(["orders"], journal=path, timeout=0.1))
    assert len(again.executions) == 1


async def test_what_is_no_file_cannot_be_a_journal(nuvo_server, nuvo_client, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (
        tmp_path,
        tmp_path / "no" / "folder",
        tmp_path / "pipe",
        tmp_path / "loop",
        Path("/dev/null"),
    ):
        with pytest.raises(JournalError, match=r"cannot be used|must be a file"):
            await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert nuvo_server.requests == []


async def test_a_journal_may_be_behind_a_link(nuvo_server, nuvo_client, path):
    link = path.with_name("link")
    link.symlink_to(path)
    await finished_journal(nuvo_server, nuvo_client, link)
    assert link.is_symlink()
    assert len(events(path)) == 6


async def test_too_many_open_files_are_an_error_before_anything_is_sent(
    nuvo_server, nuvo_client, path
):
    nuvo_server.add_pipeline("orders")
    journal = Journal(path, ["orders"])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opening = asyncio.create_task(journal.open())
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(JournalError, match="cannot be used: Too many open files"):
            await opening
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    await journal.close()
    assert journal_threads() == []
    [run] = await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert run.succeeded


# A folder that the file system cannot sync.


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
async def test_a_folder_that_refuses_fsync_is_tolerated_with_a_warning(
    nuvo_server, nuvo_client, path, disk, caplog, code
):
    nuvo_server.add_pipeline("orders")
    disk.folder_error = OSError(code, os.strerror(code))
    for _ in range(2):
        caplog.clear()
        [run] = await listed(nuvo_client.run_pipelines(["orders"], journal=path))
        assert run.succeeded
        assert "its folder cannot be synced" in caplog.text


async def test_a_disk_that_is_broken_is_not_tolerated(nuvo_server, nuvo_client, path, disk):
    nuvo_server.add_pipeline("orders")
    disk.folder_error = OSError(errno.EIO, "Input/output error")
    for _ in range(2):
        with pytest.raises(JournalError, match="cannot be used: Input/output error"):
            await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    disk.folder_error = None
    disk.error = OSError(errno.EINVAL, "Invalid argument")
    with pytest.raises(JournalError, match="cannot be used: Invalid argument"):
        await listed(nuvo_client.run_pipelines(["orders"], journal=path))
    assert nuvo_server.requests == []


# What happens to the file during a run.


def move(path):
    path.rename(path.with_suffix(".moved"))


def replace(path):
    move(path)
    path.write_bytes(path.with_suffix(".moved").read_bytes())


def move_the_folder(path):
    path.parent.rename(path.parent.with_suffix(".moved"))


def append(path):
    with path.open("ab") as file:
        file.write(b"remember the milk\n")


INTERFERENCES = {
    "moved": move,
    "removed": Path.unlink,
    "replaced by a copy": replace,
    "its folder moved": move_the_folder,
    "emptied": lambda path: path.write_bytes(b""),
    "overwritten": lambda path: path.write_bytes(b"remember the milk\n"),
    "appended to": append,
}


@pytest.mark.parametrize("interfere", INTERFERENCES.values(), ids=INTERFERENCES)
async def test_nothing_is_started_once_the_file_is_another(
    nuvo_server, nuvo_client, path, interfere
):
    path.parent.joinpath("folder").mkdir()
    path = path.parent / "folder" / path.name
    nuvo_server.add_pipeline("orders", duration=0.1)
    nuvo_server.add_pipeline("long", duration=60)
    ids = ["orders", "long", "orders", "orders"]
    running = asyncio.create_task(run_all(nuvo_client, ids, path, concurrency=2))
    await until(lambda: {(0, "created"), (1, "created")} <= {*events(path)})
    interfere(path)
    changed = path.read_bytes() if path.exists() else None
    with pytest.raises(JournalError, match=r"was (moved, removed|changed)") as caught:
        await running
    assert calls(nuvo_server).count("create") == 2
    started = {one["id"] for one in nuvo_server.executions}
    assert {one.id for one in caught.value.executions} == started
    assert (path.read_bytes() if path.exists() else None) == changed


async def test_a_journal_that_was_moved_meanwhile_goes_on_where_it_is(
    nuvo_server, nuvo_client, path
):
    """What was started before is in it, and nothing of what was not sent."""
    nuvo_server.add_pipeline("orders", duration=0.2)
    ids = ["orders"] * 9
    running = asyncio.create_task(run_all(nuvo_client, ids, path, concurrency=3))
    await until(lambda: sum(event == "created" for _, event in events(path)) == 3)
    moved = path.rename(path.with_suffix(".moved"))
    with pytest.raises(JournalError):
        await running
    runs = await listed(nuvo_client.run_pipelines(ids, journal=moved))
    assert [run.succeeded for run in runs] == [True] * 9
    assert len(nuvo_server.executions) == 9


async def test_a_working_directory_that_changes_is_no_trouble(
    nuvo_server, nuvo_client, tmp_path, monkeypatch
):
    nuvo_server.add_pipeline("orders")
    monkeypatch.chdir(tmp_path)
    async with aclosing(
        nuvo_client.run_pipelines(["orders"] * 4, journal="runs.journal", concurrency=1)
    ) as runs:
        await anext(runs)
        monkeypatch.chdir("/")
        assert [run.succeeded async for run in runs] == [True] * 3
    assert len(events(tmp_path / "runs.journal")) == 12


# A process that is forked meanwhile.


FORKING_PROGRAM = """
import asyncio, os, pathlib, signal, sys
from nuvo_async import JournalError
from nuvo_async.batches.journal import Journal


async def main():
    journal = Journal(pathlib.Path(sys.argv[1]), ["orders"])
    await journal.open()
    if os.fork():
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        journal.note_refused(0, ValueError())
    except JournalError as error:
        print(error, flush=True)
    await journal.close()
    sys.stdin.read()


asyncio.run(main())
"""


async def open_and_close(path):
    journal = Journal(path, ["orders"])
    await journal.open()
    await journal.close()


def test_a_forked_child_neither_writes_nor_holds_the_lock(path):
    """The parent was killed, and the child is still there."""
    with subprocess.Popen(
        [sys.executable, "-c", FORKING_PROGRAM, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert "is not open in this process" in process.stdout.readline()
        assert process.wait() == -signal.SIGKILL
        asyncio.run(open_and_close(path))
        process.stdin.close()
        assert process.stdout.read() == ""
    assert events(path) == []

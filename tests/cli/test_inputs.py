"""Ids and tokens from files and standard input."""

import asyncio
import os
from asyncio import subprocess

import pytest

from tests.cli.command import COMMAND, environ, finish, run, shell


async def test_run_takes_ids_from_arguments_a_file_and_stdin(nuvo_server, tmp_path):
    for name in ("a", "b", "c"):
        nuvo_server.add_pipeline(name)
    (tmp_path / "ids").write_text("b\n\n  b\n")
    done = await run(
        *(nuvo_server, "run", "a", "-", "--file", str(tmp_path / "ids"), "--json"), stdin="c\n"
    )
    assert done.code == 0
    assert sorted(one["pipeline"] for one in done.objects) == ["a", "b", "b", "c"]
    assert {one["status"] for one in done.objects} == {"SUCCESSFUL"}
    assert all(one["logs"] for one in done.objects)


async def test_wait_takes_ids_from_a_file_and_stdin(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("orders", files=3)
    ids = nuvo_server.start("orders")
    (tmp_path / "ids").write_text(f"{ids[1]}\n{ids[2]}\n")
    done = await run(
        *(nuvo_server, "wait", "-", "--file", str(tmp_path / "ids"), "--json"),
        stdin=f"{ids[0]}\n{ids[2]}\n",
    )
    assert done.code == 0
    assert sorted(one["id"] for one in done.objects) == sorted(ids)


async def test_standard_input_that_is_closed_is_exit_code_2(nuvo_server):
    done = await shell('exec "$@" <&-', "run", "-", env=environ(nuvo_server))
    assert done.code == 2
    assert "standard input is closed" in done.err


FILES = {
    "a byte order mark": b"\xef\xbb\xbforders\nstock\n",
    "one in the middle, of files put together": b"orders\n\xef\xbb\xbfstock\n",
    "comments and blank lines": b"# nightly\norders\n\n   \n  # the rest\nstock\n",
    "line ends of Windows": b"orders\r\nstock\r\n",
    "line ends of old Macs": b"orders\rstock",
    "blanks": b"  orders\t\n\tstock  \n",
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
@pytest.mark.parametrize("from_stdin", [True, False])
async def test_ids_may_come_from_any_editor(nuvo_server, tmp_path, content, from_stdin):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("stock")
    (tmp_path / "ids").write_bytes(content)
    source = ["-"] if from_stdin else ["--file", str(tmp_path / "ids")]
    # Ids are UTF-8, whatever the terminal is.
    done = await run(
        *(nuvo_server, "run", *source, "--json"), stdin=content, PYTHONIOENCODING="cp1252"
    )
    assert done.code == 0
    assert sorted(one["pipeline"] for one in done.objects) == ["orders", "stock"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("orders\n".encode("utf-16"), "is UTF-16 or no text at all: save it as UTF-8"),
        ("orders\n".encode("utf-16-le"), "is UTF-16 or no text at all: save it as UTF-8"),
        ("注文\n".encode("utf-32"), "is UTF-16 or no text at all: save it as UTF-8"),
        ("größe\n".encode("latin-1"), "it is not UTF-8 text; save it as UTF-8"),
        (b"orders\na\x1bb\n", "line 2 of - must not hold a control character"),
        (b"# nothing but a comment\n", "no PIPELINE_ID was given"),
        (b"", "no PIPELINE_ID was given"),
    ],
    ids=["utf-16", "without a mark", "utf-32", "latin-1", "control", "comment", "empty"],
)
def test_a_file_without_ids_that_can_be_read_is_exit_code_2(run_here, content, problem):
    done = run_here("run", "-", stdin=content)
    assert (done.code, done.out) == (2, "")
    assert problem in done.err


async def test_standard_input_that_does_not_block_is_read_to_its_end(nuvo_server):
    nuvo_server.add_pipeline("orders")
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "run", "-", "--json"),
        env=environ(nuvo_server),
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(reading)
    for part in (b"orders\nor", b"ders\n"):
        await asyncio.sleep(1)
        os.write(writing, part)
    os.close(writing)
    done = await finish(process, nuvo_server)
    assert done.code == 0
    assert [one["pipeline"] for one in done.objects] == ["orders", "orders"]


@pytest.mark.parametrize("from_stdin", [True, False])
async def test_a_token_comes_from_a_file(nuvo_server, tmp_path, from_stdin):
    token = f"\ufeff{nuvo_server.access_token}\r\n"  # As an editor of Windows saves it.
    (tmp_path / "token").write_text(token, "utf-8")
    source = "-" if from_stdin else str(tmp_path / "token")
    done = await run(
        *(None, "list", "--base-url", nuvo_server.base_url, "--token-file", source),
        stdin=token,
    )
    assert (done.code, done.err) == (0, "")
    (tmp_path / "token").unlink()  # Each test's files are searched for secrets.

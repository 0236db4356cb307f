"""A server that answers like the Execution API, as fast as Python can, in a process of its own.

It parses no more of HTTP than the clients measured here send, and holds its answers ready. Whether
it was the bottleneck is told by the share of a core that it used, which each part prints.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.request import urlopen

from attrs import frozen

__all__ = ["EXECUTIONS", "Server", "execution_id", "serving"]

EXECUTIONS = 10_000
_PAGE = 100
_ACTOR = {"id": "65f1", "name": "Ada Lovelace", "identifier": "ada@example.com", "type": "USER"}


def execution_id(number: int) -> str:
    """Return an id of the form that the API has."""
    return f"{number:024x}"


def _listed(number: int) -> dict[str, object]:
    return {
        "id": execution_id(number),
        "pipeline": "65f1c0ffee65f1c0ffee65f1",
        "status": "SUCCESSFUL",
        "trigger_type": "MANUAL",
        "error": None,
        "created_at": "2026-11-01T08:00:00.000Z",
        "created_by": _ACTOR,
        "updated_at": f"2026-11-01T08:{number // 60 % 60:02}:{number % 60:02}.123Z",
        "updated_by": _ACTOR,
    }


def _read(number: str) -> dict[str, object]:
    run = {
        "status": "SUCCESSFUL",
        "data": {
            "total_rows": 250,
            "total_cells": 2500,
            "total_error_cells": 3,
            "total_error_rows": 2,
        },
        "duration": 1834,
        "started_on": "2026-11-01T08:00:00.100Z",
        "type": "CREATE",
    }
    entry = {**_listed(1), "id": number, "configuration": "https://example.com/configuration.json"}
    return {"data": {**entry, "logs": [run]}}


def _created(pipeline_id: str) -> dict[str, object]:
    entry = {"id": execution_id(1), "pipeline": pipeline_id, "status": "PROCESSING"}
    return {"data": [{**entry, "trigger_type": "MANUAL"}]}


def _answer(json_body: object) -> bytes:
    body = json.dumps(json_body, separators=(",", ":")).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


_MARK = execution_id(0xABCDEF)
_READ_HEAD, _READ_TAIL = _answer(_read(_MARK)).split(_MARK.encode())
_CREATED_HEAD, _CREATED_TAIL = _answer(_created(_MARK)).split(_MARK.encode())


@cache
def _page(offset: int) -> bytes:
    data = [_listed(number) for number in range(offset, min(offset + _PAGE, EXECUTIONS))]
    pagination = {"total": EXECUTIONS, "offset": offset, "limit": _PAGE}
    return _answer({"data": data, "pagination": pagination})


class _Connection(asyncio.Protocol):
    """One connection. Ids are of one length, so that they fit into the answers held ready."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        method, target, _ = head.split(b" ", 2)
        if method == b"POST":
            if not body.endswith(b"}"):
                return
            answer = _CREATED_HEAD + json.loads(body)["pipeline_id"].encode() + _CREATED_TAIL
        else:
            answer = self._look_up(target.partition(b"/execution/")[2])
        self._received = b""
        self._transport.write(answer)

    def _look_up(self, wanted: bytes) -> bytes:
        if wanted == b"":
            return _answer(time.process_time())
        if not wanted.startswith(b"?"):
            return _READ_HEAD + wanted + _READ_TAIL
        offset = wanted.partition(b"offset%5D=")[2] or wanted.partition(b"offset]=")[2]
        return _page(int(offset.partition(b"&")[0] or 0))


@frozen
class Server:
    """The server, as the clients see it."""

    base_url: str

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used so far."""
        with urlopen(f"{self.base_url}execution/") as answer:
            return float(answer.read())


@contextmanager
def serving() -> Iterator[Server]:
    """Run the server in its own process while the block runs."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}/dp/api/v1/")
        finally:
            process.terminate()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())

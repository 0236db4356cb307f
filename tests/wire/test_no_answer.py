"""Where no answer came, the error says what happened, in plain words, and what to check."""

import asyncio
import socket
import subprocess
import sys
import textwrap

import pytest

from nuvo_async import RequestTimeoutError, RetryPolicy, TransportError
from nuvo_async.testing import faults
from tests.fronts import listening
from tests.wire.test_create import full_backlog

ONCE = RetryPolicy(max_attempts=1)
CHECK = (
    "check the base_url (scheme, host and port), and whether this network needs a VPN or a proxy"
)


@pytest.fixture
def trouble_at(make_client):
    """What comes of a Create at an address where nothing is received."""

    async def trouble(base_url, **options):
        client = make_client(base_url=base_url, retry=ONCE, **options)
        with pytest.raises(TransportError) as caught:
            await client.create_execution("orders")
        assert caught.value.sent_at is None
        assert "<" not in str(caught.value)  # No `repr` of something of aiohttp's.
        return str(caught.value).partition("POST execution/: no answer: ")[2]

    return trouble


@pytest.fixture
def dead_port():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return gone.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_where_nothing_listens(trouble_at, dead_port, host):
    assert await trouble_at(f"http://{host}:{dead_port}/") == (
        f"no connection to {host}:{dead_port} (the connection was refused); {CHECK}"
    )


async def test_a_host_that_is_not_known(trouble_at, monkeypatch):
    async def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    assert await trouble_at("https://nuvo.invalid/") == (
        f"no address for the host nuvo.invalid (Name or service not known); {CHECK}"
    )


async def test_https_where_http_is_spoken(nuvo_server, trouble_at):
    place = nuvo_server.base_url.split("/")[2]
    assert await trouble_at(f"https://{place}/") == (
        f"no connection to {place} (it does not speak TLS); {CHECK}"
    )
    assert nuvo_server.requests == []


async def test_a_connection_that_is_reset_in_the_making(trouble_at):
    async def reset(_, writer):
        writer.transport.abort()

    async with listening(reset) as port:
        assert await trouble_at(f"https://127.0.0.1:{port}/") == (
            f"no connection to 127.0.0.1:{port} (the connection was reset); {CHECK}"
        )


async def test_a_connection_that_hangs_in_the_making(trouble_at):
    async with full_backlog() as port:
        assert await trouble_at(f"http://127.0.0.1:{port}/", request_timeout=0.3) == (
            f"no connection, not within 0.3 s (request_timeout); {CHECK}"
        )


async def test_a_resolver_that_hangs_is_a_connection_that_hangs(trouble_at, monkeypatch):
    async def hang(*_, **__):
        await asyncio.sleep(30)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    text = await trouble_at("https://nuvo.invalid/", request_timeout=0.3)
    assert text.startswith("no connection, not within 0.3 s (request_timeout)")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.cut(acted=False), "the connection was closed before an answer came"),
        (faults.truncated(), "the connection was closed before the answer was complete"),
    ],
    ids=["cut", "truncated"],
)
async def test_an_answer_that_breaks_off(nuvo_server, make_client, fault, words):
    nuvo_server.add_fault("list", fault)
    with pytest.raises(TransportError) as caught:
        await make_client(retry=ONCE).list_executions()
    assert str(caught.value) == f"GET execution/: no answer: {words}"
    assert caught.value.sent_at is not None


async def test_an_answer_that_does_not_come(nuvo_server, make_client):
    nuvo_server.add_fault("list", faults.delay(30))
    with pytest.raises(RequestTimeoutError) as caught:
        await make_client(retry=ONCE, request_timeout=1).list_executions()
    assert str(caught.value) == "GET execution/: no answer: not within 1 s (request_timeout)"


OUT_OF_FILES = """
    import asyncio, os, resource
    from nuvo_async import NuvoClient, RetryPolicy, TransportError
    from nuvo_async.testing import NuvoServer

    async def main():
        async with NuvoServer() as server:
            server.add_pipeline("orders", duration=0.1)
            retry = RetryPolicy(max_attempts=2, base_delay=0.01)
            base_url = server.base_url.replace("127.0.0.1", "{host}")
            async with NuvoClient(server.access_token, base_url=base_url, retry=retry) as client:
                _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
                held = []
                try:
                    while True:
                        held.append(os.open(os.devnull, os.O_RDONLY))
                except OSError:
                    pass
                for call in (client.create_execution("orders"), client.get_execution("1")):
                    try:
                        await call
                    except TransportError as error:
                        print(error.sent_at, error)
                for file in held:
                    os.close(file)
                [execution] = await client.run_pipeline("orders")
                print(execution.status, len(server.executions))

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_too_many_open_files_are_said_so_and_pass(host):
    code = textwrap.dedent(OUT_OF_FILES).replace("{host}", host)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    create, read, recovered = done.stdout.splitlines()
    for line, call in ((create, "POST execution/"), (read, "GET execution/1")):
        assert line.startswith(f"None {call}: no answer: this process has too many open files;")
        assert "ulimit -n" in line
    assert recovered == "SUCCESSFUL 1"

"""An API that cannot be reached for a while: said when it begins, and when it is over."""

import asyncio
import re
import signal
import socket
from unittest.mock import Mock

import aiohttp
import pytest

from nuvo_async.cli.contact import Contact
from nuvo_async.cli.tasks import beside
from nuvo_async.testing import NuvoServer, faults
from tests.cli.command import environ, finish, requested, start


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def said(process, text):
    """Read stderr up to a line that has this text."""
    lines = [""]
    while text not in lines[-1]:
        lines.append((await process.stderr.readline()).decode())
        assert lines[-1], lines
    return lines


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_a_server_that_dies_and_comes_back(options):
    server = NuvoServer(port=free_port())
    async with server:
        server.add_pipeline("slow", duration=600)
        [slow] = server.start("slow")
        process = await start("wait", slow, *options, env=environ(server))
        await requested(server, 1, "read")
    [*_, line] = await said(process, "API unavailable")
    said_so = r"nuvo-async: API unavailable for \d+\.\d s: Connection refused; still trying\n"
    assert re.fullmatch(said_so, line)
    async with server:
        [*between, line] = await said(process, "API available again, after ")
        assert between == [""]  # Nothing is said twice.
        process.send_signal(signal.SIGINT)
        done = await finish(process, server)
    assert done.code == 130
    assert "API" not in done.err


async def test_the_end_of_an_outage_is_said_though_the_command_ends_with_it():
    async def fail(_):
        raise aiohttp.ServerDisconnectedError

    async def answer(_):
        return Mock(status=200)

    contact = Contact()
    texts: list[str] = []
    async with beside(contact.report(texts.append)):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await contact(Mock(), fail)
        async with asyncio.timeout(20):
            while not texts:  # noqa: ASYNC110 - as a person does
                await asyncio.sleep(0.1)
        await contact(Mock(), answer)
    [began, ended] = texts
    assert began.endswith(": the connection broke; still trying")
    assert ended.startswith("API available again, after ")


async def test_an_answer_that_does_not_come(nuvo_server):
    nuvo_server.add_pipeline("slow", duration=60)
    [slow] = nuvo_server.start("slow")
    nuvo_server.add_fault("read", faults.delay(25), times=99)
    process = await start("wait", slow, env=environ(nuvo_server))
    [*_, line] = await said(process, "API unavailable")
    assert line.endswith(" s: no answer yet; still trying\n")
    process.send_signal(signal.SIGINT)
    assert (await finish(process, nuvo_server)).code == 130


async def test_a_rate_limit_that_lets_nothing_through(nuvo_server):
    nuvo_server.add_pipeline("slow", duration=60)
    nuvo_server.add_fault("create", faults.status(429, retry_after=1), times=99)
    process = await start("run", "slow", env=environ(nuvo_server))
    [*_, line] = await said(process, "API unavailable")
    assert line.endswith(" s: 429 Too Many Requests; still trying\n")
    process.send_signal(signal.SIGINT)
    assert (await finish(process, nuvo_server)).code == 130


async def test_a_single_failed_request_is_not_worth_a_word(nuvo_server):
    nuvo_server.add_pipeline("orders", duration=3)
    nuvo_server.add_fault("read", faults.status(503), times=1)
    process = await start("run", "orders", env=environ(nuvo_server))
    done = await finish(process, nuvo_server)
    assert done.code == 0
    assert "API" not in done.err

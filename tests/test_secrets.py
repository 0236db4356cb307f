"""Canaries: a token and a licence key that must not be seen anywhere, whatever goes wrong."""

import asyncio
import json
import logging
import pickle
import subprocess
import sys
import traceback

import pytest

from nuvo_async import (
    InvalidResponseError,
    LicenseKey,
    NuvoClient,
    NuvoError,
    PollPolicy,
    RetryPolicy,
    TransportError,
)
from nuvo_async.testing import faults
from tests.canaries import watched
from tests.conftest import payload

TOKEN = "canary-t0ken/+="
KEY = "canary-k3y/+="


def everything(error):
    """All that an exception shows, or that tools show of it, local variables included."""
    shown = []
    link = error
    while link is not None:
        shown += [str(link), repr(link), repr(link.args), repr(vars(link))]
        shown += getattr(link, "__notes__", [])
        lines = traceback.TracebackException.from_exception(link, capture_locals=True).format()
        # The frames of the tests are the user's, who has the secrets; the variables of the
        # package, and of the libraries under it, must not show them.
        shown += [line for line in lines if "/tests/" not in line]
        link = link.__cause__ or link.__context__
    return "\n".join(shown)


ECHO = json.dumps({"message": f"token {TOKEN} and key {KEY} are wrong", "echo": [TOKEN, KEY]})
TROUBLES = {
    "echo 400": faults.body(ECHO, code=400),
    "echo 401": faults.body(ECHO, code=401),
    "echo 500": faults.body(ECHO, code=500),
    "echo as text": faults.body(f"Bearer {TOKEN} {KEY}", code=403, content_type="text/plain"),
    "echo in a 2xx": faults.body(ECHO),
    "echo in no JSON": faults.body(f"{TOKEN} {KEY}"),
    "echo in a redirect": faults.redirect(f"https://elsewhere.example/?t={TOKEN}&k={KEY}"),
    "echo in a request id": faults.body("{}", code=500, headers={"X-Request-ID": f"{TOKEN} {KEY}"}),
    "echo in a failure": faults.body(
        json.dumps(
            {
                "data": payload(
                    id="1", status="FAILED", error={"message": f"{TOKEN} {KEY}", "type": "X"}
                )
            }
        )
    ),
    "cut": faults.cut(acted=False),
    "silence": faults.delay(5),
    "half an answer": faults.truncated(),
    "wrong encoding": faults.body(b"no gzip", headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("fault", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("call", ["token", "read", "create"])
async def test_no_trouble_shows_a_secret(nuvo_server, caplog, capfd, call, fault):
    nuvo_server.add_fault(call, fault, times=99)
    if call != "token":
        nuvo_server.add_fault("token", faults.body(json.dumps({"access_token": TOKEN})))
        nuvo_server.add_fault("list", fault, times=99)
    options = {
        "base_url": nuvo_server.base_url,
        "request_timeout": 0.1,
        "retry": RetryPolicy(max_attempts=2, base_delay=0),
        "poll": PollPolicy(min_interval=0.01, max_outage=0),
    }
    with caplog.at_level(logging.DEBUG):
        async with NuvoClient(LicenseKey(KEY, "user@example.com"), **options) as client:
            asking = (
                client.create_execution("1")
                if call == "create"
                else client.wait_for_completion("1")
            )
            with pytest.raises(NuvoError) as caught:
                await asking
            shown = everything(caught.value) + repr(client) + repr(vars(client))
            shown += repr(pickle.loads(pickle.dumps(caught.value)).__dict__)
    shown += caplog.text + "".join(capfd.readouterr())
    assert "canary-k3y" not in shown
    if call != "token":  # Before that, the client has no token to know it by.
        assert "canary-t0ken" not in shown


@pytest.mark.parametrize("when", ["connecting", "waiting for an answer", "reading the body"])
async def test_a_cancelled_call_shows_no_secret(nuvo_server, when):
    async def stall(request, act):
        from aiohttp import web

        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        await asyncio.sleep(5)
        return response

    if when != "connecting":
        fault = stall if when == "reading the body" else faults.delay(5)
        nuvo_server.add_fault("list", fault)
    async with NuvoClient(TOKEN, base_url=nuvo_server.base_url) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0 if when == "connecting" else 0.1):
                await client.list_executions()
        assert "canary" not in everything(caught.value)


RAW = {
    "a status that is none": b"HTTP/1.1 two hundred\r\n\r\n",
    "a header that is too long": b"HTTP/1.1 200 OK\r\nX-Echo: "
    + TOKEN.encode() * 3000
    + b"\r\n\r\n",
    "headers that break off": f"HTTP/1.1 200 OK\r\nX-Echo: {TOKEN}\r\nContent-Le".encode(),
    "a body that breaks off": (
        f"HTTP/1.1 200 OK\r\nX-Echo: {TOKEN}\r\nContent-Length: 9\r\n\r\n{{".encode()
    ),
    "a wrong chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("raw", RAW.values(), ids=RAW)
async def test_malformed_http_shows_no_secret(raw):
    async def talk_nonsense(_, writer):
        writer.write(raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk_nonsense, "127.0.0.1", 0)
    async with server:
        base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with NuvoClient(
            TOKEN, base_url=base_url, retry=RetryPolicy(max_attempts=1)
        ) as client:
            with pytest.raises((TransportError, InvalidResponseError)) as caught:
                await client.list_executions()
    assert "canary" not in everything(caught.value)


def test_help_shows_no_environment(monkeypatch):
    monkeypatch.setenv("NUVO_LICENSE_KEY", KEY)
    code = "import nuvo_async, pydoc; print(pydoc.render_doc(nuvo_async.NuvoClient))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "canary" not in done.stdout


@pytest.mark.parametrize("place", ["log", "text", "error", "cause", "note", "attribute", "file"])
async def test_the_watch_over_all_tests_sees_a_secret(place, tmp_path):
    """A watch that cannot fail would prove nothing."""
    with watched() as watch:
        secret = "a-canary-that-only-this-watch-knows"
        watch.kept.add(secret)
        error = NuvoError(secret if place == "error" else "harmless")
        if place == "cause":
            error.__cause__ = ValueError(secret)
        if place == "note":
            error.add_note(secret)
        if place == "attribute":
            vars(error)["token"] = secret
        if place == "log":
            logging.getLogger("nuvo_async").debug("sent %s", secret)
        file = tmp_path / "journal"
        file.write_text(secret if place == "file" else "harmless")
        text = secret if place == "text" else "harmless"
        assert watch.shown(text, folder=tmp_path) == [secret]
        file.unlink()
        assert watch.shown("harmless") == ([] if place in {"file", "text"} else [secret])

"""HTTP proxies: by an option, or by the variables that other tools obey."""

import base64
from contextlib import asynccontextmanager

import pytest
import trustme

from tests.cli.command import environ, finish, run, start
from tests.fronts import listening, pipe, proxy, tls
from tests.wire.test_tls import port_of, secured, server_context

LOGIN = "Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss:word").decode()


@pytest.fixture
async def front(nuvo_server):
    """A proxy that notes what it is asked for."""
    seen: list[str] = []
    async with proxy(seen) as port:
        yield f"http://127.0.0.1:{port}", seen


@asynccontextmanager
async def proxy_with_login(heads):
    """A proxy that opens a tunnel only with a login."""

    async def handle(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        if LOGIN not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        else:
            target = head.split(" ")[1]
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await pipe(reader, writer, int(target.rpartition(":")[2]))

    async with listening(handle) as port:
        yield port


@asynccontextmanager
async def secured_api(server, folder):
    """The API by https, and the variables that make the command trust its certificate."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    async with tls(port_of(server), server_context(authority, "localhost")) as port:
        yield environ(server, NUVO_BASE_URL=secured(port), SSL_CERT_FILE=str(folder / "ca.pem"))


@pytest.mark.parametrize(
    "variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "--proxy"]
)
async def test_requests_go_through_a_proxy(nuvo_server, front, variable):
    url, seen = front
    nuvo_server.add_pipeline("orders", duration=0.1)
    if variable == "--proxy":
        done = await run(nuvo_server, "run", "orders", "--proxy", url)
    else:
        done = await run(nuvo_server, "run", "orders", **{variable: url})
    assert done.code == 0
    assert seen[0] == f"POST {nuvo_server.base_url}execution/"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "--proxy"])
async def test_https_goes_through_a_proxy_as_a_tunnel(nuvo_server, front, tmp_path, variable):
    url, seen = front
    async with secured_api(nuvo_server, tmp_path) as env:
        options = ["--proxy", url] if variable == "--proxy" else []
        process = await start("list", *options, env={**env, variable: url})
        done = await finish(process, nuvo_server)
    assert (done.code, done.err) == (0, "")
    assert seen == [f"CONNECT {env['NUVO_BASE_URL'].split('/')[2]}"]


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "example.com, 127.0.0.1"])
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
async def test_some_hosts_need_no_proxy(nuvo_server, front, variable, no_proxy):
    url, seen = front
    done = await run(nuvo_server, "list", HTTP_PROXY=url, **{variable: no_proxy})
    assert (done.code, seen) == (0, [])


async def test_no_proxy_may_name_a_port(nuvo_server, front):
    url, seen = front
    port = port_of(nuvo_server)
    done = await run(nuvo_server, "list", HTTP_PROXY=url, NO_PROXY=f"127.0.0.1:{port}")
    assert (done.code, seen) == (0, [])
    done = await run(nuvo_server, "list", HTTP_PROXY=url, NO_PROXY=f"127.0.0.1:{port + 1}")
    assert (done.code, len(seen)) == (0, 1)


async def test_the_option_outranks_the_variables(nuvo_server, front):
    url, seen = front
    dead = "http://127.0.0.1:1"
    done = await run(nuvo_server, "list", "--proxy", url, HTTP_PROXY=dead, NO_PROXY="*")
    assert (done.code, len(seen)) == (0, 1)


async def test_a_proxy_elsewhere_is_not_used_for_plain_http(nuvo_server):
    """It would see the credentials, which are sent in clear text to this machine alone."""
    done = await run(nuvo_server, "list", HTTP_PROXY="http://proxy.invalid:3128")
    assert (done.code, done.err) == (0, "")
    done = await run(nuvo_server, "list", "--proxy", "http://proxy.invalid:3128")
    assert done.code == 2
    assert "--proxy must be on this machine" in done.err
    assert len(nuvo_server.requests) == 1


async def test_a_login_at_the_proxy_is_sent_and_never_shown(nuvo_server, tmp_path):
    heads: list[str] = []
    async with proxy_with_login(heads) as port, secured_api(nuvo_server, tmp_path) as env:
        for login, code in (("user:p%40ss%3Aword@", 0), ("user:not-the-pass@", 3), ("", 3)):
            env["HTTPS_PROXY"] = f"http://{login}127.0.0.1:{port}"
            process = await start("list", "--verbose", env=env)
            done = await finish(process, nuvo_server)
            assert done.code == code
            assert "pass" not in done.out + done.err
            assert "p%40ss" not in done.out + done.err
            assert "p@ss" not in done.out + done.err
            assert base64.b64encode(b"user:")[:6].decode() not in done.out + done.err
    assert LOGIN in heads[0]
    assert all("Bearer" not in head for head in heads)


async def test_a_proxy_that_is_down_is_named(nuvo_server, tmp_path):
    async with secured_api(nuvo_server, tmp_path) as env:
        process = await start("get", "x", env={**env, "HTTPS_PROXY": "http://127.0.0.1:1"})
        done = await finish(process, nuvo_server)
    assert done.code == 3
    assert "proxy" in done.err.lower()


async def test_a_login_in_a_netrc_is_sent_nowhere(nuvo_server, tmp_path, front):
    url, _ = front
    (tmp_path / ".netrc").write_text("default login someone password something-else\n")
    for variables in ({}, {"HTTP_PROXY": url}):
        done = await run(nuvo_server, "list", HOME=str(tmp_path), **variables)
        assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("socks5://127.0.0.1:1080", "--proxy must have the form http://HOST:PORT; SOCKS is not"),
        ("http://127.0.0.1:99999", "--proxy must have the form"),
        ("", "--proxy must have the form"),
        ("http://user:secret-one@127.0.0.1:3128", "must have no user and password"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_exit_code_2(run_here, text, problem):
    done = run_here("list", "--proxy", text, NUVO_ACCESS_TOKEN="some-token")
    assert done.code == 2
    assert problem in done.err
    assert "secret-one" not in done.err


@pytest.mark.parametrize("text", ["socks5://u:secret-one@127.0.0.1:1", "http://u:secret-one@:1"])
def test_a_variable_that_cannot_be_used_is_named_without_its_login(run_here, text):
    done = run_here("list", NUVO_ACCESS_TOKEN="some-token", HTTPS_PROXY=text)
    assert done.code == 2
    assert "HTTPS_PROXY must have the form http://HOST:PORT" in done.err
    assert "secret-one" not in done.err


async def test_a_variable_may_leave_out_the_scheme(nuvo_server, front):
    url, seen = front
    done = await run(nuvo_server, "list", HTTP_PROXY=url.removeprefix("http://"))
    assert (done.code, len(seen)) == (0, 1)

"""`demo` and `serve`: the embedded server at hand."""

import json
import signal

from nuvo_async.models.shapes import ErrorType
from tests.cli.command import environ, finish, line_that_has, run, start


async def test_the_demo_ends_as_scripted(tmp_path):
    done = await run(None, "demo", "--picture", str(tmp_path / "demo.svg"))
    assert done.code == 0
    assert done.lines[-1] == "Everything ended as scripted."
    for error_type in ErrorType:
        assert error_type in done.out
    assert "inbox-sftp: there is no file" in done.out
    assert "\x1b" not in done.out
    picture = (tmp_path / "demo.svg").read_text()
    assert "DESTINATION_UNRESPONSIVE" in picture


async def test_a_server_to_try_clients_against(tmp_path):
    process = await start("serve", env=environ())
    lines = [(await line_that_has(process)).strip() for _ in range(4)]
    facts = dict(line.split("=", 1) for line in lines)
    assert list(facts) == ["base_url", "access_token", "license_key", "identifier"]
    settings = {"NUVO_ACCESS_TOKEN": facts["access_token"], "NUVO_BASE_URL": facts["base_url"]}
    done = await run(None, "run", "customers", "stock", **settings)
    assert done.code == 1
    port = facts["base_url"].split(":")[2].split("/")[0]
    taken = await run(None, "serve", "--port", port)
    assert taken.code == 2
    assert f"cannot listen on port {port}" in taken.err
    process.send_signal(signal.SIGINT)
    done = await finish(process, None)
    assert done.code == 130


async def test_serve_as_json():
    process = await start("serve", "--json", env=environ())
    facts = json.loads(await line_that_has(process))
    assert list(facts) == ["base_url", "access_token", "license_key", "identifier"]
    process.send_signal(signal.SIGINT)
    await finish(process, None)

"""Settings: from options and the environment."""

import re
from pathlib import Path

import pytest

from nuvo_async.testing import NuvoServer
from tests.cli.command import run


async def test_a_licence_key_comes_from_the_environment(nuvo_server):
    done = await run(
        *(None, "list", "--identifier", nuvo_server.identifier, "--identifier-type", "USER"),
        *("--base-url", nuvo_server.base_url),
        NUVO_LICENSE_KEY=nuvo_server.license_key,
    )
    assert (done.code, done.out, done.err) == (0, "", "")
    assert [one.call for one in nuvo_server.requests] == ["token", "list"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["list"], "set NUVO_ACCESS_TOKEN, or both NUVO_LICENSE_KEY and NUVO_IDENTIFIER"),
        (["list", "--token-file", "/does/not/exist"], "--token-file: /does/not/exist cannot be"),
        (["list", "--token-file", "-"], "--token-file holds no token"),
        (["run", "-", "--token-file", "-"], "standard input (-) can be read only once"),
        (["run"], "no PIPELINE_ID was given"),
        (["run", "a", "--concurrency", "0"], "--concurrency"),
        (["wait", " "], "EXECUTION_ID must not be empty or blank"),
        (["run", ""], "PIPELINE_ID must not be empty or blank"),
        (["run", "a\x1b[31m"], "PIPELINE_ID must not hold a control character"),
        (["run", "a", "--timeout", "nan"], "must be a finite number"),
        (["wait", "a", "--timeout", "inf"], "must be a finite number"),
        (["wait", "a", "--timeout", "0"], "must be a finite number, above zero"),
        (["run", "a", "--journal", ""], "must be the path of a file"),
        (["list", "--since", "1d", "--filter", "created_at:gte=2026-01-01"], "give one"),
        (["list", "--status", "FAILED", "--filter", "status:ne=FAILED"], "contradict"),
        (["wait", "x", "--timeout", "0"], "--timeout"),
        (["get"], "Missing argument"),
        (["get", ".."], "which names another path"),
        (["fetch"], "No such command"),
    ],
)
def test_wrong_usage_is_exit_code_2(run_here, arguments, problem):
    done = run_here(*arguments)
    assert done.code == 2
    assert problem in done.err
    assert done.out == ""


async def test_a_wrong_token_is_exit_code_3_and_not_shown():
    async with NuvoServer() as server:
        secret = "not-the-token-of-this-server"
        done = await run(server, "list", NUVO_ACCESS_TOKEN=secret)
    assert done.code == 3
    assert "401" in done.err
    assert secret not in done.err


async def test_verbose_shows_the_log_and_no_secret(nuvo_server):
    done = await run(nuvo_server, "list", "--verbose")
    assert done.code == 0
    assert "DEBUG GET execution/: 200" in done.err


def test_secrets_are_no_options():
    """What is on a command line, every user of the machine can see."""
    text = Path(__file__).parents[2].joinpath("nuvo_async/cli/settings.py").read_text()
    options = re.findall(r'click\.option\(\s*"(--[a-z-]+)', text)
    assert options == [
        *("--json", "--no-color", "--base-url", "--token-file", "--identifier"),
        *("--identifier-type", "--proxy"),  # A proxy with a login is refused there.
    ]

"""The command, driven as a user does: in a process of its own."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from nuvo_async import cli
from nuvo_async.models import ErrorType

COMMAND = [sys.executable, "-W", "error", "-m", "nuvo_async"]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environ},
    )


def test_the_demo_ends_as_scripted():
    done = run("demo")
    assert done.stderr == ""
    assert done.returncode == 0
    assert "Everything ended as scripted." in done.stdout
    for error_type in ErrorType:
        assert error_type in done.stdout
    assert "invoices-sftp: execution" in done.stdout
    assert "\x1b" not in done.stdout  # Plain lines when piped.


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_the_demo_is_drawn_live_on_a_terminal():
    import pty

    controller, terminal = pty.openpty()
    os.set_blocking(controller, False)
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [*COMMAND, "demo"], stdout=terminal, stderr=terminal, stdin=terminal, env=environ
    )
    os.close(terminal)
    screen = b""
    os.set_blocking(controller, True)
    while True:
        try:
            chunk = os.read(controller, 65536)
        except OSError:  # The other end is closed.
            break
        if not chunk:
            break
        screen += chunk
    os.close(controller)
    assert process.wait(timeout=30) == 0
    assert b"\x1b[?25l" in screen  # The cursor is hidden while lines are drawn over.
    assert b"DESTINATION_UNRESPONSIVE" in screen
    assert b"Everything ended as scripted." in screen


def test_an_end_that_was_not_scripted_is_exit_code_1(monkeypatch):
    async def fail():
        return False

    monkeypatch.setattr(cli, "run_demo", fail)
    assert CliRunner().invoke(cli.command, ["demo"]).exit_code == 1


def test_interrupting_is_exit_code_130(monkeypatch):
    async def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_demo", interrupt)
    assert CliRunner().invoke(cli.command, ["demo"]).exit_code == 130


def test_help_and_version():
    assert "demo" in run("--help").stdout
    assert run("--version").stdout.startswith("nuvo-async, version ")


def test_without_the_extra_the_command_says_which_one(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "hidden = {'click', 'rich'}\n"
        "u.find_spec = lambda name, *rest: None if name in hidden else find(name, *rest)\n"
    )
    done = run("demo", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == ("nuvo-async needs click and rich: pip install 'nuvo-async[cli]'\n")

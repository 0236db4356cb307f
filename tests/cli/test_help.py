"""What the command says of itself."""

import asyncio
import sys
from asyncio import subprocess

import pytest

from tests.cli.command import run


@pytest.mark.parametrize("command", ["trigger", "get", "list", "wait", "run", "demo", "serve"])
def test_each_command_explains_itself(run_here, command):
    done = run_here(command, "--help")
    assert done.code == 0
    assert f"nuvo-async {command}" in done.out
    assert "--json" in done.out
    assert done.out.isascii()  # By itself, click writes UTF-8 where the encoding is ASCII.
    assert command in run_here("--help").out


async def test_help_needs_neither_aiohttp_nor_rich():
    """They take longer to import than help may take to come."""
    code = (
        "import sys; sys.argv = ['nuvo-async', '--help']\n"
        "import atexit; atexit.register(lambda: print(sorted(sys.modules)))\n"
        "from nuvo_async.__main__ import main; main()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    modules = out.decode().splitlines()[-1]
    assert "'click'" in modules
    for slow in ("'aiohttp'", "'rich'", "'asyncio'", "'cattrs'"):
        assert slow not in modules


async def test_the_version_is_shown():
    assert (await run(None, "--version")).out.startswith("nuvo-async, version ")


async def test_without_the_extra_the_command_says_which_one(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "hidden = {'click', 'rich'}\n"
        "u.find_spec = lambda name, *rest: None if name in hidden else find(name, *rest)\n"
    )
    done = await run(None, "demo", PYTHONPATH=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert done.err == "nuvo-async needs click and rich: pip install 'nuvo-async[cli]'\n"

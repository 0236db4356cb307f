"""Fixtures of the tests of the command."""

import io
import os
import sys

import pytest

from nuvo_async.__main__ import main
from tests.cli.command import Done, environ


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Run a command in this process, which is quicker, where nothing is sent."""

    def run(*arguments: str, stdin: bytes = b"", **env: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["nuvo-async", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            # The command puts streams of its own in their place.
            patch.setattr(sys, "stdout", sys.stdout)
            patch.setattr(sys, "stderr", sys.stderr)
            patch.setattr(os, "environ", environ(None, **env))
            with pytest.raises(SystemExit) as caught:
                main()
        captured = capsys.readouterr()
        return Done(caught.value.code or 0, captured.out, captured.err)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    return run

"""The watch over secrets: whatever a test does, none of them may be shown anywhere.

Every token and licence key of every embedded server is a canary, and so is what a client was told
to keep secret. After each test they are searched for in its logs (DEBUG of `nuvo_async`, `aiohttp`
and `asyncio`), in what it printed, in each exception of the package with its causes, notes and
attributes, and in the files that it wrote.
"""

import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from attrs import define, field

from nuvo_async import NuvoError
from nuvo_async.testing import NuvoServer
from nuvo_async.wire.redaction import Redactor

__all__ = ["Watch", "watched"]

_LOGGERS = ("nuvo_async", "aiohttp", "asyncio")
_MOST_ERRORS = 200
_SHORTEST = 6


@define
class Watch:
    """What has been seen in one test: secrets, and places where they could be shown."""

    log: io.StringIO = field(factory=io.StringIO)
    errors: list[NuvoError] = field(factory=list)
    servers: list[NuvoServer] = field(factory=list)
    kept: set[str] = field(factory=set)

    def secrets(self) -> set[str]:
        """All that must not be shown."""
        issued = {
            secret
            for server in self.servers
            for secret in (server.access_token, server.license_key, *server._state.tokens)
        }
        return {secret for secret in issued | self.kept if len(secret) >= _SHORTEST}

    def shown(self, *texts: str, folder: Path | None = None) -> list[str]:
        """Return the secrets that are shown in what was seen, in these texts, or in files."""
        places = [*texts, self.log.getvalue(), *map(_everything_of, self.errors)]
        if folder is not None:
            files = [file for file in folder.rglob("*") if file.is_file()]
            places += [file.read_bytes().decode("latin-1") for file in files]
        return [secret for secret in self.secrets() if any(secret in place for place in places)]


def _everything_of(error: NuvoError) -> str:
    return "\n".join(
        [*traceback.format_exception(error), repr(error), str(error), repr(vars(error))]
    )


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch what happens while the block runs."""
    watch = Watch()
    handler = logging.StreamHandler(watch.log)
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.DEBUG)

    def make_error(error: NuvoError, *args: Any, **kwargs: Any) -> None:
        super(NuvoError, error).__init__(*args, **kwargs)
        if len(watch.errors) < _MOST_ERRORS:
            watch.errors.append(error)

    def make_server(server: NuvoServer, *args: Any, **kwargs: Any) -> None:
        init(server, *args, **kwargs)
        watch.servers.append(server)

    def keep(redactor: Redactor, secret: str) -> None:
        add(redactor, secret)
        watch.kept.add(secret)

    init, add = NuvoServer.__init__, Redactor.add
    with (
        patch.object(NuvoError, "__init__", make_error),
        patch.object(NuvoServer, "__init__", make_server),
        patch.object(Redactor, "add", keep),
    ):
        try:
            yield watch
        finally:
            for name, level in levels.items():
                logging.getLogger(name).removeHandler(handler)
                logging.getLogger(name).setLevel(level)

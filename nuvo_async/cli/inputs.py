"""Ids and tokens from files and standard input."""

import codecs
import re
import select
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from nuvo_async import arguments

__all__ = ["read_ids", "read_token"]

_STDIN = "-"
_BOM = "\ufeff"
_CHUNK = 65536


def read_token(option: str, path: str) -> str:
    """Return the only text of a file, or of standard input for `-`."""
    token = _text_of(option, path).strip().strip(_BOM)
    if not token:
        raise click.UsageError(f"{option} holds no token")
    return token


def read_ids(
    what: str, given: Sequence[str], file: str | None, token_file: str | None
) -> list[str]:
    """Return the ids of the arguments, with those of standard input for `-`, and of a file."""
    if [*given, file, token_file].count(_STDIN) > 1:
        raise click.UsageError("standard input (-) can be read only once")
    ids: list[str] = []
    for one in given:
        ids += _ids_of(what, one) if one == _STDIN else [_checked_id(what, one)]
    if file is not None:
        ids += _ids_of("--file", file)
    if not ids:
        raise click.UsageError(f"no {what} was given")
    return ids


def _ids_of(source: str, path: str) -> list[str]:
    """One id a line; blank lines and those that begin with # are skipped."""
    ids = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", _text_of(source, path)), 1):
        # Where files were put together, each may have begun with a byte order mark.
        text = line.strip().lstrip(_BOM).lstrip()
        if text and not text.startswith("#"):
            ids.append(_checked_id(f"line {number} of {path}", text))
    return ids


def _checked_id(where: str, text: str) -> str:
    try:
        return arguments.path_segment(where, text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _text_of(option: str, path: str) -> str:
    """Read UTF-8 text, whatever the encoding of the terminal."""
    try:
        data = _bytes_of_stdin() if path == _STDIN else Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise click.UsageError(f"{option}: {path} cannot be read: {why}") from None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        raise click.UsageError(f"{option}: {path} is UTF-16 or no text at all: save it as UTF-8")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Not the error's own text, which shows what could not be read.
        raise click.UsageError(
            f"{option}: {path} cannot be read: it is not UTF-8 text; save it as UTF-8"
        ) from None


def _bytes_of_stdin() -> bytes:
    if sys.stdin is None:
        raise ValueError("standard input is closed")
    raw = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    chunks = []
    while (chunk := raw.read(_CHUNK)) != b"":
        if chunk is None:  # It does not block, and there is nothing yet.
            select.select([raw], [], [])
        else:
            chunks.append(chunk)
    return b"".join(chunks)

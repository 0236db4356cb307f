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
    """Return the text of a file, or of standard input for `-`."""
    token = _text_of(option, path).strip().strip(_BOM)
    if not token:
        raise click.UsageError(f"{option} holds no token")
    return token


def read_ids(
    what: str, given: Sequence[str], file: str | None, token_file: str | None
) -> list[str]:
    """Return the ids from the arguments and a file. `-` stands for the ids on standard input."""
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
    """Return one id per line. Empty lines and lines that begin with # are skipped."""
    ids = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", _text_of(source, path)), 1):
        # In concatenated files, each part may begin with a byte order mark.
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
    """Read UTF-8 text, regardless of the terminal's encoding."""
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
        # The error's own text is not used, because it shows the bytes that could not be read.
        raise click.UsageError(
            f"{option}: {path} cannot be read: it is not UTF-8 text; save it as UTF-8"
        ) from None


def _bytes_of_stdin() -> bytes:
    if sys.stdin is None:
        raise ValueError("standard input is closed")
    raw = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    chunks = []
    while (chunk := raw.read(_CHUNK)) != b"":
        if chunk is None:  # A non-blocking stream has no data yet.
            select.select([raw], [], [])
        else:
            chunks.append(chunk)
    return b"".join(chunks)

"""What the command is told by its options and the environment."""

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import reduce, wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import frozen

from nuvo_async import arguments

__all__ = [
    "Output",
    "Settings",
    "check_ids",
    "check_path",
    "check_timeout",
    "known_or_not",
    "output_options",
    "parse_filters",
    "parse_sort",
    "parse_when",
    "read_ids",
    "settings_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])
_STDIN = "-"
_OPERATORS = ("eq", "ne", "in", "gt", "gte", "lt", "lte")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@frozen
class Output:
    """How to show things."""

    json: bool
    color: bool
    verbose: bool


@frozen
class Settings:
    """Where the API is, and who asks."""

    base_url: str | None
    token_file: str | None
    identifier: str | None
    identifier_type: str | None

    def environ(self) -> Mapping[str, str]:
        """Return the environment, with what the options say instead."""
        given = {
            "NUVO_ACCESS_TOKEN": self._token(),
            "NUVO_BASE_URL": self.base_url,
            "NUVO_IDENTIFIER": self.identifier,
            "NUVO_IDENTIFIER_TYPE": self.identifier_type,
        }
        return {**os.environ, **{name: value for name, value in given.items() if value}}

    def _token(self) -> str | None:
        if self.token_file is None:
            return None
        token = _text_of("--token-file", self.token_file).strip()
        if not token:
            raise click.UsageError("--token-file holds no token")
        return token


def _text_of(option: str, path: str) -> str:
    """Read a file, or standard input for `-`."""
    try:
        if path == _STDIN:
            if sys.stdin is None:
                raise click.UsageError(f"{option}: standard input is closed")
            return sys.stdin.read()
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        # Not the text of a decoding error, which shows what it could not read.
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise click.UsageError(f"{option}: {path} cannot be read: {why}") from None


def check_ids(_: click.Context, __: click.Parameter, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what cannot be an id, before anything is sent."""
    try:
        return tuple(arguments.path_segment("an id", one) for one in ids)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def read_ids(what: str, given: tuple[str, ...], file: str | None, settings: Settings) -> list[str]:
    """Return the ids of the arguments, with those of standard input for `-`, and of a file."""
    sources = [*given, file, settings.token_file]
    if sources.count(_STDIN) > 1:
        raise click.UsageError("standard input (-) can be read only once")
    ids: list[str] = []
    for one in given:
        ids += _lines_of(what, _STDIN) if one == _STDIN else [_checked_id(what, one)]
    if file is not None:
        ids += _lines_of("--file", file)
    if not ids:
        raise click.UsageError(f"no {what} was given")
    return ids


def _lines_of(source: str, path: str) -> list[str]:
    lines = enumerate(_text_of(source, path).splitlines(), 1)
    return [_checked_id(f"line {n} of {path}", line.strip()) for n, line in lines if line.strip()]


def _checked_id(where: str, text: str) -> str:
    try:
        return arguments.path_segment(where, text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def check_timeout(_: click.Context, __: click.Parameter, seconds: float | None) -> float | None:
    """Refuse what is no time, before anything is sent."""
    try:
        return None if seconds is None else arguments.number("it", seconds, positive=True)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def check_path(_: click.Context, __: click.Parameter, path: str | None) -> str | None:
    """Refuse what is no path of a file."""
    try:
        return None if path is None else str(arguments.path("it", path))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def known_or_not(enum: type[StrEnum]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Take a value of an enum in any case; one that is not known may be new."""

    def take(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
        if text is None:
            return None
        if not text.strip():
            raise click.BadParameter("it must not be empty")
        value = text.upper()
        if value in enum.__members__:
            return value
        click.echo(f"nuvo-async: {text!r} is none of {', '.join(enum.__members__)}", err=True)
        return text

    return take


def parse_when(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """Read a date, a date-time, or how long ago (`90m`)."""
    if text is None:
        return None
    count, unit = text[:-1], _UNITS.get(text[-1:])
    try:
        if unit is not None and count.isascii() and count.isdecimal():
            return datetime.now(UTC) - timedelta(**{unit: int(count)})
        return datetime.fromisoformat(text).astimezone()  # Local, where it does not say.
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} must be like 2026-11-30, 2026-11-30T18:00Z, or 90m ago: s, m, h, d or w"
        ) from None


def parse_filters(given: tuple[str, ...]) -> dict[str, dict[str, object]]:
    """Turn `FIELD[:OP]=VALUE` into filters; `in` takes its values divided by commas."""
    filters: dict[str, dict[str, object]] = {}
    for one in given:
        left, equals, value = one.partition("=")
        field, _, operator = left.partition(":")
        operator = operator or "eq"
        if not equals or not field or operator not in _OPERATORS:
            raise click.BadParameter(
                f"{one!r} must be FIELD=VALUE or FIELD:OP=VALUE, with OP one of"
                f" {', '.join(_OPERATORS)}",
                param_hint="--filter",
            )
        if f"${operator}" in filters.setdefault(field, {}):
            raise click.BadParameter(f"{left} is given twice", param_hint="--filter")
        filters[field][f"${operator}"] = value.split(",") if operator == "in" else value
    return filters


def parse_sort(given: tuple[str, ...]) -> dict[str, Any]:
    """Turn `FIELD[:asc|desc]` into an order."""
    order = {}
    for one in given:
        field, _, direction = one.partition(":")
        if not field or direction not in {"", "asc", "desc"}:
            raise click.BadParameter(
                f"{one!r} must be FIELD, FIELD:asc or FIELD:desc", param_hint="--sort"
            )
        order[field] = direction or "asc"
    return order


def output_options(command: Command) -> Command:
    """Add the options of how to show things, as an `Output`."""

    @wraps(command)
    def with_output(*, json: bool, no_color: bool, verbose: bool, **others: Any) -> Any:
        color = not no_color and not os.environ.get("NO_COLOR")
        return command(output=Output(json=json, color=color, verbose=verbose), **others)

    decorated: Command = _decorated(
        with_output,
        click.option("--json", is_flag=True, help="One JSON object per line on stdout."),
        click.option("--no-color", is_flag=True, help="No colours; so does NO_COLOR."),
        click.option("-v", "--verbose", is_flag=True, help="Show the log on stderr."),
    )
    return decorated


def settings_options(command: Command) -> Command:
    """Add the options of where the API is and who asks, as `Settings`; and those of output."""

    @wraps(command)
    def with_settings(
        *,
        base_url: str | None,
        token_file: str | None,
        identifier: str | None,
        identifier_type: str | None,
        **others: Any,
    ) -> Any:
        settings = Settings(base_url, token_file, identifier, identifier_type)
        return command(settings=settings, **others)

    decorated: Command = _decorated(
        output_options(with_settings),
        click.option("--base-url", metavar="URL", help="Where the API is; or NUVO_BASE_URL."),
        click.option(
            "--token-file",
            metavar="FILE",
            help="Holds the access token, - is stdin; or NUVO_ACCESS_TOKEN.",
        ),
        click.option(
            "--identifier",
            metavar="NAME",
            help="Whose licence key NUVO_LICENSE_KEY is; or NUVO_IDENTIFIER.",
        ),
        click.option(
            "--identifier-type",
            metavar="USER|SUB_ORG",
            type=click.Choice(["USER", "SUB_ORG"], case_sensitive=False),
            help="What NAME is; or NUVO_IDENTIFIER_TYPE.",
        ),
    )
    return decorated


def _decorated(command: Any, *options: Callable[[Any], Any]) -> Any:
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)

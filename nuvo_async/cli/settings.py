"""Settings of the command: its options and the environment."""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import reduce, wraps
from typing import Any, TypeVar

import click
from attrs import frozen

from nuvo_async import arguments
from nuvo_async.cli.inputs import read_token

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
    "settings_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])
_OPERATORS = ("eq", "ne", "in", "gt", "gte", "lt", "lte")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@frozen
class Output:
    """The options of the output."""

    json: bool
    color: bool
    verbose: bool


@frozen
class Settings:
    """The options of the connection: the URL of the API and the credentials."""

    base_url: str | None
    token_file: str | None
    identifier: str | None
    identifier_type: str | None
    proxy: str | None

    def access(self) -> Any:
        """Return an `Access`. Options take precedence over the environment."""
        from nuvo_async.cli.session import Access  # noqa: PLC0415 - `--help` needs no aiohttp

        token = None if self.token_file is None else read_token("--token-file", self.token_file)
        given = {
            "NUVO_ACCESS_TOKEN": token,
            "NUVO_BASE_URL": self.base_url,
            "NUVO_IDENTIFIER": self.identifier,
            "NUVO_IDENTIFIER_TYPE": self.identifier_type,
        }
        chosen = {name: value for name, value in given.items() if value}
        return Access({**os.environ, **chosen}, self.proxy)


def check_ids(_: click.Context, __: click.Parameter, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse an invalid id before anything is sent."""
    try:
        return tuple(arguments.path_segment("an id", one) for one in ids)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def check_proxy(_: click.Context, __: click.Parameter, proxy: str | None) -> str | None:
    """Refuse a login, because other users of the machine can see the command line."""
    if proxy is not None and "@" in proxy:
        raise click.BadParameter("it must have no user and password: put those into HTTPS_PROXY")
    return proxy


def check_timeout(_: click.Context, __: click.Parameter, seconds: float | None) -> float | None:
    """Refuse an invalid timeout before anything is sent."""
    try:
        return None if seconds is None else arguments.number("it", seconds, positive=True)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def check_path(_: click.Context, __: click.Parameter, path: str | None) -> str | None:
    """Refuse an invalid path of a file."""
    try:
        return None if path is None else str(arguments.path("it", path))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def known_or_not(enum: type[StrEnum]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Accept a value of an enum in any letter case. An unknown value may be new in the API."""

    def take(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
        if text is None:
            return None
        if not text.strip():
            raise click.BadParameter("it must not be empty")
        value = text.upper()
        if value in enum.__members__:
            return value
        known = ", ".join(enum.__members__)
        click.echo(f"nuvo-async: {text!r} is none of {known}", file=sys.stderr)
        return text

    return take


def parse_when(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """Parse a date, a date-time, or a time ago (`90m`)."""
    if text is None:
        return None
    count, unit = text[:-1], _UNITS.get(text[-1:])
    try:
        if unit is not None and count.isascii() and count.isdecimal():
            return datetime.now(UTC) - timedelta(**{unit: int(count)})
        return datetime.fromisoformat(text).astimezone()  # Local if it has no offset.
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} must be like 2026-11-30, 2026-11-30T18:00Z, or 90m ago: s, m, h, d or w"
        ) from None


def parse_filters(given: tuple[str, ...]) -> dict[str, dict[str, object]]:
    """Turn `FIELD[:OP]=VALUE` into filters. The values of `in` are separated by commas."""
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
    """Turn `FIELD[:asc|desc]` into a sort order."""
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
    """Add the options of the output, passed on as an `Output`."""

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
    """Add the options of the connection, passed on as `Settings`, and those of the output."""

    @wraps(command)
    def with_settings(
        *,
        base_url: str | None,
        token_file: str | None,
        identifier: str | None,
        identifier_type: str | None,
        proxy: str | None,
        **others: Any,
    ) -> Any:
        settings = Settings(base_url, token_file, identifier, identifier_type, proxy)
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
        click.option(
            "--proxy",
            metavar="URL",
            callback=check_proxy,
            help="Go through this HTTP proxy; or HTTPS_PROXY, with NO_PROXY.",
        ),
    )
    return decorated


def _decorated(command: Any, *options: Callable[[Any], Any]) -> Any:
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)

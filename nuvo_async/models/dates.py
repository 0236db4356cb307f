"""Date-times and durations, in Python and as the API writes them.

A date-time is ISO 8601 text, and an aware `datetime`. A duration is a number of milliseconds, and a
`timedelta`.
"""

from abc import ABC
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, ValidationError, convert

__all__ = [
    "AwareDatetime",
    "Duration",
    "from_milliseconds",
    "from_text",
    "to_milliseconds",
    "to_text",
]

AwareDatetime = Annotated[datetime, Meta(tz=True)]
if TYPE_CHECKING:
    Duration = timedelta
else:

    class Duration(ABC):  # noqa: B024 - it has no methods to implement
        """A `timedelta` under another name: msgspec would parse a plain one from ISO 8601."""

    Duration.register(timedelta)

_MILLISECOND = timedelta(milliseconds=1)


def from_text(text: str) -> datetime:
    """Read an ISO 8601 date-time with `Z` or an offset. Without either, it is UTC.

    Digits beyond microseconds are rounded. Raises `ValueError` for any other text.
    """
    try:
        value = convert(text, datetime)  # The decoder of bodies reads dates in the same way.
    except ValidationError:
        value = datetime.fromisoformat(text)
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def to_text(value: datetime) -> str:
    """Write an aware date-time with as few sub-second digits as it needs (0, 3 or 6)."""
    if value.microsecond == 0:
        precision = "seconds"
    elif value.microsecond % 1000 == 0:
        precision = "milliseconds"
    else:
        precision = "microseconds"
    text = value.isoformat(timespec=precision)
    return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text


def from_milliseconds(number: object) -> timedelta:
    """Read a duration. Raises `TypeError` if it is not a number, `ValueError` if out of range."""
    if type(number) is not int and type(number) is not float:
        raise TypeError("a duration must be a number")
    try:
        return timedelta(milliseconds=number)
    except OverflowError as error:
        raise ValueError(str(error)) from None


def to_milliseconds(duration: timedelta) -> int | float:
    """Write a duration, as an integer if it is a whole number of milliseconds."""
    whole, rest = divmod(duration, _MILLISECOND)
    return duration / _MILLISECOND if rest else whole

"""Date-times as the API writes them: ISO 8601 in text, aware `datetime` in Python."""

from datetime import UTC, datetime

__all__ = ["from_text", "to_text"]

_parse = datetime.fromisoformat


def from_text(text: str) -> datetime:
    """Read an ISO 8601 date-time with `Z`, an offset or none, which means UTC.

    Digits beyond microseconds are cut off. Raises `ValueError` for any other text.
    """
    value = _parse(text)
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def to_text(value: datetime) -> str:
    """Write an aware date-time with as few sub-second digits as it has (none, 3 or 6)."""
    if value.microsecond == 0:
        precision = "seconds"
    elif value.microsecond % 1000 == 0:
        precision = "milliseconds"
    else:
        precision = "microseconds"
    text = value.isoformat(timespec=precision)
    return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text

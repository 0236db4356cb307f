"""Checks of the arguments that callers pass in, before anything is sent.

Each function returns the given value, so that a check can be part of an assignment. It raises a
`TypeError` or `ValueError` that names the argument and what it must be.
"""

import math
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from attrs import Attribute

__all__ = [
    "callback",
    "instance",
    "integer",
    "listed",
    "number",
    "number_field",
    "path",
    "path_segment",
    "strings",
    "text",
]

T = TypeVar("T")

# Control characters, and surrogates, which cannot be encoded as UTF-8.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def text(name: str, value: object) -> str:
    """Check a string that must not be blank, and must not contain control characters."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{name} must not be empty or blank")
    if _UNFIT.search(value):
        raise ValueError(
            f"{name} must not hold a control character (a line break at its end, perhaps?)"
        )
    return value


def path_segment(name: str, value: object) -> str:
    """Check an id that becomes one segment of a URL's path."""
    segment = text(name, value)
    if segment in {".", ".."}:
        raise ValueError(f"{name} must be an id, not {segment!r}, which names another path")
    return segment


def listed(name: str, values: Iterable[T]) -> list[T]:
    """Check an iterable that must not be a string, and return it as a list."""
    if isinstance(values, str | bytes):
        raise TypeError(f"{name} must be an iterable of ids, not a single {type(values).__name__}")
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be an iterable, not {type(values).__name__}")
    return list(values)


def strings(name: str, values: Iterable[str]) -> list[str]:
    """Check all strings of an iterable with `text`."""
    return [text(f"{name}[{n}]", value) for n, value in enumerate(listed(name, values))]


def path(name: str, value: object) -> Path:
    """Check the path of a file."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, not {type(value).__name__}")
    if not (name_of_file := os.fspath(value)) or "\0" in name_of_file:
        raise ValueError(f"{name} must be the path of a file, not {name_of_file!r}")
    return Path(name_of_file)


def number(name: str, value: object, *, positive: bool = False) -> float:
    """Check a finite number that must not be negative. With `positive`, it must not be zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # An integer beyond all floats.
        finite = False
    if not finite or value < 0 or (positive and value == 0):
        raise ValueError(
            f"{name} must be a finite number, {'above zero' if positive else 'zero or more'},"
            f" not {value if isinstance(value, float) or abs(value) < 10**9 else 'such an integer'}"
        )
    return value


def number_field(_: object, attribute: "Attribute[Any]", value: object) -> None:
    """Check a number with `number`, as the validator of an attrs field."""
    number(attribute.name, value)


def integer(name: str, value: object, *, minimum: int) -> int:
    """Check a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{name} must be {minimum} or more, not {value}")
    return value


def callback(name: str, value: Callable[..., object] | None) -> Callable[..., object] | None:
    """Check a callback that will be called later, or `None`."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable, not {type(value).__name__}")
    return value


def instance(name: str, value: T, *classes: type) -> T:
    """Check that an object is an instance of one of the classes."""
    if not isinstance(value, classes):
        names = " or ".join(cls.__name__ for cls in classes)
        article = "an" if names[0] in "AEIOU" else "a"
        raise TypeError(f"{name} must be {article} {names}, not {type(value).__name__}")
    return value

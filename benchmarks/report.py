"""Tables of figures, printed as Markdown, and what they were measured with."""

import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from os import cpu_count

from attrs import frozen

__all__ = ["Table", "header"]

_LIBRARIES = (
    "nuvo-async",
    "aiohttp",
    "attrs",
    "cattrs",
    "msgspec",
    "yarl",
    "httpx",
    "requests",
    "databricks-sdk",
    "hcloud",
)


@frozen
class Table:
    """Figures of one part, and a word on how they were taken."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        rule = [f"{'-' * (width - 1)}:" for width in widths]
        rule[0] = "-" * widths[0]
        lines = [self._line(row, widths) for row in (self.head, rule, *self.rows)]
        return "\n".join([f"## {self.title}", "", self.note, "", *lines, ""])

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(cells)} |"


def header() -> str:
    """Say when, on what and with what was measured."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.python_implementation()}"
        f" {platform.python_version()}, {sys.platform} on {platform.machine()},"
        f" {cpu_count()} cores. {versions}.\n"
    )

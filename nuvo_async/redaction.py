"""Keeps secrets out of everything that is shown."""

import html
import json
from urllib.parse import quote

__all__ = ["Redactor"]

BLANK = "[secret]"


class Redactor:
    """Knows every secret of one client, and blanks each in text that a server sent."""

    def __init__(self) -> None:
        self._forms: set[str] = set()

    def add(self, secret: str) -> None:
        """Blank this secret from now on, in each form that a server might echo it in."""
        as_json = json.dumps(secret)[1:-1]
        self._forms |= {
            secret,
            as_json,
            as_json.replace("/", "\\/"),
            quote(secret, safe=""),
            html.escape(secret),
        }

    def blank(self, text: str) -> str:
        """Replace each secret in the text."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, BLANK)
        return text

    @property
    def longest(self) -> int:
        """The length of the longest form of a secret."""
        return max(map(len, self._forms), default=0)

    def excerpt(self, text: str, length: int) -> str:
        """Blank the secrets, then cut the text: never the other way, half a secret is one too."""
        start = text[: length + self.longest]
        blanked = self.blank(start)
        if len(start) < len(text) and self.longest:
            # Its end may be the first half of a secret, and came closer if others were blanked.
            blanked = blanked[: -self.longest]
        return blanked if len(blanked) <= length else f"{blanked[: length - 1]}…"

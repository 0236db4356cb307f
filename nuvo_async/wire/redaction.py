"""Redacts secrets in all texts that are shown."""

import re

__all__ = ["BLANK", "Redactor", "printable"]

BLANK = "[secret]"
# Shorter secrets are not redacted, because texts may contain them by chance.
_SHORTEST = 6
# A client may run for months and renew its token often. It forgets the oldest tokens.
_MOST_SECRETS = 8
_HTML = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    "+": "&plus;",
    "/": "&sol;",
    "=": "&equals;",
}
_BACKSLASHES = re.compile(r"\\+")
_PLAIN = re.compile(r"[A-Za-z0-9]+")
_LONGEST_FORM = len("&#x0000001f600;") + 1


def printable(text: str) -> str:
    """Replace characters that would control a terminal."""
    return "".join(one if one.isprintable() else " " for one in text)


class Redactor:
    """Knows the secrets of one client, and redacts them in texts from the server."""

    def __init__(self) -> None:
        self._secrets: list[str] = []
        self._pattern = re.compile(r"(?!)")
        self._marks: list[bytes] = []

    def add(self, secret: str) -> None:
        """Redact this secret from now on, also if it is escaped for JSON, HTML or a URL."""
        if len(secret) < _SHORTEST or secret in self._secrets:
            return
        self._secrets.append(secret)
        if len(self._secrets) > _MOST_SECRETS:
            del self._secrets[1]  # The first secret was given to the client, and is kept.
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_pattern_of, longest_first)), re.IGNORECASE)
        self._marks = [
            max(_PLAIN.findall(one), key=len, default="").encode() for one in self._secrets
        ]

    def may_be_in(self, body: bytes) -> bool:
        """Whether a body may contain a secret, also if its special characters are escaped."""
        for mark in self._marks:  # noqa: SIM110 - a generator would take longer than the test
            if mark in body:
                return True
        return False

    def blank(self, text: str) -> str:
        """Replace each secret in the text."""
        return self._pattern.sub(BLANK, text)

    @property
    def longest(self) -> int:
        """The largest number of characters that a secret can have in a text."""
        return max((sum(map(_width, secret)) for secret in self._secrets), default=0)

    def excerpt(self, text: str, length: int, *, cut: bool = False) -> str:
        """Redact the secrets before shortening the text, so that no part of a secret is left.

        `cut` means that the text is only the beginning of a longer one.
        """
        start = text[: length + self.longest]
        blanked = self.blank(start)
        if cut or len(start) < len(text):
            # The end may be the first part of a secret, and redaction may have moved it forward.
            blanked = blanked[: max(0, len(blanked) - self.longest)]
        elif len(blanked) <= length:
            return blanked
        return f"{blanked[: length - 1]}…"


def _pattern_of(secret: str) -> str:
    # The padding of base64 is sometimes omitted.
    bare = _BACKSLASHES.sub(r"\\", secret).rstrip("=")
    return f"{''.join(map(_forms, bare))}(?:{_forms('=')}){{0,2}}"


def _forms(character: str) -> str:
    """The pattern of a character as it is, or escaped for JSON, HTML or a URL."""
    if _is_plain(character):
        return character
    if character == "\\":  # A run of backslashes counts as one, because escaping doubles them.
        return r"(?>\\{1,64}|%(?:25){0,3}5c|&\#0{,6}92;|&\#x0{,6}5c;)"
    code = f"{ord(character):04x}"
    percent = "".join(f"%(?:25){{0,3}}{byte:02x}" for byte in character.encode())
    forms = {
        re.escape(character),
        rf"\\{{1,4}}{re.escape(character)}",
        rf"\\{{1,4}}u{code}",
        percent,
        _HTML.get(character, re.escape(character)),
        rf"&\#0{{,6}}{ord(character)};",
        rf"&\#x0{{,6}}{code.lstrip('0')};",
    }
    return f"(?:{'|'.join(sorted(forms))})"


def _is_plain(character: str) -> bool:
    # These are almost never escaped. A token has hundreds of them, so alternatives would be slow.
    return character.isascii() and character.isalnum()


def _width(character: str) -> int:
    return 1 if _is_plain(character) else _LONGEST_FORM

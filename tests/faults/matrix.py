"""What is to come of each fault, in each call and each way to wait.

Usage: python -m tests.faults.matrix, which writes `MATRIX.md`.
"""

from pathlib import Path

from attrs import fields, frozen

from tests.faults.calls import AGAIN, CALLS, RIGHT, Times

__all__ = ["EXPECTED", "FILE", "expected", "rendered"]

FILE = Path(__file__).with_name("MATRIX.md")
_TIMEOUT = "WaitTimeoutError"
Pair = tuple[str, str]


@frozen(kw_only=True)
class Row:
    """What comes of a fault that is met once, and of one that is met always."""

    creates: Pair
    reads: Pair
    token: Pair
    revoke: Pair
    waits: Pair


_GROUPS: dict[str, str] = {
    "create": "creates",
    "run_pipeline": "creates",
    "run_pipelines": "creates",
    "read": "reads",
    "list": "reads",
    "iterate": "reads",
    "token": "token",
    "revoke": "revoke",
    "wait": "waits",
    "as_completed": "waits",
    "wait_for_all": "waits",
    "its wait": "waits",
}


def _unknown(*, acted: bool) -> Pair:
    text = f"unknown, {'1 candidate' if acted else '0 candidates'}"
    return text, text


def _unclear(error: str, *, acted: bool = False) -> Row:
    """It may have been acted on: reads and the token are tried again, a Create and Revoke not."""
    return Row(
        creates=_unknown(acted=acted),
        reads=(AGAIN, error),
        token=(AGAIN, error),
        revoke=(error, error),
        waits=(AGAIN, _TIMEOUT),
    )


def _busy(error: str) -> Row:
    """It was not acted on, and passes: everything is tried again."""
    again = (AGAIN, error)
    return Row(creates=again, reads=again, token=again, revoke=again, waits=(AGAIN, _TIMEOUT))


def _final(error: str, **groups: Pair) -> Row:
    """It does not pass: everything ends with it, but for the groups named."""
    both = (error, error)
    usual = {one.name: both for one in fields(Row)}
    return Row(**{**usual, **groups})


def _garbled() -> Row:
    """It was acted on, and what came back makes no sense."""
    return _final("InvalidResponseError", creates=_unknown(acted=True))


def _no_json() -> Row:
    """It was acted on, and what came back has no JSON in it: a wait asks again."""
    error = "InvalidResponseError"
    return _final(error, creates=_unknown(acted=True), waits=(AGAIN, _TIMEOUT))


def _read_past() -> Row:
    """What is wrong is in a member that no model has; a token and its end are read as a whole."""
    both = ("InvalidResponseError", "InvalidResponseError")
    return _final(RIGHT, token=both, revoke=both)


def _unreadable() -> Row:
    """It was acted on, and what came back cannot be read at all: reads are tried again."""
    error = "InvalidResponseError"
    again = (AGAIN, error)
    return _final(error, creates=_unknown(acted=True), reads=again, token=again, waits=again)


EXPECTED: dict[str, Row] = {
    "refused": Row(
        creates=("", "TransportError"),
        reads=("", "TransportError"),
        token=("", "TransportError"),
        revoke=("", "TransportError"),
        waits=("", _TIMEOUT),
    ),
    "reset, not acted": _unclear("TransportError"),
    "reset, acted": _unclear("TransportError", acted=True),
    "silence, not acted": _unclear("RequestTimeoutError"),
    "silence, acted": _unclear("RequestTimeoutError", acted=True),
    "slow body": _unclear("RequestTimeoutError", acted=True),
    "truncated body": _unclear("TransportError", acted=True),
    "length too long": _unclear("TransportError", acted=True),
    "length too short": _no_json(),
    "chunked, cut": _unclear("TransportError", acted=True),
    "header too long": _unreadable(),
    "header not HTTP": _unreadable(),
    "bytes after the body": _unreadable(),
    "no gzip": _unclear("InvalidResponseError", acted=True),
    "br": _unreadable(),
    "gzip bomb": _garbled(),
    "301": _final("InvalidResponseError"),
    "302": _final("InvalidResponseError"),
    "303": _final("InvalidResponseError", creates=_unknown(acted=False)),
    "307": _final("InvalidResponseError"),
    "400": _final("BadRequestError"),
    "401": _final(
        "AuthenticationError",
        creates=(AGAIN, "AuthenticationError"),
        reads=(AGAIN, "AuthenticationError"),
        waits=(AGAIN, "AuthenticationError"),
    ),
    "403": _final("PermissionDeniedError"),
    "403, cut": _final("PermissionDeniedError"),
    "403, no gzip": _final("PermissionDeniedError"),
    "404": _final("NotFoundError", waits=(AGAIN, "NotFoundError")),
    "408": _unclear("APIError"),
    "409": _final("ConflictError"),
    "413": _final("APIError"),
    "422": _final("BadRequestError"),
    "429": _busy("RateLimitError"),
    "429, cut": _busy("RateLimitError"),
    "429, in seconds": _busy("RateLimitError"),
    "429, by a date": _busy("RateLimitError"),
    "429, in a year": _final("RateLimitError", waits=(_TIMEOUT, _TIMEOUT)),
    "429, nonsense": _busy("RateLimitError"),
    "500": _unclear("ServerError"),
    "501": _final("ServerError", creates=_unknown(acted=False), waits=(AGAIN, _TIMEOUT)),
    "502, HTML, acted": _unclear("ServerError", acted=True),
    "503": _busy("ServerError"),
    "503, cut": _busy("ServerError"),
    "503, in seconds": _busy("ServerError"),
    "504": _unclear("ServerError"),
    "200, HTML": _no_json(),
    "200, empty": _no_json(),
    "204": _no_json(),
    "JSON, cut": _no_json(),
    "JSON, wrong shape": _garbled(),
    "JSON, another shape": _garbled(),
    "JSON, null": _garbled(),
    "JSON, deep": _garbled(),
    "JSON, huge numbers": _read_past(),
    "JSON, huge integers": _final(RIGHT),
    "JSON, duplicate keys": _final(RIGHT),
    "JSON, NaN": _no_json(),
    "JSON, lone surrogate": _no_json(),
    "JSON, UTF-16": _no_json(),
    "JSON, Latin-1": _read_past(),
    "JSON, as text": _final(RIGHT),
}


def expected(fault: str, times: Times) -> dict[str, str]:
    """Return what is to come of each call that meets a fault, once or always."""
    row = EXPECTED[fault]
    cells = {call: getattr(row, _GROUPS[call])[times == "always"] for call in CALLS}
    if fault == "refused":
        # Nothing to wait for was created, and there is no token to be revoked.
        cells["its wait"] = cells["revoke"] = ""
    return cells


def rendered() -> str:
    """Return all of it, as Markdown."""
    lines = [
        "# What comes of each fault",
        "",
        "Written by `python -m tests.faults.matrix`, and held to what happens by `test_matrix.py`.",
        "",
        "Each cell is one call of the client, or way to wait, that meets a fault once (first line)",
        "or for as long as it asks (second line, where it differs). The fault is in the way of the",
        "call of the API that the name says: Create in `run_pipeline` and `run_pipelines`, Read by",
        "ID in waits, and in `its wait`, that of `run_pipelines`. Nothing is ever started twice.",
        "",
        "*right*: as without the fault. *unknown*: `CreateOutcomeUnknownError`, with so many",
        "candidates, which are what was started. There are three attempts, and a wait that is to",
        "time out has a second.",
        "",
        f"| fault | {' | '.join(CALLS)} |",
        f"| --- | {' | '.join('---' for _ in CALLS)} |",
    ]
    for fault in EXPECTED:
        once, always = expected(fault, "once"), expected(fault, "always")
        cells = [" <br> ".join(dict.fromkeys(filter(None, (once[c], always[c])))) for c in CALLS]
        lines.append(f"| {fault} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    FILE.write_text(rendered(), encoding="utf-8")

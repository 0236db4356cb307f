"""Maps exceptions of aiohttp to errors of this package, and to whether anything was sent."""

from typing import Any

import aiohttp

from nuvo_async.models import (
    ConfigurationError,
    InvalidResponseError,
    RequestTimeoutError,
    TransportError,
)
from nuvo_async.wire import wording
from nuvo_async.wire.protocol import Request
from nuvo_async.wire.redaction import Redactor

__all__ = ["Trouble", "drop_frames", "is_before_sending", "trouble_of"]

Trouble = TransportError | InvalidResponseError | ConfigurationError
_NO_CONNECTION = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
)


def is_before_sending(cause: BaseException) -> bool:
    """Whether the exception shows by itself that the request was not sent."""
    return isinstance(cause, _NO_CONNECTION) or _is_refused(cause) or wording.is_of_proxy(cause)


def _is_refused(cause: BaseException) -> bool:
    """Whether aiohttp refused to make the request: a header, an address or a proxy is wrong."""
    return isinstance(cause, ValueError) and not isinstance(cause, OSError)


def trouble_of(
    cause: Exception,
    request: Request,
    status: int | None,
    timeout: aiohttp.ClientTimeout,
    redactor: Redactor,
) -> Trouble | None:
    """The error for an exception that ended an attempt; `None` if the exception is a bug.

    `status` is the status of the answer if the exception came while its body was read.
    """
    may_be_done = request.in_doubt and not request.repeatable
    at: dict[str, Any] = {"method": request.method, "path": request.path}
    trouble: Trouble
    if (problem := wording.unreadable(cause)) is not None:
        transient = status is not None  # The headers could be read, but the body could not.
        trouble = InvalidResponseError(problem, status=status, transient=transient, **at)
    elif _is_refused(cause) and not request.in_doubt:
        problem = redactor.blank(wording.text_of(cause))
        trouble = ConfigurationError(
            f"{request.method} {request.path} cannot be sent: {problem};"
            " check the proxy settings, and the headers of the session"
        )
    elif isinstance(cause, TimeoutError) and not isinstance(cause, aiohttp.ClientConnectorError):
        problem = f"not within {timeout.total:g} s (request_timeout)"
        if not request.in_doubt:
            problem = f"no connection, {problem}; {wording.CHECK_ADDRESS}"
        trouble = RequestTimeoutError(problem, sent_at=request.sent_at, **at)
    elif isinstance(cause, aiohttp.ClientError | OSError) or may_be_done:
        problem = redactor.blank(wording.problem_of(cause))
        trouble = TransportError(problem, sent_at=request.sent_at, **at)
    else:
        return None
    shown = wording.shown(cause)
    if shown is not None and redactor.blank(shown) == shown:
        drop_frames(cause)
        trouble.__cause__ = cause
    return trouble


def drop_frames(error: BaseException) -> None:
    """Remove the traceback: its variables hold the token, and some tools show variables."""
    for link in wording.chain(error):
        link.__traceback__ = None

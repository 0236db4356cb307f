"""What can go wrong, as one tree of exceptions.

    NuvoError
    ├── ConfigurationError (also ValueError)
    ├── ClientClosedError (also RuntimeError)
    ├── TransportError                         no answer
    │   └── RequestTimeoutError (also TimeoutError)
    ├── APIError                               an answer with status >= 400
    │   ├── BadRequestError                    400, 422
    │   ├── AuthenticationError                401
    │   ├── PermissionDeniedError              403
    │   ├── NotFoundError                      404
    │   ├── ConflictError                      409
    │   ├── RateLimitError                     429
    │   └── ServerError                        5xx
    ├── InvalidResponseError                   an answer that is not as documented, or a redirect
    │
    │   (in `executions`, since they carry executions:)
    ├── JournalError (also ConfigurationError) a journal that cannot be used
    ├── CreateOutcomeUnknownError              a Create that may or may not have been received
    ├── WaitTimeoutError (also TimeoutError)   the wait is over, the execution goes on
    ├── WaitOutageError                        nothing could be read for too long
    ├── ExecutionFailedError                   the execution failed; one class for each error type
    │   ├── SourceError
    │   │   ├── SourceUnresponsiveError        SOURCE_UNRESPONSIVE
    │   │   ├── SourceDataEmptyError           SOURCE_DATA_EMPTY
    │   │   └── ParsingFailureError            PARSING_FAILURE
    │   ├── DestinationError
    │   │   ├── DestinationUnresponsiveError   DESTINATION_UNRESPONSIVE
    │   │   ├── DestinationSizeLimitError      DESTINATION_SIZE_LIMIT
    │   │   └── WriteFileFailureError          WRITE_FILE_FAILURE
    │   └── ErrorThresholdExceededError        ERROR_THRESHOLD_EXCEEDED
    └── ExecutionsFailed (also ExceptionGroup) several executions failed

Every one survives `pickle` and `copy`, and none shows a secret.
"""

from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "InvalidResponseError",
    "NotFoundError",
    "NuvoError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ServerError",
    "TransportError",
]


class NuvoError(Exception):
    """The root of every error that this package raises for a reason of its own."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args` alone, which fits none of the signatures below.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[NuvoError], args: tuple[Any, ...], state: dict[str, Any]) -> NuvoError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    if "__notes__" in state:  # A note on the copy must not show on the original.
        error.__notes__ = list(state["__notes__"])
    return error


class ConfigurationError(NuvoError, ValueError):
    """Settings are missing or wrong, or would send credentials in clear text."""


class ClientClosedError(NuvoError, RuntimeError):
    """The client was closed: before the call, or while it was under way."""


class TransportError(NuvoError):
    """There was no answer: DNS, refused, reset, TLS. `__cause__` is aiohttp's error.

    `sent_at` is when the request went out, or `None` where it did not: then the server cannot have
    received it. There is no `__cause__` where aiohttp's error shows headers or a password.
    """

    def __init__(
        self, problem: str, *, method: str, path: str, sent_at: datetime | None = None
    ) -> None:
        super().__init__(f"{method} {path}: no answer: {problem}")
        self.method = method
        self.path = path
        self.sent_at = sent_at


class RequestTimeoutError(TransportError, TimeoutError):
    """One attempt took longer than the client's `request_timeout`."""


class APIError(NuvoError):
    """The API answered with a status of 400 or more.

    `message` is the server's own text, or the status's name; `body` the start of what it sent;
    `path` is relative to the base URL, as in `execution/65f`; `retry_after` is in seconds;
    `request_id` is what the vendor's support can look up.
    """

    advice: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        method: str,
        path: str,
        body: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        phrase = _phrase(status)
        text = f"{method} {path}: {status} {phrase}"
        if message:
            text += f": {message}"
        if request_id is not None:
            text += f" (request {request_id})"
        if retry_after is not None:
            text += f" (retry after {retry_after:g} s)"
        if self.advice:
            text += f"; {self.advice}"
        super().__init__(text)
        self.message = message or phrase
        self.status = status
        self.method = method
        self.path = path
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unnamed status"


class BadRequestError(APIError):
    """The API found the request wrong (400, 422)."""

    advice = "check the arguments of the call"


class AuthenticationError(APIError):
    """The API does not know who is asking (401), also with a fresh token where one can be had."""

    advice = "check the access token, or the licence key and its identifier"


class PermissionDeniedError(APIError):
    """The API knows who is asking, and refuses (403)."""

    advice = "ask for access, or use the credentials of another user or sub-organization"


class NotFoundError(APIError):
    """There is no such pipeline or execution, or none that these credentials can see (404)."""

    advice = "check the id, that it belongs to this organization, and the base_url"


class ConflictError(APIError):
    """The API refused the call in the state that things are in (409)."""


class RateLimitError(APIError):
    """Too many requests (429). `retry_after` is in seconds, where the server gave it."""

    advice = "send less at once (max_concurrency), or wait longer (RetryPolicy)"


class ServerError(APIError):
    """The server failed (5xx). `retry_after` is in seconds, where the server gave it."""

    advice = "try again later"


class InvalidResponseError(NuvoError):
    """An answer that is not JSON or not of the documented shape, or that is a redirect.

    `where` is the place in the JSON (`data.logs[0].duration`), or empty if it is the whole;
    `body` is the start of what came. `method`, `path` and `status` are `None` for JSON that came
    with no answer, as when a stored one is structured; `status` is also `None` for an answer that
    is not even readable as HTTP.

    `transient` is `True` where a 2xx answer had no JSON in it: its body was empty, cut off, not
    JSON, or not encoded as it said. The same request may be answered properly a moment later. It
    is `False` for JSON of another shape, a redirect, a body over the client's limit, and an answer
    that is not readable as HTTP.
    """

    transient: bool = False  # For pickles of version 0.1, which have none.

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        body: str = "",
        transient: bool = False,
    ) -> None:
        text = f"{where}: {problem}" if where else problem
        if method is not None:
            shown = "" if status is None else f" ({status})"
            text = f"{method} {path}: invalid answer{shown}: {text}"
        if body:
            text += f"; it began with: {body[:200]!r}"
        super().__init__(text)
        self.problem = problem
        self.where = where
        self.method = method
        self.path = path
        self.status = status
        self.body = body
        self.transient = transient

"""The exceptions of this package, as one tree.

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
    │   (these carry executions, so they are defined in `executions`:)
    ├── JournalError (also ConfigurationError) a journal that cannot be used
    ├── CreateOutcomeUnknownError              a Create that may or may not have been received
    ├── WaitTimeoutError (also TimeoutError)   the wait timed out, the execution goes on
    ├── WaitOutageError                        the execution could not be read for too long
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

Each exception can be pickled and copied, and none shows a secret.
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
    """The base class of all errors that this package defines."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args` alone, but the classes below need other arguments.
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
    """The client was closed, before the call or during it."""


class TransportError(NuvoError):
    """There was no answer: DNS, refused, reset, TLS. `__cause__` is aiohttp's error.

    `sent_at` is when the request was sent. It is `None` if the request was not sent, so that the
    server cannot have received it. `__cause__` is `None` if aiohttp's error shows headers or a
    password.
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
    """The API rejected the credentials (401), also after renewing the token where possible."""

    advice = "check the access token, or the licence key and its identifier"


class PermissionDeniedError(APIError):
    """The credentials are valid, but do not permit the call (403)."""

    advice = "ask for access, or use the credentials of another user or sub-organization"


class NotFoundError(APIError):
    """The pipeline or execution does not exist, or these credentials cannot see it (404)."""

    advice = "check the id, that it belongs to this organization, and the base_url"


class ConflictError(APIError):
    """The call conflicts with the current state (409)."""


class RateLimitError(APIError):
    """Too many requests (429). `retry_after` is in seconds, or `None` if the server sent none."""

    advice = "send less at once (max_concurrency), or wait longer (RetryPolicy)"


class ServerError(APIError):
    """The server failed (5xx). `retry_after` is in seconds, or `None` if the server sent none."""

    advice = "try again later"


class InvalidResponseError(NuvoError):
    """An answer is not JSON, is not of the documented shape, or is a redirect.

    `where` is the place in the JSON (`data.logs[0].duration`), or empty if the whole answer is
    meant; `body` is the start of the body. `method`, `path` and `status` are `None` if the JSON did
    not come with an answer, for example if it was stored. `status` is also `None` if the answer
    could not be read as HTTP.

    `transient` is `True` if a 2xx answer had no JSON in it: its body was empty, truncated, not
    JSON, or not encoded as declared. The same request may succeed a moment later. It is `False` for
    JSON of another shape, a redirect, a body over the client's limit, and an answer that could not
    be read as HTTP.
    """

    transient: bool = False  # The default for pickles of version 0.1, which lack the attribute.

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

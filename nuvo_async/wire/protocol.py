"""The Execution API's calls as pure functions: call → request, answer → model or error.

These functions do no I/O, so they can be tested without an event loop.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote

import attrs
import msgspec
from attrs import define, field, frozen

from nuvo_async import arguments
from nuvo_async.models import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    Execution,
    ExecutionPage,
    InvalidResponseError,
    NotFoundError,
    NuvoError,
    Pagination,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    States,
    decode,
    decode_list,
    structure,
)
from nuvo_async.wire.credentials import AccessToken, LicenseKey
from nuvo_async.wire.redaction import BLANK, Redactor, printable

__all__ = [
    "Answer",
    "Hooks",
    "Request",
    "create_execution",
    "error_of",
    "exchange_license_key",
    "is_refusal",
    "list_executions",
    "parse_created",
    "parse_execution",
    "parse_page",
    "parse_revoked",
    "parse_states",
    "parse_token",
    "parsed",
    "read_execution",
    "retry_after",
    "revoke_token",
    "server_time",
]

T = TypeVar("T")

_ERRORS: Mapping[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: BadRequestError,
    429: RateLimitError,
}
_NO_HEADERS: Mapping[str, str] = {}
_REQUEST_ID_HEADERS = ("X-Request-ID", "X-Correlation-ID", "x-amzn-RequestId", "X-Amzn-Trace-Id")
_EXECUTIONS = tuple[Execution, ...]
_ENTRIES = tuple[Any, ...]
_MAX_MESSAGE = 500
_MAX_BODY = 2000
_MAX_DEPTH = 4
_MAX_NESTING = 10
# These statuses do not show whether the request was acted on: a gateway sends 408 when it does not
# know, and 303 points to the result of an action that was carried out.
_UNCLEAR = {303, 408}


@frozen(eq=False)
class Hooks:
    """Callbacks for the caller of a request.

    `before_sending` is awaited before each attempt, once the throttle admits it, so that time in
    the queue does not count as an outage. This includes attempts to exchange a licence key.
    `on_trouble` is called with each error after which the request is tried again.
    """

    before_sending: "Callable[[Request], Awaitable[None]] | None" = None
    on_trouble: Callable[[NuvoError], None] | None = None


_NO_HOOKS = Hooks()


# Requests and answers are not frozen, because frozen ones take longer to create.
@define(eq=False)
class Request:
    """A request: `path` and `query`, relative to the base URL and quoted, and a `body` of JSON.

    `repeatable` means that sending it twice has the same effect as sending it once.
    `answer_is_secret` means that the answer must not be shown. `sent_at` is when it was sent, and
    `sent_tick` is the same by the event loop's clock. `sent_at` is `None` before that, and again
    once it is certain that the server did not act on the request.
    """

    method: str
    path: str
    query: str = ""
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default=_NO_HEADERS, repr=False)
    repeatable: bool = True
    answer_is_secret: bool = False
    hooks: Hooks = field(default=_NO_HOOKS, repr=False)
    sent_at: datetime | None = None
    sent_tick: float = 0.0

    @property
    def in_doubt(self) -> bool:
        """Whether the server may have acted on the request."""
        return self.sent_at is not None


@define(eq=False)
class Answer:
    """An answer. `complete` is `False` if `body` was cut, for example at the size limit."""

    request: Request
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    complete: bool
    redactor: Redactor = field(repr=False)

    def excerpt(self, length: int = _MAX_BODY) -> str:
        """The start of the body, without secrets."""
        if self.request.answer_is_secret and self.status < 400:
            return ""
        most = 4 * (length + self.redactor.longest)  # A character takes up to four bytes.
        text = self.body[:most].decode("utf-8", errors="replace").replace("\0", "")
        return self.redactor.excerpt(text, length, cut=not self.complete or len(self.body) > most)

    def header(self, name: str, length: int = 200) -> str:
        """A header's value, without secrets; empty if the header is missing."""
        value = self.headers.get(name, "").encode("utf-8", errors="replace").decode()
        return self.redactor.excerpt(printable(value), length)


class _Created(msgspec.Struct):
    data: tuple[Execution, ...]


class _Read(msgspec.Struct):
    data: Execution
    # If these are present beside `data`, the execution is the outer object, and not `data`.
    id: Any = msgspec.UNSET
    pipeline: Any = msgspec.UNSET
    status: Any = msgspec.UNSET


# ── Requests ──────────────────────────────────────────────────────────────────────────────────


def create_execution(pipeline_id: str, hooks: Hooks = _NO_HOOKS) -> Request:
    """Create: `POST execution/`."""
    body = msgspec.json.encode({"pipeline_id": arguments.text("pipeline_id", pipeline_id)})
    return Request("POST", "execution/", body=body, repeatable=False, hooks=hooks)


def read_execution(execution_id: str, hooks: Hooks = _NO_HOOKS) -> Request:
    """Read by ID: `GET execution/{id}`."""
    segment = arguments.path_segment("execution_id", execution_id)
    if not (segment.isascii() and segment.isalnum()):
        segment = quote(segment, safe="")
    return Request("GET", f"execution/{segment}", hooks=hooks)


def list_executions(query: str, hooks: Hooks = _NO_HOOKS) -> Request:
    """Read all: `GET execution/` with a query from `query.list_query`."""
    return Request("GET", "execution/", query, hooks=hooks)


def exchange_license_key(key: LicenseKey, hooks: Hooks = _NO_HOOKS) -> Request:
    """Token: `POST auth/access-token`."""
    actor = {"identifier": key.identifier, "type": key.identifier_type.value}
    body = msgspec.json.encode({"license_key": key.license_key, "auth": actor})
    return Request("POST", "auth/access-token", body=body, answer_is_secret=True, hooks=hooks)


def revoke_token(token: AccessToken) -> Request:
    """Revoke: `DELETE auth/access-token`.

    It is not repeatable: if the first one was received, a second one is refused as unauthorized.
    """
    headers = {"access_token": token.token}
    return Request("DELETE", "auth/access-token", headers=headers, repeatable=False)


# ── Answers ───────────────────────────────────────────────────────────────────────────────────


def parsed(parse: Callable[..., T], answer: Answer, *details: str) -> T:
    """Parse an answer with one of the functions below.

    Their frames are removed from the errors that they raise. The variables of those frames hold the
    server's data, which may include a secret, and some tools show the variables of a traceback.
    """
    try:
        return parse(answer, *details)
    except NuvoError as error:
        trouble = error.with_traceback(None)
    raise trouble


def parse_created(answer: Answer, pipeline_id: str) -> list[Execution]:
    """Create: `{"data": [execution]}`, possibly an empty list."""
    created = _quick(decode_list, answer, _Created)
    if created is None:
        entries = _structure(answer, _EXECUTIONS, _member(answer, "data"), "data")
    else:
        entries = created.data
    for index, execution in enumerate(entries):
        if execution.pipeline != pipeline_id:
            raise _not_asked_for(answer, f"data[{index}].pipeline", pipeline_id)
        if BLANK in execution.id:
            raise _invalid(answer, "expected an id, got a secret", f"data[{index}].id")
    return [_redacted(answer, execution) for execution in entries]


def parse_execution(answer: Answer, execution_id: str) -> Execution:
    """Read by ID: an execution, bare or as `{"data": execution}`."""
    execution = _quick_execution(answer)
    if execution is None or execution.id != execution_id:
        json = _object(answer)
        is_bare = "data" not in json or ("id" in json and "pipeline" in json and "status" in json)
        where = "" if is_bare else "data"
        execution = _structure(answer, Execution, json[where] if where else json, where)
        if execution.id != execution_id:
            raise _not_asked_for(answer, f"{where}.id".removeprefix("."), execution_id)
    return _redacted(answer, execution)


def parse_page(answer: Answer) -> ExecutionPage:
    """Read all: `{"data": [execution], "pagination": {...}}`."""
    page = _quick(decode_list, answer, ExecutionPage)
    if page is None:
        page = _structure(answer, ExecutionPage, _object(answer), "")
    return ExecutionPage(_all_redacted(answer, page.data), page.pagination)


def parse_states(answer: Answer) -> States:
    """Read all, like `parse_page`, but without entries that are not as documented.

    One invalid entry must not hide the others. A wait for its execution reads it by id, and reports
    what is wrong with it.
    """
    page = _quick(decode_list, answer, ExecutionPage)
    if page is None:
        entries = _structure(answer, _ENTRIES, _member(answer, "data"), "data")
        pagination = _structure(answer, Pagination, _member(answer, "pagination"), "pagination")
        page = ExecutionPage(tuple(_well_formed(entries)), pagination)
    else:
        entries = page.data
    return States(_all_redacted(answer, page.data), len(entries), page.pagination.limit)


def _well_formed(entries: Iterable[object]) -> Iterator[Execution]:
    for entry in entries:
        with suppress(InvalidResponseError):
            yield structure(entry, Execution)


def parse_token(answer: Answer) -> AccessToken:
    """Token: `{"access_token": TOKEN}`."""
    text = _structure(answer, str, _member(answer, "access_token"), "access_token")
    try:
        token = AccessToken(text)
    except ValueError:
        pass
    else:
        answer.redactor.add(text)
        return token
    raise _invalid(answer, "expected a token, which is ASCII without spaces", "access_token")


def parse_revoked(answer: Answer) -> None:
    """Revoke: `{"message": "success"}`."""
    _structure(answer, str, _member(answer, "message"), "message")


def error_of(answer: Answer) -> NuvoError:
    """The error for the status of an answer that is not 2xx, according to the table."""
    if 300 <= answer.status < 400:
        to = answer.header("Location") or "nowhere"
        return _invalid(
            answer, f"a redirect, to {to}, is not followed; check the client's base_url"
        )
    if answer.status < 400:
        return _invalid(answer, "expected an answer, with a status from 200")
    base = ServerError if answer.status >= 500 else APIError
    return _ERRORS.get(answer.status, base)(
        _message(answer),
        status=answer.status,
        method=answer.request.method,
        path=answer.request.path,
        body=answer.excerpt(),
        request_id=_request_id(answer),
        retry_after=retry_after(answer),
    )


def is_refusal(answer: Answer) -> bool:
    """Whether the answer shows that the server did not act on the request."""
    return (300 <= answer.status < 500 and answer.status not in _UNCLEAR) or answer.status == 503


def retry_after(answer: Answer) -> float | None:
    """`Retry-After` as seconds from now, or `None`. The header holds seconds or an HTTP date."""
    value = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return float(value)
    date = _http_date(value)
    if date is None:
        return None
    # The server's own clock is used if the answer shows it, because the local clock may be wrong.
    return max(0.0, (date - (server_time(answer) or datetime.now(UTC))).total_seconds())


def server_time(answer: Answer) -> datetime | None:
    """`Date`: the server's time when it answered, in whole seconds; `None` if it is missing."""
    return _http_date(answer.headers.get("Date", ""))


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _quick(
    decode_body: Callable[[bytes, type[T]], T | None], answer: Answer, shape: type[T]
) -> T | None:
    """Decode a complete 2xx body without secrets; `None` if the body needs a closer look."""
    is_read = 200 <= answer.status < 300 and answer.complete
    if not is_read or answer.redactor.may_be_in(answer.body):
        return None
    return decode_body(answer.body, shape)


def _quick_execution(answer: Answer) -> Execution | None:
    read = _quick(decode, answer, _Read)
    if read is None or msgspec.UNSET not in (read.id, read.pipeline, read.status):
        return _quick(decode, answer, Execution)
    return read.data


def _object(answer: Answer) -> dict[str, Any]:
    json = _json(answer)
    if not isinstance(json, dict):
        raise _invalid(answer, "expected a JSON object")
    return json


def _member(answer: Answer, name: str) -> object:
    json = _object(answer)
    if name not in json:
        raise _invalid(answer, "is missing", name)
    return json[name]


def _json(answer: Answer) -> object:
    if not 200 <= answer.status < 300:
        raise error_of(answer)
    if not answer.complete:
        raise _invalid(answer, f"the body is over the limit; {len(answer.body)} bytes were read")
    try:
        json = msgspec.json.decode(answer.body)
    except (ValueError, RecursionError) as error:
        problem = f"expected JSON: {str(error).removeprefix('JSON is malformed: ')}"
        if not answer.body:
            problem = "expected JSON, got an empty body"
    else:
        if not answer.request.answer_is_secret and answer.redactor.may_be_in(answer.body):
            # Models end up in messages, logs and journals, so they must not hold a secret.
            return _blanked(json, answer.redactor)
        return json
    raise _invalid(answer, problem, transient=True)


def _blanked(json: object, redactor: Redactor, depth: int = 0) -> object:
    """Redact secrets in all strings up to a depth below which models take no strings."""
    if isinstance(json, str):
        return redactor.blank(json)
    if isinstance(json, list) and depth < _MAX_NESTING:
        return [_blanked(one, redactor, depth + 1) for one in json]
    if isinstance(json, dict) and depth < _MAX_NESTING:
        return {name: _blanked(value, redactor, depth + 1) for name, value in json.items()}
    return json


def _structure(answer: Answer, shape: type[T], json: object, where: str) -> T:
    try:
        return structure(json, shape, where)
    except InvalidResponseError as error:
        invalid = _invalid(answer, error.problem, error.where)
    raise invalid


def _not_asked_for(answer: Answer, where: str, asked: str) -> InvalidResponseError:
    return _invalid(answer, f"expected the one that was asked for, {asked!r}", where)


def _all_redacted(answer: Answer, executions: tuple[Execution, ...]) -> tuple[Execution, ...]:
    if not [one for one in executions if one.error is not None]:
        return executions
    return tuple([_redacted(answer, one) for one in executions])


def _redacted(answer: Answer, execution: Execution) -> Execution:
    if (error := execution.error) is None:
        return execution
    # This is the only free text in an execution: a secret may be in other letter cases there.
    message = answer.redactor.blank(error.message)
    return attrs.evolve(execution, error=attrs.evolve(error, message=message))


def _invalid(
    answer: Answer, problem: str, where: str = "", *, transient: bool = False
) -> InvalidResponseError:
    return InvalidResponseError(
        problem,
        where=where,
        method=answer.request.method,
        path=answer.request.path,
        status=answer.status,
        body=answer.excerpt(),
        transient=transient,
    )


def _message(answer: Answer) -> str:
    try:
        text = "; ".join(_message_texts(msgspec.json.decode(answer.body)))
    except RecursionError:
        text = ""
    except ValueError:
        text = answer.excerpt(_MAX_MESSAGE)
    return answer.redactor.excerpt(" ".join(printable(text).split()), _MAX_MESSAGE)


def _message_texts(json: object, depth: int = 0) -> Iterator[str]:
    match json:
        case str():
            yield json
        case _ if depth == _MAX_DEPTH:
            return
        case list():
            for item in json:
                yield from _message_texts(item, depth + 1)
        case {"message": message} if message:
            yield from _message_texts(message, depth + 1)
        case {"error": error}:
            yield from _message_texts(error, depth + 1)


def _request_id(answer: Answer) -> str | None:
    return next(filter(None, map(answer.header, _REQUEST_ID_HEADERS)), None)

"""The tree of exceptions: what each says, and that all of them travel."""

import copy
import inspect
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

import nuvo_async
from nuvo_async import (
    APIError,
    CreateOutcomeUnknownError,
    DestinationError,
    ErrorThresholdExceededError,
    ErrorType,
    ExecutionFailedError,
    ExecutionsFailed,
    InvalidResponseError,
    NuvoError,
    RateLimitError,
    ServerError,
    SourceError,
    TransportError,
    WaitOutageError,
    WaitTimeoutError,
)
from nuvo_async.models.converter import structure_execution
from tests.conftest import payload

ERROR_TYPES = {
    "SOURCE_UNRESPONSIVE": ("SourceUnresponsiveError", SourceError),
    "SOURCE_DATA_EMPTY": ("SourceDataEmptyError", SourceError),
    "PARSING_FAILURE": ("ParsingFailureError", SourceError),
    "DESTINATION_UNRESPONSIVE": ("DestinationUnresponsiveError", DestinationError),
    "DESTINATION_SIZE_LIMIT": ("DestinationSizeLimitError", DestinationError),
    "WRITE_FILE_FAILURE": ("WriteFileFailureError", DestinationError),
    "ERROR_THRESHOLD_EXCEEDED": ("ErrorThresholdExceededError", ExecutionFailedError),
}
FAILED = structure_execution(
    payload(status="FAILED", error={"message": "line 3 is torn", "type": "PARSING_FAILURE"})
)
SENT_AT = datetime(2026, 1, 2, tzinfo=UTC)
CLASSES = [
    cls
    for name in nuvo_async.__all__
    if inspect.isclass(cls := getattr(nuvo_async, name)) and issubclass(cls, NuvoError)
]


def example(cls: type[NuvoError]) -> Any:
    """One exception of the class, with every attribute set."""
    make: Any = cls
    if issubclass(cls, ExecutionFailedError):
        return make(FAILED)
    if issubclass(cls, APIError):
        return make(
            "no",
            status=429,
            method="GET",
            path="execution/1",
            body="{}",
            request_id="r1",
            retry_after=3.0,
        )
    if issubclass(cls, TransportError):
        return make("refused", method="GET", path="execution/1", sent_at=SENT_AT)
    special: dict[type[NuvoError], Any] = {
        ExecutionsFailed: lambda: make("two", [ExecutionFailedError(FAILED)], [FAILED]),
        CreateOutcomeUnknownError: lambda: make("orders", sent_at=SENT_AT, candidates=[FAILED]),
        WaitTimeoutError: lambda: make(5.0, pending={"1": FAILED, "2": None}, finished=[FAILED]),
        WaitOutageError: lambda: make("1", last=FAILED, since=SENT_AT),
        InvalidResponseError: lambda: make("expected a string", where="data.id", body="{}"),
    }
    return special.get(cls, lambda: make("it went wrong"))()


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "travel", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy]
)
def test_every_exception_travels_whole(cls, travel):
    error = example(cls)
    error.add_note("a note")
    again = travel(error)
    assert type(again) is cls
    assert str(again) == str(error)
    assert repr(again.args) == repr(error.args)
    assert again.__dict__.keys() == error.__dict__.keys()
    for name, value in error.__dict__.items():
        assert repr(getattr(again, name)) == repr(value)


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        ("ConfigurationError", ValueError),
        ("ClientClosedError", RuntimeError),
        ("RequestTimeoutError", TimeoutError),
        ("WaitTimeoutError", TimeoutError),
        ("ExecutionsFailed", ExceptionGroup),
    ],
)
def test_some_are_also_what_python_calls_them(cls, builtin):
    assert issubclass(getattr(nuvo_async, cls), builtin)


@pytest.mark.parametrize("error_type", [*ErrorType, ErrorType("ADDED_LATER")])
def test_each_error_type_has_its_class(error_type):
    name, family = ERROR_TYPES.get(error_type, ("ExecutionFailedError", ExecutionFailedError))
    execution = structure_execution(
        payload(status="FAILED", error={"message": "why", "type": error_type})
    )
    with pytest.raises(family) as caught:
        execution.raise_for_failure()
    assert type(caught.value).__name__ == name
    assert caught.value.execution is execution
    assert caught.value.error_type == error_type
    assert caught.value.message == "why"
    assert "65f0" in str(caught.value)
    assert error_type in str(caught.value)


def test_the_table_of_error_types_is_total():
    assert set(ERROR_TYPES) == set(ErrorType)


def test_an_exceeded_threshold_tells_the_share():
    error = {"message": "too many", "type": "ERROR_THRESHOLD_EXCEEDED"}
    with_figures = structure_execution(payload(status="FAILED", error=error))
    assert str(ErrorThresholdExceededError(with_figures)) == (
        "execution 65f0 of pipeline orders failed: too many (ERROR_THRESHOLD_EXCEEDED);"
        " 12.5% of its cells are erroneous"
    )
    assert ErrorThresholdExceededError(with_figures).error_ratio == 0.125
    without = structure_execution(payload(status="FAILED", error=error, logs=[]))
    assert ErrorThresholdExceededError(without).error_ratio is None


def test_a_group_splits_by_class_and_stays_a_group():
    group = example(ExecutionsFailed)
    handled = []
    try:
        raise group
    except* SourceError:
        handled.append("source")
    except* ExecutionFailedError as rest:
        assert isinstance(rest, ExecutionsFailed)
        assert rest.executions == (FAILED,)
        handled.append("failed")
    assert handled == ["failed"]


def test_an_api_error_says_what_where_and_what_to_do():
    error = RateLimitError(
        "slow down", status=429, method="GET", path="execution/1", request_id="r1", retry_after=3
    )
    assert str(error) == (
        "GET execution/1: 429 Too Many Requests: slow down (request r1) (retry after 3 s);"
        " send less at once (max_concurrency), or wait longer (RetryPolicy)"
    )


def test_an_api_error_without_text_has_the_status_name():
    assert ServerError("", status=502, method="GET", path="x").message == "Bad Gateway"
    assert "599" in str(ServerError("", status=599, method="GET", path="x"))


def test_a_wait_that_timed_out_names_what_is_pending():
    error = example(WaitTimeoutError)
    assert (error.execution_id, error.last, error.timeout) == ("1", FAILED, 5.0)
    assert error.finished == (FAILED,)
    assert "execution 1 was FAILED when last read, and 1 more, after 5 s" in str(error)
    assert "wait for it again by its id" in str(error)


def test_an_unknown_outcome_tells_whether_candidates_were_read():
    def told(**options: Any) -> str:
        return str(CreateOutcomeUnknownError("orders", sent_at=SENT_AT, **options))

    assert "65f0" in told(candidates=[FAILED])
    assert "no execution of it was seen" in told(candidates=[])
    assert "could not be listed either" in told(candidates=[], candidates_read=False)


def test_a_note_on_a_copy_does_not_show_on_the_original():
    error = example(WaitOutageError)
    error.add_note("one")
    copy.copy(error).add_note("two")
    assert error.__notes__ == ["one"]

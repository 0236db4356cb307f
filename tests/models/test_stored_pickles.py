"""Pickles outlive the version that made them, also where classes have moved since.

`data/pickles-0.1.json` maps each name of `EXAMPLES` to what `pickle.dumps` returned for it in
version 0.1, in base64.
"""

import base64
import inspect
import json
import pickle
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

import nuvo_async
from nuvo_async import (
    Actor,
    ActorType,
    APIError,
    CreateOutcomeUnknownError,
    ErrorDetail,
    ErrorType,
    Execution,
    ExecutionFailedError,
    ExecutionPage,
    ExecutionRun,
    ExecutionsFailed,
    ExecutionStatus,
    InvalidResponseError,
    NuvoError,
    Pagination,
    PipelineRun,
    RunData,
    RunType,
    TransportError,
    TriggerType,
    WaitOutageError,
    WaitTimeoutError,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
USER = Actor("user-1", "A User", "user@example.com", ActorType.USER)
FIGURES = RunData(total_rows=100, total_cells=800, total_error_cells=100, total_error_rows=40)
RUN = ExecutionRun(ExecutionStatus.FAILED, FIGURES, timedelta(seconds=2), NOON, RunType.CREATE)
FAILED = Execution(
    "65f0",
    "orders",
    ExecutionStatus.FAILED,
    TriggerType.MANUAL,
    error=ErrorDetail("line 3 is torn", ErrorType.PARSING_FAILURE),
    logs=(RUN,),
    configuration="configuration-1",
    created_at=NOON,
    created_by=USER,
    updated_at=NOON + timedelta(seconds=2),
    updated_by=USER,
)
NEW = Execution("65f1", "orders", ExecutionStatus("PAUSED"), TriggerType("ADDED_LATER"))
GROUP = ExecutionsFailed("1 of 2", [ExecutionFailedError(FAILED)], [NEW, FAILED])


def _classes(root: type) -> list[Any]:
    exported = [getattr(nuvo_async, name) for name in nuvo_async.__all__]
    return [one for one in exported if inspect.isclass(one) and issubclass(one, root)]


def _error(cls: type[NuvoError]) -> NuvoError:
    """Make an exception with every attribute that it had in version 0.1."""
    make: Any = cls
    error: NuvoError
    if issubclass(cls, ExecutionFailedError):
        error = make(FAILED)
    elif issubclass(cls, APIError):
        call = {"method": "GET", "path": "execution/65f0", "request_id": "r1"}
        error = make("no", status=429, body="{}", retry_after=3.0, **call)
    elif issubclass(cls, TransportError):
        error = make("refused", method="GET", path="execution/65f0", sent_at=NOON)
    elif cls is ExecutionsFailed:
        error = GROUP
    elif cls is CreateOutcomeUnknownError:
        error = make("orders", sent_at=NOON, candidates=[FAILED], candidates_read=True)
    elif cls is WaitTimeoutError:
        error = make(5.0, pending={"65f1": NEW, "65f2": None}, finished=[FAILED])
    elif cls is WaitOutageError:
        error = make("65f1", last=NEW, since=NOON)
    elif cls is InvalidResponseError:
        where = {"where": "data.id", "method": "GET", "path": "execution/65f0", "status": 200}
        error = make("expected a string", body="{}", **where)
    else:
        error = make("it went wrong")
    error.add_note("a note")
    return error


EXAMPLES: dict[str, Any] = {
    **{cls.__name__: _error(cls) for cls in _classes(NuvoError)},
    **{
        f"{enum.__name__}({value})": enum(value)
        for enum in _classes(StrEnum)
        for value in (*enum, "ADDED_LATER")
    },
    "Actor": USER,
    "ErrorDetail": FAILED.error,
    "Execution": FAILED,
    "Execution(new)": NEW,
    "ExecutionPage": ExecutionPage((FAILED, NEW), Pagination(total=2, offset=0, limit=100)),
    "ExecutionRun": RUN,
    "Pagination": Pagination(total=2, offset=0, limit=100),
    "PipelineRun": PipelineRun("orders", (NEW, FAILED)),
    "PipelineRun(failed)": PipelineRun("orders", (NEW, FAILED), GROUP),
    "RunData": FIGURES,
}
STORED = json.loads((Path(__file__).parent / "data" / "pickles-0.1.json").read_text("utf-8"))


def assert_same(one: Any, other: Any) -> None:
    """Compare exceptions by their attributes, as they have no `==` and their texts may change."""
    assert type(one) is type(other)
    if isinstance(one, PipelineRun):
        assert (one.pipeline_id, one.executions) == (other.pipeline_id, other.executions)
        assert_same(one.error, other.error)
    elif isinstance(one, BaseException):
        assert str(one)
        for name in {*vars(one), *vars(other)}:
            assert getattr(one, name) == getattr(other, name), name
        if isinstance(one, ExceptionGroup):
            for part, other_part in zip(one.exceptions, other.exceptions, strict=True):
                assert_same(part, other_part)
    else:
        assert one == other


@pytest.mark.parametrize("name", STORED)
def test_a_pickle_of_version_0_1_still_loads(name):
    assert_same(pickle.loads(base64.b64decode(STORED[name])), EXAMPLES[name])

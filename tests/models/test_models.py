"""Enums that are open, and models that cannot be changed."""

import copy
import pickle
from typing import Any

import attrs
import pytest

from nuvo_async import (
    ActorType,
    ErrorType,
    Execution,
    ExecutionFailedError,
    ExecutionRun,
    ExecutionsFailed,
    ExecutionStatus,
    NotFoundError,
    ParsingFailureError,
    PipelineRun,
    RunData,
    RunType,
    TriggerType,
)
from nuvo_async.models.converter import structure_execution
from tests.conftest import payload

ENUMS = [ActorType, ErrorType, ExecutionStatus, RunType, TriggerType]


def execution(**changes: object) -> Execution:
    return structure_execution(payload(**changes))


@pytest.mark.parametrize("enum", ENUMS)
def test_a_value_that_the_api_adds_later_is_kept(enum):
    added: Any = enum("ADDED_LATER")
    assert not added.is_known
    assert added == "ADDED_LATER"
    assert str(added) == "ADDED_LATER"
    assert added not in list(enum)
    assert hash(added) == hash("ADDED_LATER")
    assert pickle.loads(pickle.dumps(added)) == copy.deepcopy(added) == added
    assert isinstance(pickle.loads(pickle.dumps(added)), enum)


@pytest.mark.parametrize("enum", ENUMS)
def test_documented_values_are_members(enum):
    members: list[Any] = list(enum)
    for member in members:
        assert member.is_known
        assert enum(str(member)) is member


def test_an_enum_takes_strings_only():
    number: Any = 5
    with pytest.raises(ValueError, match="5 is not a valid"):
        ErrorType(number)


@pytest.mark.parametrize(
    ("status", "finished", "succeeded", "failed"),
    [
        ("PROCESSING", False, False, False),
        ("SUCCESSFUL", True, True, False),
        ("FAILED", True, False, True),
        ("PAUSED", False, False, False),
    ],
)
def test_an_unknown_status_is_no_end(status, finished, succeeded, failed):
    one = execution(status=status)
    assert (one.is_finished, one.succeeded, one.failed) == (finished, succeeded, failed)


def test_the_latest_run_is_the_last_of_the_logs():
    first = payload()["logs"][0]
    one = execution(logs=[first, {**first, "type": "FIX"}])
    assert one.latest_run is not None
    assert one.latest_run.type is RunType.FIX
    assert execution(logs=[]).latest_run is None


def test_the_error_ratio_is_a_share_of_the_cells():
    data = RunData(total_rows=2, total_cells=8, total_error_cells=2, total_error_rows=1)
    assert data.error_ratio == 0.25
    assert RunData(0, 0, 0, 0).error_ratio == 0


def test_models_are_frozen_and_have_slots():
    one = execution()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.id = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(one, "__dict__")
    assert hash(one) == hash(copy.deepcopy(one))
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_successful_execution_raises_nothing():
    execution().raise_for_failure()
    execution(status="PROCESSING").raise_for_failure()


def test_a_pipeline_run_raises_its_error():
    refused = NotFoundError("no such pipeline", status=404, method="POST", path="execution/")
    run = PipelineRun("orders", (), refused)
    assert not run.succeeded
    with pytest.raises(NotFoundError):
        run.raise_for_failure()


def test_a_pipeline_run_raises_for_executions_that_failed():
    good = execution()
    bad = execution(status="FAILED", error={"message": "torn", "type": "PARSING_FAILURE"})
    run = PipelineRun("orders", (good, bad))
    assert not run.succeeded
    with pytest.raises(ExecutionsFailed) as caught:
        run.raise_for_failure()
    assert caught.value.executions == (good, bad)
    assert [type(error) for error in caught.value.exceptions] == [ParsingFailureError]


def test_a_pipeline_run_without_files_succeeded():
    run = PipelineRun("orders")
    assert run.succeeded
    run.raise_for_failure()


def test_a_failure_without_a_reason_is_the_base_failure():
    with pytest.raises(ExecutionFailedError) as caught:
        execution(status="FAILED").raise_for_failure()
    assert type(caught.value) is ExecutionFailedError
    assert caught.value.error_type is None
    assert caught.value.message == ""


def test_a_run_has_its_fields_in_the_order_of_the_contract():
    names = [attribute.name for attribute in attrs.fields(ExecutionRun)]
    assert names == ["status", "data", "duration", "started_on", "type"]


@pytest.mark.parametrize(
    ("cells", "erroneous", "ratio"), [(10, 50, 1.0), (10, -5, 0.0), (-1, 1, 0.0), (1, 10**400, 1.0)]
)
def test_the_error_ratio_is_a_share_whatever_the_figures(cells, erroneous, ratio):
    assert RunData(1, cells, erroneous, 1).error_ratio == ratio

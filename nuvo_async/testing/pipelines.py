"""Scripted pipelines, and the state of their executions at a given time."""

import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, field, frozen
from attrs.validators import ge, instance_of, optional

__all__ = ["Pipeline", "Store", "timestamp"]

_SECONDS: list[Callable[..., Any]] = [instance_of((int, float)), ge(0)]
_COUNT: list[Callable[..., Any]] = [instance_of(int), ge(0)]


@frozen(kw_only=True)
class Pipeline:
    """What each run of a pipeline does. Times are in seconds."""

    id: str = field(validator=instance_of(str))
    duration: float = field(validator=_SECONDS)
    files: int = field(validator=_COUNT)
    error: str | None = field(validator=optional(instance_of(str)))
    message: str = field(validator=instance_of(str))
    fixed_after: float | None = field(validator=optional(_SECONDS))
    rows: int = field(validator=_COUNT)
    columns: int = field(validator=_COUNT)
    error_cells: int = field(validator=_COUNT)

    def figures(self) -> dict[str, int]:
        """The `data` of a run that has ended."""
        return {
            "total_rows": self.rows,
            "total_cells": self.rows * self.columns,
            "total_error_cells": self.error_cells,
            "total_error_rows": min(self.rows, self.error_cells),
        }


@define(kw_only=True)
class _Execution:
    id: str
    pipeline: Pipeline
    trigger_type: str
    actor: dict[str, str] | None
    created: float
    configuration: str
    shown: tuple[tuple[int, bool], dict[str, Any]] | None = None

    def runs(self, now: float) -> list[tuple[str, float, float, str]]:
        """The runs that have begun, each as its type, start, end and outcome."""
        plan, start = self.pipeline, self.created
        outcome = "FAILED" if plan.error else "SUCCESSFUL"
        runs = [("CREATE", start, start + plan.duration, outcome)]
        if plan.error and plan.fixed_after is not None:
            start += plan.duration + plan.fixed_after
            runs.append(("FIX", start, start + plan.duration, "SUCCESSFUL"))
        return [run for run in runs if run[1] <= now or run[0] == "CREATE"]

    def is_over(self, now: float) -> bool:
        """Whether its last run has ended."""
        return self.runs(float("inf"))[-1][2] <= now


@define
class Store:
    """All pipelines and executions of one server. Each read computes the state at that time.

    It can be used from any thread.
    """

    clock: Callable[[], float]
    pipelines: dict[str, Pipeline] = field(factory=dict)
    _executions: dict[str, _Execution] = field(factory=dict)
    _epoch: datetime = field(init=False)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        self._epoch = datetime.now(UTC) - timedelta(seconds=self.clock())

    def start(
        self, pipeline: Pipeline, *, trigger_type: str, actor: dict[str, str] | None
    ) -> list[str]:
        """Start one execution for each file of the pipeline, and return their ids."""
        with self._lock:
            now = self.clock()
            started = [
                _Execution(
                    id=secrets.token_hex(12),
                    pipeline=pipeline,
                    trigger_type=trigger_type,
                    actor=actor,
                    created=now,
                    configuration=f"configuration-of-{pipeline.id}",
                )
                for _ in range(pipeline.files)
            ]
            self._executions.update((one.id, one) for one in started)
        return [one.id for one in started]

    def forget_ended(self) -> None:
        """Drop the executions that will no longer change."""
        with self._lock:
            now = self.clock()
            self._executions = {
                one.id: one for one in self._executions.values() if not one.is_over(now)
            }

    def read(self, execution_id: str) -> dict[str, Any] | None:
        """One execution, as Read by ID returns it now."""
        with self._lock:
            execution = self._executions.get(execution_id)
            return None if execution is None else self._json(execution, self.clock())

    def read_all(self, *, age: float = 0.0) -> list[dict[str, Any]]:
        """All executions, as Read by ID returned them `age` seconds ago, oldest first."""
        with self._lock:
            moment = self.clock() - age
            return [
                self._json(execution, moment)
                for execution in self._executions.values()
                if execution.created <= moment
            ]

    def _json(self, execution: _Execution, now: float) -> dict[str, Any]:
        runs = execution.runs(now)
        _, start, end, outcome = runs[-1]
        # The JSON is cached: thousands of executions may be listed many times before they change.
        state = (len(runs), end <= now)
        if execution.shown is not None and execution.shown[0] == state:
            return execution.shown[1]
        plan = execution.pipeline
        status = outcome if end <= now else "PROCESSING"
        updated = end if end <= now else start
        json: dict[str, Any] = {
            "id": execution.id,
            "pipeline": plan.id,
            "status": status,
            "trigger_type": execution.trigger_type,
            "configuration": execution.configuration,
            "created_at": self._date(execution.created),
            "created_by": execution.actor,
            "updated_at": self._date(updated),
            "updated_by": execution.actor,
            "logs": [self._run_json(plan, run, now) for run in runs],
        }
        if status == "FAILED":
            json["error"] = {"message": plan.message, "type": plan.error}
        execution.shown = (state, json)
        return json

    def _run_json(
        self, plan: Pipeline, run: tuple[str, float, float, str], now: float
    ) -> dict[str, Any]:
        kind, start, end, outcome = run
        if end > now:
            return {"status": "PROCESSING", "started_on": self._date(start), "type": kind}
        return {
            "status": outcome,
            "started_on": self._date(start),
            "type": kind,
            "duration": round((end - start) * 1000),
            "data": plan.figures(),
        }

    def _date(self, moment: float) -> str:
        return timestamp(self._epoch + timedelta(seconds=moment))


def timestamp(moment: datetime) -> str:
    """Write a date as JavaScript does."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"

"""Results as JSON: one object per line."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from nuvo_async.cli.batch import Batch
from nuvo_async.cli.creates import Creates
from nuvo_async.cli.rows import Row
from nuvo_async.models import CreateOutcomeUnknownError, Execution, NuvoError, unstructure

__all__ = ["JsonLines"]


class JsonLines:
    """Writes an execution in the API's own JSON, or an object for a pipeline without executions.

    This object has `pipeline`, `outcome` and `error`. `error` is null, or has a `message` and a
    `type` like the error of an execution. `outcome` is `not_started`, `no_files` or `unknown`. With
    `unknown`, there are also `candidates`: executions that the pipeline may have started, or null
    if they could not be listed.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._written: set[str] = set()

    def on_status(self, row: Row) -> None:
        """Write nothing before there is a result."""

    def on_end(self, row: Row) -> None:
        """Write the execution."""
        if row.execution is not None:
            self.execution(row.execution)

    def on_trouble(self, row: Row) -> None:
        """Write the execution in its last known state, or the outcome of the pipeline."""
        if row.execution is not None:
            self.execution(row.execution)
        elif row.pipeline is not None and row.trouble is not None:
            self._pipeline_in_trouble(row.pipeline, row.trouble)

    def on_no_files(self, pipeline_id: str) -> None:
        """Write that there is no execution."""
        self._pipeline(pipeline_id, "no_files", None)

    def execution(self, execution: Execution) -> None:
        """Write an execution."""
        self._written.add(execution.id)
        self._write(json.dumps(unstructure(execution)))

    def finish(self, batch: Batch, creates: Creates) -> None:
        """Write the missing results if the command was interrupted."""
        for execution in batch.executions:
            if execution.id not in self._written:
                self.execution(execution)
        in_doubt = Counter(create.pipeline_id for create in creates.in_doubt)
        for pipeline_id in batch.not_begun():
            if in_doubt[pipeline_id]:
                in_doubt[pipeline_id] -= 1
                message = "the command ended before its Create was answered"
                self._pipeline(pipeline_id, "unknown", _interrupted(message), candidates=None)
            else:
                message = "the command ended before it was started"
                self._pipeline(pipeline_id, "not_started", _interrupted(message))

    def _pipeline_in_trouble(self, pipeline_id: str, trouble: NuvoError) -> None:
        error = {"message": str(trouble), "type": type(trouble).__name__}
        if isinstance(trouble, CreateOutcomeUnknownError):
            found = [unstructure(one) for one in trouble.candidates]
            candidates = found if trouble.candidates_read else None
            self._pipeline(pipeline_id, "unknown", error, candidates=candidates)
        else:
            self._pipeline(pipeline_id, "not_started", error)

    def _pipeline(
        self,
        pipeline_id: str,
        outcome: str,
        error: dict[str, str] | None,
        **more: Sequence[Any] | None,
    ) -> None:
        report = {"pipeline": pipeline_id, "outcome": outcome, **more, "error": error}
        self._write(json.dumps(report))


def _interrupted(message: str) -> dict[str, str]:
    return {"message": message, "type": "Interrupted"}

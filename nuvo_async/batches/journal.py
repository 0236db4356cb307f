"""The journal of `run_pipelines`: a file from which an interrupted run can be resumed.

The file contains JSON lines, and records are only appended. The first line identifies the file and
the list of pipelines that it belongs to. Each further line records an event of the pipeline at one
`position` of that list:

    {"journal": "nuvo_async", "version": 1, "pipelines": 2, "digest": "9f86d081…"}
    {"position": 0, "event": "intent", "pipeline": "orders", "at": "2026-11-24T03:04:05.123456Z"}
    {"position": 0, "event": "created", "executions": [{"id": "65f0", "pipeline": "orders", …}]}
    {"position": 1, "event": "intent", "pipeline": "stock", "at": "2026-11-24T03:04:05.125011Z"}
    {"position": 1, "event": "refused", "error": "RateLimitError"}
    {"position": 0, "event": "finished", "executions": [{"id": "65f0", "status": "SUCCESSFUL", …}]}

| event | written | when the run is resumed |
| --- | --- | --- |
| `intent` | before each time that a Create is sent | without an answer, the outcome is unknown |
| `created` | when the Create was answered | its executions are waited for by id |
| `refused` | when a Create clearly started nothing, or was not sent after all | it is sent again |
| `finished`, `failed` | when all its executions have ended | the result is reported again |

`executions` are in the API's own JSON. `digest` is the SHA-256 of the pipeline ids as a JSON array.
The file contains no secrets.

A last line without a newline counts if it is a complete record. Otherwise, a crash truncated the
line before the run relied on it, and it is dropped. An empty file is a new journal. Any other file
that is not a journal of the same list raises a `JournalError`, and is not changed.
"""

from collections.abc import Sequence
from pathlib import Path

from nuvo_async.batches import journal_records as records
from nuvo_async.batches.journal_file import JournalFile
from nuvo_async.batches.journal_records import Entry
from nuvo_async.models import Execution

__all__ = ["Entry", "Journal"]


class Journal:
    """One journal, open for one run over one list of pipelines.

    A record is written once a method was called with it, even if the caller is cancelled. `settle`
    waits until the records are synced to disk. The methods raise `JournalError`.
    """

    def __init__(self, path: Path, pipeline_ids: Sequence[str]) -> None:
        self.entries = [Entry() for _ in pipeline_ids]
        self._pipeline_ids = pipeline_ids
        self._file = JournalFile(path)

    async def open(self) -> None:
        """Lock the file for this run, and read its records."""
        self.entries = await self._file.open(self._pipeline_ids)

    async def close(self) -> None:
        """Write the remaining records, and release the file, even if `close` is cancelled."""
        await self._file.close()

    async def intend(self, position: int) -> None:
        """Record that a Create is about to be sent. Return once the record is synced to disk."""
        self._file.check()
        line = records.intent(position, self._pipeline_ids[position])
        self._file.hand_over(line, is_intent=True)
        await self._file.settle()

    def note_created(self, position: int, executions: Sequence[Execution]) -> None:
        """Record the executions that a Create has started."""
        self._file.hand_over(records.created(position, executions))

    def note_refused(self, position: int, reason: BaseException) -> None:
        """Record that a Create has started nothing."""
        self._file.hand_over(records.refused(position, reason))

    def note_ended(self, position: int, executions: Sequence[Execution]) -> None:
        """Record how the executions of a pipeline have ended."""
        self._file.hand_over(records.ended(position, executions))

    @property
    def has_failed(self) -> bool:
        """Whether a record could not be written. No further Create is sent after that."""
        return self._file.has_failed

    async def settle(self) -> None:
        """Return once all records so far are synced to disk."""
        await self._file.settle()

"""The calls of the Execution API, each one awaitable: request, token, attempts, model."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from nuvo_async import protocol
from nuvo_async.auth import Authorizer
from nuvo_async.errors import APIError, InvalidResponseError, NuvoError, TransportError
from nuvo_async.executions import CreateOutcomeUnknownError, Execution, ExecutionPage
from nuvo_async.models import TriggerType
from nuvo_async.query import list_query

__all__ = ["ExecutionAPI"]

_MAX_CANDIDATES = 100
_REMEMBERED = 1000
_NO_CLOCK_SHOWN = timedelta(seconds=-1)


class ExecutionAPI:
    """Create, Read by ID and Read all."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        # Ids that a Create of ours was answered with: none of them is what a lost one started.
        self._created: deque[str] = deque(maxlen=_REMEMBERED)

    async def read(self, execution_id: str, on_sent: Callable[[], None] | None = None) -> Execution:
        """Read by ID; `on_sent` is called for each attempt, when it has left the queue."""
        answer = await self._authorizer.send(protocol.read_execution(execution_id, on_sent))
        return protocol.parsed(protocol.parse_execution, answer, execution_id)

    async def read_all(self, query: str) -> ExecutionPage:
        """Read all: one page, for a query of `list_query`."""
        answer = await self._authorizer.send(protocol.list_executions(query))
        return protocol.parsed(protocol.parse_page, answer)

    async def create(self, pipeline_id: str) -> list[Execution]:
        """Create. Raises `CreateOutcomeUnknownError` where it may or may not have been received."""
        request = protocol.create_execution(pipeline_id)
        try:
            answer = await self._authorizer.send(request)
        except TransportError as error:
            # The exchange of a licence key may have met it instead, before anything was created.
            if error.sent_at is None or error.path != request.path:
                raise
            raise await self._outcome_unknown(pipeline_id, error.sent_at) from error
        except asyncio.CancelledError as cancelled:
            cancelled.add_note(
                f"Create for pipeline {pipeline_id} was under way: it may have been received"
            )
            raise
        try:
            created = protocol.parsed(protocol.parse_created, answer, pipeline_id)
        except (APIError, InvalidResponseError) as error:
            if protocol.is_refusal(answer):
                raise
            raise await self._outcome_unknown(pipeline_id, answer.sent_at) from error
        self._created.extend(execution.id for execution in created)
        return created

    async def _outcome_unknown(
        self, pipeline_id: str, sent_at: datetime
    ) -> CreateOutcomeUnknownError:
        try:
            candidates = await self._created_since(pipeline_id, sent_at)
        except NuvoError as error:
            unknown = CreateOutcomeUnknownError(
                pipeline_id, sent_at=sent_at, candidates=(), candidates_read=False
            )
            unknown.add_note(f"listing its executions failed as well: {error}")
            return unknown
        except asyncio.CancelledError as cancelled:
            cancelled.add_note(
                f"Create for pipeline {pipeline_id} had no clear answer: it may have been received"
            )
            raise
        return CreateOutcomeUnknownError(pipeline_id, sent_at=sent_at, candidates=candidates)

    async def _created_since(self, pipeline_id: str, sent_at: datetime) -> list[Execution]:
        query = list_query(
            pipeline_id=pipeline_id, sort={"created_at": "desc"}, limit=_MAX_CANDIDATES
        )
        answer = await self._authorizer.send(protocol.list_executions(query))
        page = protocol.parsed(protocol.parse_page, answer)
        # `created_at` is told by the server's clock, which its `Date` shows in whole seconds. What
        # was cut off there makes the window up to a second too wide, and never too narrow.
        server_time = protocol.server_time(answer)
        ahead = server_time - datetime.now(UTC) if server_time else _NO_CLOCK_SHOWN
        earliest = _shifted(sent_at, ahead)
        return [
            execution
            for execution in page.data
            if execution.pipeline == pipeline_id
            and execution.trigger_type == TriggerType.MANUAL
            and execution.id not in self._created
            and (execution.created_at is None or _latest(execution.created_at) >= earliest)
        ]


def _latest(created_at: datetime) -> datetime:
    """The last instant that a time can mean, given the digits that it is told in."""
    cut_off = timedelta(milliseconds=1) if created_at.microsecond else timedelta(seconds=1)
    return _shifted(created_at, cut_off)


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:  # The server may tell any time, also the last one there is.
        return moment

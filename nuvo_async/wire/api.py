"""The calls of the Execution API, each one awaitable: request, token, attempts, model."""

import asyncio
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from nuvo_async.models.errors import APIError, InvalidResponseError, TransportError
from nuvo_async.models.executions import CreateOutcomeUnknownError, Execution, ExecutionPage
from nuvo_async.models.shapes import TriggerType
from nuvo_async.wire import protocol
from nuvo_async.wire.auth import Authorizer
from nuvo_async.wire.protocol import Hooks
from nuvo_async.wire.query import list_query

__all__ = ["ExecutionAPI"]

_MAX_CANDIDATES = 1000
_PAGE_SIZE = 100
_REMEMBERED = 1000
_NO_CLOCK_SHOWN = timedelta(seconds=-1)


class ExecutionAPI:
    """Create, Read by ID and Read all."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        # Ids that a Create of ours was answered with: none of them is what a lost one started.
        self._created: deque[str] = deque(maxlen=_REMEMBERED)

    async def read(self, execution_id: str, hooks: Hooks = Hooks()) -> Execution:
        """Read by ID."""
        answer = await self._authorizer.send(protocol.read_execution(execution_id, hooks))
        return protocol.parsed(protocol.parse_execution, answer, execution_id)

    async def read_all(self, query: str, hooks: Hooks = Hooks()) -> ExecutionPage:
        """Read all: one page, for a query of `list_query`."""
        answer = await self._authorizer.send(protocol.list_executions(query, hooks))
        return protocol.parsed(protocol.parse_page, answer)

    async def create(self, pipeline_id: str, hooks: Hooks = Hooks()) -> list[Execution]:
        """Create. Raises `CreateOutcomeUnknownError` where it may or may not have been received."""
        request = protocol.create_execution(pipeline_id, hooks)
        try:
            answer = await self._authorizer.send(request)
            if protocol.is_refusal(answer):
                request.sent_at = None
            created = protocol.parsed(protocol.parse_created, answer, pipeline_id)
        except asyncio.CancelledError as cancelled:
            if request.in_doubt:
                cancelled.add_note(
                    f"Create for pipeline {pipeline_id} was under way: it may have been received"
                )
            raise
        except (TransportError, APIError, InvalidResponseError) as error:
            # The exchange of a licence key may have met it instead, before anything was created.
            if request.sent_at is None:
                raise
            raise await self.outcome_unknown(pipeline_id, request.sent_at) from error
        self._created.extend(execution.id for execution in created)
        return created

    async def outcome_unknown(
        self, pipeline_id: str, sent_at: datetime, *, known: Collection[str] = ()
    ) -> CreateOutcomeUnknownError:
        """Look for what a Create may have started; none of the `known` ids is it."""
        try:
            candidates = await self._created_since(pipeline_id, sent_at)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not hide the unknown
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
        return CreateOutcomeUnknownError(
            pipeline_id,
            sent_at=sent_at,
            candidates=[one for one in candidates if one.id not in known],
        )

    async def _created_since(self, pipeline_id: str, sent_at: datetime) -> list[Execution]:
        candidates: dict[str, Execution] = {}
        # Usually one page is enough; but a journal may be taken up again days later.
        for offset in range(0, _MAX_CANDIDATES, _PAGE_SIZE):
            recent = await self._newest(pipeline_id, offset, sent_at)
            new = {one.id: one for one in recent if one.id not in candidates}
            candidates |= new
            if len(new) < _PAGE_SIZE:
                break
        return [
            one
            for one in candidates.values()
            if one.pipeline == pipeline_id
            and one.trigger_type == TriggerType.MANUAL
            and one.id not in self._created
        ]

    async def _newest(self, pipeline_id: str, offset: int, since: datetime) -> list[Execution]:
        query = list_query(
            pipeline_id=pipeline_id, sort={"created_at": "desc"}, limit=_PAGE_SIZE, offset=offset
        )
        answer = await self._authorizer.send(protocol.list_executions(query))
        page = protocol.parsed(protocol.parse_page, answer)
        # `created_at` is told by the server's clock, which its `Date` shows in whole seconds. What
        # was cut off there makes the window up to a second too wide, and never too narrow.
        server_time = protocol.server_time(answer)
        ahead = server_time - datetime.now(UTC) if server_time else _NO_CLOCK_SHOWN
        earliest = _shifted(since, ahead)
        return [
            one
            for one in page.data
            if one.created_at is None or _latest(one.created_at) >= earliest
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

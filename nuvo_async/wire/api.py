"""The calls of the Execution API as coroutines: request, token, attempts, model."""

import asyncio
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from nuvo_async.models import (
    APIError,
    CreateOutcomeUnknownError,
    Execution,
    ExecutionPage,
    InvalidResponseError,
    States,
    TransportError,
    TriggerType,
)
from nuvo_async.wire import protocol
from nuvo_async.wire.auth import Authorizer
from nuvo_async.wire.protocol import Hooks
from nuvo_async.wire.query import list_query

__all__ = ["ExecutionAPI"]

_MAX_CANDIDATES = 1000
_PAGE_SIZE = 100
_REMEMBERED = 1000
_NOW = timedelta(0)
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class ExecutionAPI:
    """Create, Read by ID, Read all and Revoke."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        # Ids from answered Creates of this client. A Create without an answer started none of them.
        self._created: deque[str] = deque(maxlen=_REMEMBERED)

    async def read(self, execution_id: str, hooks: Hooks = Hooks()) -> Execution:
        """Read by ID."""
        answer = await self._authorizer.send(protocol.read_execution(execution_id, hooks))
        return protocol.parsed(protocol.parse_execution, answer, execution_id)

    async def read_all(self, query: str, hooks: Hooks = Hooks()) -> ExecutionPage:
        """Read all: one page, for a query from `list_query`."""
        answer = await self._authorizer.send(protocol.list_executions(query, hooks))
        return protocol.parsed(protocol.parse_page, answer)

    async def read_states(self, query: str, hooks: Hooks = Hooks()) -> States:
        """Read all: the states on one page, without the records that are not as documented."""
        answer = await self._authorizer.send(protocol.list_executions(query, hooks))
        return protocol.parsed(protocol.parse_states, answer)

    async def create(self, pipeline_id: str, hooks: Hooks = Hooks()) -> list[Execution]:
        """Create. Raises `CreateOutcomeUnknownError` if it is unknown whether it was received."""
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
            # Without `sent_at`, the Create was not sent: the exchange of a licence key failed, say.
            if request.sent_at is None:
                raise
            raise await self.outcome_unknown(
                pipeline_id, request.sent_at, tick=request.sent_tick
            ) from error
        self._created.extend(execution.id for execution in created)
        return created

    async def revoke(self) -> None:
        """Revoke the token in use, if there is one."""
        await self._authorizer.revoke()

    async def outcome_unknown(
        self,
        pipeline_id: str,
        sent_at: datetime,
        *,
        tick: float | None = None,
        known: Collection[str] = (),
    ) -> CreateOutcomeUnknownError:
        """Look for executions that a Create may have started, apart from the `known` ids.

        `tick` is when it was sent by the event loop's clock, which is never set like the system's.
        """
        try:
            candidates = await self._created_since(pipeline_id, sent_at, tick)
        except Exception as error:  # noqa: BLE001 - no error may hide the unknown outcome
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

    async def _created_since(
        self, pipeline_id: str, sent_at: datetime, tick: float | None
    ) -> list[Execution]:
        candidates: dict[str, Execution] = {}
        # One page is usually enough, but a run may be resumed from its journal days later.
        for offset in range(0, _MAX_CANDIDATES, _PAGE_SIZE):
            recent = await self._newest(pipeline_id, offset, sent_at, tick)
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

    async def _newest(
        self, pipeline_id: str, offset: int, sent_at: datetime, tick: float | None
    ) -> list[Execution]:
        query = list_query(
            pipeline_id=pipeline_id, sort={"created_at": "desc"}, limit=_PAGE_SIZE, offset=offset
        )
        answer = await self._authorizer.send(protocol.list_executions(query))
        page = protocol.parsed(protocol.parse_page, answer)
        earliest = _earliest(sent_at, _age(sent_at, tick), protocol.server_time(answer))
        return [
            one
            for one in page.data
            if one.created_at is None or _latest(one.created_at) >= earliest
        ]


def _age(sent_at: datetime, tick: float | None) -> timedelta | None:
    """The longest time since a request can have been sent; `None` if it is not known."""
    by_clock = datetime.now(UTC) - sent_at
    if tick is None:
        # Another process sent it. If `sent_at` is in the future, the clock was set back since then.
        return by_clock if by_clock >= _NOW else None
    # The clock may have been set meanwhile, and the loop's clock stops while the computer sleeps.
    return max(by_clock, timedelta(seconds=asyncio.get_running_loop().time() - tick))


def _earliest(sent_at: datetime, age: timedelta | None, server_time: datetime | None) -> datetime:
    """The earliest time, by the server's clock, at which a request can have created something."""
    if age is None:
        return _BEFORE_ALL
    # `Date` is truncated to whole seconds. So the window may be up to a second too wide, and is
    # never too narrow.
    if server_time is None:
        return _shifted(sent_at, timedelta(seconds=-1))
    return _shifted(server_time, -age)


def _latest(created_at: datetime) -> datetime:
    """The latest instant that a time can mean, given its number of digits."""
    cut_off = timedelta(milliseconds=1) if created_at.microsecond else timedelta(seconds=1)
    return _shifted(created_at, cut_off)


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:  # The server may send any time, even the latest possible one.
        return moment

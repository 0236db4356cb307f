"""The shell around the core: it turns decisions into tasks and timers, and decides nothing."""

import asyncio
import inspect
import logging
import random
from contextvars import Context
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from nuvo_async.models import Execution, NuvoError, States, WaitOutageError, WaitTimeoutError
from nuvo_async.waiting.core import Core
from nuvo_async.waiting.effects import Effect, End, GiveUp, Outage, Query, ReadIds, ReadOne, Tell
from nuvo_async.waiting.wait import Wait
from nuvo_async.wire import Hooks, Request, list_query

__all__ = ["Poller", "Reader"]

_log = logging.getLogger("nuvo_async")


class Reader(Protocol):
    """The two calls of the API that read executions."""

    async def read(self, execution_id: str, hooks: Hooks) -> Execution:
        """Read by ID."""
        ...

    async def read_states(self, query: str, hooks: Hooks) -> States:
        """Read all: one page, without the records that are not as documented."""
        ...


class Poller:
    """Waits for executions on behalf of one client. All waits share one core.

    Requests and timers run in empty contexts, so that they do not belong to the first caller.
    """

    def __init__(self, api: Reader, max_concurrency: int) -> None:
        self._api = api
        self._core = Core(max_concurrency, random.random)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._next: asyncio.Handle | None = None
        self._is_soon = False
        self._unknown_statuses: set[str] = set()

    async def wait(self, wait: Wait) -> Execution:
        """Wait until the execution is SUCCESSFUL or FAILED, and return it either way."""
        self._core.joined(wait, _now())
        self._decide_soon()
        try:
            return await self._outcome(wait)
        except asyncio.CancelledError as cancelled:
            cancelled.add_note(
                f"execution {wait.execution_id} was being waited for; it goes on remotely"
            )
            raise
        finally:
            self._core.left(wait)
            ending = Context().run(self._decide)
            if self._core.is_idle:
                ending.update(self._tasks.values())
            if ending:
                # A second cancellation passes at once: these are cancelled, and end by themselves.
                await asyncio.wait(ending)

    async def _outcome(self, wait: Wait) -> Execution:
        clock = asyncio.timeout_at(wait.deadline)
        try:
            async with clock:
                return await _follow(wait, clock)
        except TimeoutError:
            if not clock.expired():
                raise  # The callback raised it.
        if wait.ended is not None:  # The callback was still busy with earlier states.
            return wait.ended
        pending = {wait.execution_id: wait.last}
        wait.timed_out = WaitTimeoutError(wait.options.timeout or 0.0, pending=pending)
        raise wait.timed_out from self._core.trouble(wait)

    # ── Decisions ─────────────────────────────────────────────────────────────────────────────

    def _decide_soon(self) -> None:
        """Decide once for all events in this iteration of the loop."""
        if not self._is_soon:
            self._plan(None)

    def _plan(self, when: float | None) -> None:
        if self._next is not None:
            self._next.cancel()
        self._is_soon = when is None
        loop = asyncio.get_running_loop()
        if when is None:
            self._next = loop.call_soon(self._decide, context=Context())
        else:
            self._next = loop.call_at(when, self._decide, context=Context())

    def _decide(self) -> set[asyncio.Task[None]]:
        """Do what the core decides; return the tasks that were cancelled."""
        try:
            effects, wake = self._core.decide(_now())
        except Exception as crash:  # noqa: BLE001 - whatever it was, no wait may hang for it
            _log.exception("polling has failed, and with it all waits")
            self._core.crashed(crash)
            effects, wake = self._core.take_effects(), float("inf")
        ending = {task for effect in effects if (task := self._do(effect)) is not None}
        if wake < float("inf"):
            self._plan(wake)
        elif self._next is not None:
            self._next.cancel()
            self._next, self._is_soon = None, False
        return ending

    def _do(self, effect: Effect) -> asyncio.Task[None] | None:
        match effect:
            case Tell(wait, execution, final):
                self._note_status(execution)
                wait.see(execution, final=final)
            case End(wait, error):
                wait.end(error)
            case Outage(wait, trouble, since):
                silence = timedelta(seconds=_now() - since)
                error = WaitOutageError(
                    wait.execution_id, last=wait.last, since=datetime.now(UTC) - silence
                )
                error.__cause__ = trouble
                wait.end(error)
            case GiveUp(number):
                if (task := self._tasks.get(number)) is not None:
                    task.cancel()
                    return task
            case (number, query):
                work = self._ask(number, query)
                task = asyncio.get_running_loop().create_task(work, context=Context())
                self._tasks[number] = task
                task.add_done_callback(lambda _: self._tasks.pop(number, None))
        return None

    def _note_status(self, execution: Execution) -> None:
        status = execution.status
        if not status.is_known and status not in self._unknown_statuses:
            self._unknown_statuses.add(status)
            _log.warning(
                "unknown status %.60r: it is not taken for an end of the execution", str(status)
            )

    # ── Requests ──────────────────────────────────────────────────────────────────────────────

    async def _ask(self, number: int, query: Query) -> None:
        try:
            answer = await self._answer(number, query)
            self._core.answered(number, answer, _now())
        except NuvoError as trouble:
            self._core.failed(number, trouble, _now())
        except asyncio.CancelledError:
            # The core has given it up and ignores this, or somebody else has cancelled the task.
            self._core.failed(number, None, _now())
            raise
        except Exception as crash:  # noqa: BLE001 - it ends the waits that it concerns
            name = f"execution {query.execution_id}" if isinstance(query, ReadOne) else "a listing"
            _log.exception("reading %s has failed", name)
            self._core.broke(number, crash)
        finally:
            self._decide_soon()

    async def _answer(self, number: int, query: Query) -> Execution | States:
        async def before_sending(_: Request) -> None:
            self._core.sent(number, _now())
            self._decide_soon()

        def on_trouble(trouble: NuvoError) -> None:
            self._core.troubled(number, trouble, _now())
            self._decide_soon()

        hooks = Hooks(before_sending, on_trouble)
        if isinstance(query, ReadOne):
            return await self._api.read(query.execution_id, hooks)
        if isinstance(query, ReadIds):
            text = list_query(filters={"id": {"$in": query.ids}}, limit=len(query.ids), offset=0)
        else:
            text = list_query(sort={"updated_at": "desc"}, limit=query.limit, offset=query.offset)
        return await self._api.read_states(text, hooks)


async def _follow(wait: Wait, clock: asyncio.Timeout) -> Execution:
    """Call the callback with each state, and return the outcome."""
    while True:
        while wait.states and wait.options.on_poll is not None:
            result = wait.options.on_poll(wait.states.popleft())
            if inspect.isawaitable(result):
                await result
            if clock.expired():  # The callback swallowed its cancellation.
                raise TimeoutError
        if isinstance(wait.outcome, Execution):
            return wait.outcome
        if wait.outcome is not None:
            raise wait.outcome
        # An `asyncio.Event` would take 700 bytes more for each wait.
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        wait.wake = partial(_wake, news)
        await news


def _wake(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)


def _now() -> float:
    return asyncio.get_running_loop().time()

"""Waiting on behalf of one client: an engine is there as long as there are waits."""

import asyncio

from nuvo_async.models.executions import Execution
from nuvo_async.waiting.engine import Engine, Reader
from nuvo_async.waiting.wait import Wait

__all__ = ["Poller"]


class Poller:
    """Hands each wait to the one engine that there is."""

    def __init__(self, api: Reader, max_concurrency: int) -> None:
        self._api = api
        self._max_concurrency = max_concurrency
        self._unknown_statuses: set[str] = set()
        self._engine: Engine | None = None

    async def wait(self, wait: Wait) -> Execution:
        """Wait until the execution is SUCCESSFUL or FAILED, and return it either way."""
        engine = self._engine
        if engine is None:
            engine = self._engine = Engine(
                self._api, self._max_concurrency, unknown_statuses=self._unknown_statuses
            )
        engine.join(wait)
        try:
            return await wait.outcome()
        finally:
            ending = engine.leave(wait)
            if engine.is_idle:
                self._engine = None
            if ending:
                await asyncio.wait(ending)

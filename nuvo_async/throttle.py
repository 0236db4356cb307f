"""How much is sent at once: requests in flight, and the whole client's pause after a 429."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Throttle"]

_log = logging.getLogger("nuvo_async")


class Throttle:
    """Holds back the requests of one client."""

    def __init__(self, max_concurrency: int) -> None:
        self._slots = asyncio.Semaphore(max_concurrency)
        self._resume_at = float("-inf")

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for one of the `max_concurrency` places, and for the end of a pause."""
        loop = asyncio.get_running_loop()
        async with self._slots:
            # It may have been prolonged meanwhile.
            while (remaining := self._resume_at - loop.time()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(remaining)
            yield

    def pause(self, seconds: float) -> None:
        """Send nothing for that long. A pause under way is never shortened."""
        resume_at = asyncio.get_running_loop().time() + seconds
        if resume_at > self._resume_at:
            self._resume_at = resume_at
            _log.info("the server asks for less: nothing is sent for %.2f s", seconds)

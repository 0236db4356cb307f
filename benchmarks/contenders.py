"""What is compared: this client, and what its users would write or pick instead.

Each contender makes the same calls, each with an id of its own, so many of them in flight, over
connections that are kept, and each one checks the status of an answer.
"""

import asyncio
import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Literal, Self

import aiohttp
import httpx
import requests.adapters
from attrs import define, frozen

from benchmarks.server import EXECUTIONS, execution_id
from nuvo_async import NuvoClient

__all__ = [
    "CONTENDERS",
    "HEADERS",
    "OURS",
    "PAGE",
    "REFERENCE",
    "TOKEN",
    "Call",
    "Contender",
    "Cost",
    "Meter",
    "cost_of",
]

Call = Literal["read", "create", "page"]
REFERENCE = "aiohttp + json()"
OURS = "nuvo_async"
# As long as one that is random enough; what is searched for in answers is found sooner so.
TOKEN = "Zq8fK2mPxTb7Yw3Rk9Lc5Vn1Hs4Jd6GaQeUiOo0Mz"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
_PAGES = EXECUTIONS // 100
PAGE = "?pagination[limit]=100&pagination[offset]="
_ids = count()


@frozen
class Cost:
    """What a batch of calls cost, in seconds: processor time of this process, and time.

    `collecting` is the part of `cpu` that went to the garbage collector.
    """

    calls: int
    cpu: float
    wall: float
    collecting: float


class Meter:
    """Measures what happens in its block. The collector runs as it does in anybody's program."""

    def __enter__(self) -> Self:
        gc.collect()  # What was measured before must not be cleaned up on this one's account.
        self._collecting = self._collection_began = 0.0
        gc.callbacks.append(self._note_collection)
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._cpu = time.process_time() - self._cpu
        self._wall = time.perf_counter() - self._wall
        gc.callbacks.remove(self._note_collection)

    def cost(self, calls: int) -> Cost:
        """Tell what so many calls in the block have cost."""
        return Cost(calls, self._cpu, self._wall, self._collecting)

    def _note_collection(self, phase: str, _: object) -> None:
        if phase == "start":
            self._collection_began = time.process_time()
        else:
            self._collecting += time.process_time() - self._collection_began


@define
class Contender(ABC):
    """A client that makes so many calls, and tells what they cost."""

    base_url: str

    @abstractmethod
    def run(self, call: Call, calls: int, in_flight: int) -> Cost:
        """Make the calls."""


class _Async(Contender):
    def run(self, call: Call, calls: int, in_flight: int) -> Cost:
        return asyncio.run(self._run(call, calls, in_flight))

    async def _run(self, call: Call, calls: int, in_flight: int) -> Cost:
        async with self.session(in_flight) as session:
            make = getattr(self, call)

            async def work(numbers: Any) -> None:
                for number in numbers:
                    await make(session, number)

            async def batch(calls: int) -> None:
                numbers = iter([next(_ids) for _ in range(calls)])
                await asyncio.gather(*(work(numbers) for _ in range(in_flight)))

            await batch(min(in_flight, calls))  # The connections are made before.
            return await cost_of(calls, batch)

    def session(self, in_flight: int) -> Any:
        raise NotImplementedError


async def cost_of(calls: int, batch: Callable[[int], Awaitable[None]]) -> Cost:
    """Make a batch of calls, and tell what it cost."""
    with Meter() as meter:
        await batch(calls)
    return meter.cost(calls)


class _AiohttpJson(_Async):
    """As it is written by hand, with the body parsed."""

    def session(self, in_flight: int) -> aiohttp.ClientSession:
        # A limit below what is in flight would cost a tenth more.
        connector = aiohttp.TCPConnector(limit=max(100, in_flight))
        return aiohttp.ClientSession(connector=connector, headers=HEADERS)

    async def finish(self, response: aiohttp.ClientResponse) -> None:
        response.raise_for_status()
        await response.json()

    async def read(self, session: aiohttp.ClientSession, number: int) -> None:
        async with session.get(f"{self.base_url}execution/{execution_id(number)}") as response:
            await self.finish(response)

    async def create(self, session: aiohttp.ClientSession, number: int) -> None:
        body = {"pipeline_id": execution_id(number)}
        async with session.post(f"{self.base_url}execution/", json=body) as response:
            await self.finish(response)

    async def page(self, session: aiohttp.ClientSession, number: int) -> None:
        query = f"{PAGE}{number % _PAGES * 100}"
        async with session.get(f"{self.base_url}execution/{query}") as response:
            await self.finish(response)


class _AiohttpBody(_AiohttpJson):
    """The floor: the body is read, and not looked at."""

    async def finish(self, response: aiohttp.ClientResponse) -> None:
        response.raise_for_status()
        await response.read()


class _Ours(_Async):
    """This client: with a token, retries, the throttle, and typed models."""

    def session(self, in_flight: int) -> NuvoClient:
        return NuvoClient(TOKEN, base_url=self.base_url, max_concurrency=max(100, in_flight))

    async def read(self, client: NuvoClient, number: int) -> None:
        await client.get_execution(execution_id(number))

    async def create(self, client: NuvoClient, number: int) -> None:
        await client.create_execution(execution_id(number))

    async def page(self, client: NuvoClient, number: int) -> None:
        await client.list_executions(limit=100, offset=number % _PAGES * 100)


class _Httpx(_Async):
    """As it comes, with up to 100 connections."""

    def session(self, in_flight: int) -> httpx.AsyncClient:
        del in_flight
        return httpx.AsyncClient(headers=HEADERS, timeout=60)

    async def read(self, client: httpx.AsyncClient, number: int) -> None:
        response = await client.get(f"{self.base_url}execution/{execution_id(number)}")
        response.raise_for_status().json()

    async def create(self, client: httpx.AsyncClient, number: int) -> None:
        body = {"pipeline_id": execution_id(number)}
        response = await client.post(f"{self.base_url}execution/", json=body)
        response.raise_for_status().json()

    async def page(self, client: httpx.AsyncClient, number: int) -> None:
        query = f"{PAGE}{number % _PAGES * 100}"
        response = await client.get(f"{self.base_url}execution/{query}")
        response.raise_for_status().json()


class _Requests(Contender):
    """A thread for each call in flight, and one session for all of them."""

    def run(self, call: Call, calls: int, in_flight: int) -> Cost:
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=in_flight)
        with requests.Session() as session, ThreadPoolExecutor(in_flight) as pool:
            session.mount("http://", adapter)
            session.headers.update(HEADERS)
            make = getattr(self, call)

            def batch(calls: int) -> None:
                numbers = [next(_ids) for _ in range(calls)]
                for _ in pool.map(lambda number: make(session, number), numbers):
                    pass

            batch(min(in_flight, calls))
            with Meter() as meter:
                batch(calls)
            return meter.cost(calls)

    def read(self, session: requests.Session, number: int) -> None:
        _finish(session.get(f"{self.base_url}execution/{execution_id(number)}", timeout=30))

    def create(self, session: requests.Session, number: int) -> None:
        body = {"pipeline_id": execution_id(number)}
        _finish(session.post(f"{self.base_url}execution/", json=body, timeout=30))

    def page(self, session: requests.Session, number: int) -> None:
        query = f"{PAGE}{number % _PAGES * 100}"
        _finish(session.get(f"{self.base_url}execution/{query}", timeout=30))


def _finish(response: requests.Response) -> None:
    response.raise_for_status()
    response.json()


CONTENDERS: dict[str, type[Contender]] = {
    "aiohttp, body only": _AiohttpBody,
    REFERENCE: _AiohttpJson,
    OURS: _Ours,
    "httpx": _Httpx,
    "requests, in threads": _Requests,
}

"""A model of waits: a clock that jumps to what happens next, and a server that lives by it.

With it, ten thousand executions of half a minute are waited for in a few seconds, and each run can
be repeated exactly.
"""

import asyncio
import math
import random
import selectors
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from attrs import define, evolve, field

from nuvo_async.models.errors import NotFoundError
from nuvo_async.models.executions import Execution, ExecutionPage, States
from nuvo_async.models.shapes import ExecutionStatus, Pagination, TriggerType
from nuvo_async.testing.listing import parse_query
from nuvo_async.wire.protocol import Hooks, Request

__all__ = ["Model", "SimulatedLoop", "durations", "run"]

T = TypeVar("T")
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_NO_HOOKS = Hooks()
_MOST_IDLE = 100_000


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes at once, whenever there is nothing to do."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop
        self._idle = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits for something that will never happen")
        self._idle = 0 if timeout else self._idle + 1
        if self._idle > _MOST_IDLE:
            raise RuntimeError("something is busy, but time does not pass")
        self._loop.advance(timeout)
        return []


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a simulated clock, which begins at 0."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)


def durations(count: int, *, median: float = 2.0, most: float = 30.0, seed: int = 1) -> list[float]:
    """Draw the seconds that each run takes: a log-normal distribution, cut at `most`."""
    dice = random.Random(seed)
    return [min(dice.lognormvariate(math.log(median), 1.0), most) for _ in range(count)]


@define
class Model:
    """The Execution API as the engine calls it, with executions that begin and end as scripted.

    `distort` may change what Read all shows: it is given the matching executions, in their right
    order, and the query.
    """

    begins: Sequence[float]
    ends: Sequence[float]
    latency: float = 0.03
    page_size: int = 100
    # How many of them, from the end of the list, are somebody else's.
    others: int = 0
    # What the server does not heed: "filter" by ids, "sort".
    ignores: frozenset[str] = frozenset()
    distort: Callable[[list[Execution], dict[str, Any]], list[Execution]] | None = None
    requests: list[tuple[float, str]] = field(factory=list)
    # The ids that requests named, and when.
    named: list[tuple[float, tuple[str, ...]]] = field(factory=list)
    _changes: list[tuple[float, int, bool]] = field(init=False)
    _moments: list[float] = field(init=False)
    _states: list[tuple[Execution, Execution]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        changes = [(begin, index, False) for index, begin in enumerate(self.begins)]
        changes += [(end, index, True) for index, end in enumerate(self.ends)]
        self._changes = sorted(changes)
        self._moments = [moment for moment, *_ in self._changes]
        self._states = [self._both_states(index) for index in range(len(self.begins))]

    def _both_states(self, index: int) -> tuple[Execution, Execution]:
        begin = _EPOCH + timedelta(seconds=self.begins[index])
        own = index < len(self.begins) - self.others
        processing = Execution(
            f"e{index}" if own else f"x{index}",
            "orders",
            ExecutionStatus.PROCESSING,
            TriggerType.MANUAL,
            created_at=begin,
            updated_at=begin,
        )
        return processing, evolve(
            processing,
            status=ExecutionStatus.SUCCESSFUL,
            updated_at=_EPOCH + timedelta(seconds=self.ends[index]),
        )

    def count(self) -> Counter[str]:
        """Count the requests by call."""
        return Counter(call for _, call in self.requests)

    def peak(self) -> int:
        """Return the most requests in one second."""
        return max(Counter(int(moment) for moment, _ in self.requests).values(), default=0)

    async def read(self, execution_id: str, hooks: Hooks = _NO_HOOKS) -> Execution:
        """Read by ID."""
        await self._travel("read", hooks)
        self.named.append((asyncio.get_running_loop().time(), (execution_id,)))
        index = int(execution_id.removeprefix("e"))
        now = asyncio.get_running_loop().time()
        if index >= len(self.begins) or now < self.begins[index]:
            raise NotFoundError("no such one", status=404, method="GET", path="execution/e")
        execution = self._states[index][now >= self.ends[index]]
        await asyncio.sleep(self.latency / 2)
        return execution

    async def read_all(self, query: str, hooks: Hooks = _NO_HOOKS) -> ExecutionPage:
        """Read all."""
        await self._travel("list", hooks)
        parameters = parse_query(query)
        offset = int(parameters["pagination"]["offset"])
        limit = min(int(parameters["pagination"]["limit"]), self.page_size)
        matching = self._matching(parameters, asyncio.get_running_loop().time())
        if self.distort is not None:
            matching = iter(self.distort(list(matching), parameters))
        data = tuple(islice(matching, offset, offset + limit))
        await asyncio.sleep(self.latency / 2)
        return ExecutionPage(data, Pagination(len(data), offset, limit))

    async def read_states(self, query: str, hooks: Hooks = _NO_HOOKS) -> States:
        """Read all, as the engine takes it."""
        page = await self.read_all(query, hooks)
        return States(page.data, len(page.data), page.pagination.limit)

    async def _travel(self, call: str, hooks: Hooks) -> None:
        if hooks.before_sending is not None:
            await hooks.before_sending(Request("GET", "execution/"))
        self.requests.append((asyncio.get_running_loop().time(), call))
        await asyncio.sleep(self.latency / 2)

    def _matching(self, parameters: dict[str, Any], now: float) -> Any:
        if "filters" in parameters and "filter" not in self.ignores:
            self.named.append((now, tuple(parameters["filters"]["id"]["$in"])))
            numbers = (int(one.lstrip("e")) for one in parameters["filters"]["id"]["$in"])
            return (
                self._states[index][now >= self.ends[index]]
                for index in numbers
                if index < len(self.begins) and self.begins[index] <= now
            )
        latest = self._changes[: bisect_right(self._moments, now)]
        if "sort" in self.ignores:
            return (
                self._states[index][now >= self.ends[index]]
                for _, index, ended in latest
                if not ended
            )
        return (
            self._states[index][ended]
            for _, index, ended in reversed(latest)
            if ended or self.ends[index] > now
        )

"""What the tests of waiting share: a model of the API on a simulated clock."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from attrs import define, field

from benchmarks.simulation import Model, durations, run
from nuvo_async import (
    AuthenticationError,
    NuvoError,
    PollPolicy,
    ServerError,
    TransportError,
)
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import WaitOptions
from nuvo_async.wire.protocol import Hooks

DEFAULT = PollPolicy()


NO_HOOKS = Hooks()


def model_of(count: int, *, most: float = 30.0, **options: Any) -> Model:
    """So many executions, all begun within a second."""
    dice = random.Random(5)
    begins = sorted(dice.random() for _ in range(count))
    lengths = durations(count, most=most)
    return Model(begins, [b + d for b, d in zip(begins, lengths, strict=True)], **options)


@define
class Outcomes:
    late: list[float] = field(factory=list)
    errors: dict[str, BaseException] = field(factory=dict)


def wait_for_all_of(model: Any, poller: Poller | None = None, **options: Any) -> Outcomes:
    """Wait for each execution from when its Create was answered, each in a task of its own."""
    options.setdefault("policy", DEFAULT)
    outcomes = Outcomes()

    async def follow(poller: Poller, index: int) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(model.begins[index] + model.latency)
        wait = WaitOptions(**options).wait_for(f"e{index}")
        try:
            execution = await poller.wait(wait)
        except NuvoError as error:
            outcomes.errors[wait.execution_id] = error
        else:
            assert execution.is_finished
            assert execution.id == wait.execution_id
            outcomes.late.append(loop.time() - model.ends[index])

    async def main() -> None:
        at_work = poller or Poller(model, 100)
        await asyncio.gather(*(follow(at_work, index) for index in range(len(model.begins))))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    return outcomes


def per_run(model: Model) -> float:
    return len(model.requests) / len(model.begins)


def options(policy: PollPolicy = DEFAULT, **others: Any) -> WaitOptions:
    return WaitOptions(policy=policy, **others)


class Broken(Model):
    """Fails in a way, for some calls, for some time."""

    trouble: Callable[[], NuvoError]
    calls: tuple[str, ...] = ("read", "list")
    since: float = 3.0
    until: float = float("inf")

    async def _travel(self, call: str, hooks: Hooks) -> None:
        await super()._travel(call, hooks)
        now = asyncio.get_running_loop().time()
        if call in self.calls and self.since <= now < self.until:
            raise self.trouble()


def broken(count: int, trouble: Callable[[], NuvoError], **details: Any) -> Broken:
    whole = model_of(count)
    model = Broken(whole.begins, whole.ends)
    model.trouble = trouble
    for name, value in details.items():
        setattr(model, name, value)
    return model


def api_error(kind: type[Any], status: int) -> Callable[[], NuvoError]:
    return lambda: kind("no", status=status, method="GET", path="execution/e")


def no_answer() -> NuvoError:
    return TransportError("cut", method="GET", path="execution/e")


unauthorized = api_error(AuthenticationError, 401)


broken_down = api_error(ServerError, 500)

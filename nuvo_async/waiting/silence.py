"""How long nothing at all could be read, for the waits that put up with only so much of it."""

import asyncio
import math
from collections.abc import Collection, Mapping

from attrs import define, field

from nuvo_async.models.errors import NuvoError
from nuvo_async.waiting.policy import PollPolicy
from nuvo_async.waiting.wait import Wait

__all__ = ["Silence"]


@define
class Silence:
    """Begins with a request, and ends with an answer to any: then the API can be reached.

    A wait that rests on listings has no request of its own that could fail. So while there is
    silence, all waits are looked at when the first could have had enough of it.
    """

    waits: Mapping[PollPolicy, Collection[Wait]]
    trouble: NuvoError | None = None
    _since: float | None = field(default=None, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def begin(self) -> None:
        """A request is sent."""
        if self._since is None:
            self._since = asyncio.get_running_loop().time()
            self.look_again()

    def end(self) -> None:
        """An answer came."""
        self._since = self.trouble = None

    def withdraw(self) -> None:
        """All that was asked is given up: if nothing has failed yet, nobody knows."""
        if self.trouble is None:
            self._since = None

    def cancel(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def look_again(self) -> None:
        """Look at the waits when the first of them can have had enough."""
        if self._since is not None:
            self._look_at(self._since + min(map(_limit, self.waits), default=math.inf))

    def _look_at(self, when: float) -> None:
        if when < (math.inf if self._timer is None else self._timer.when()):
            self.cancel()
            self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        # The timer may have been set in a silence before this one.
        if self._since is None or now < self._since + min(map(_limit, self.waits), default=0):
            self.look_again()
            return
        again = math.inf
        for policy, alike in self.waits.items():
            for wait in alike:
                if wait.options.timeout is None:
                    over = max(self._since, wait.started) + _limit(policy)
                    if over <= now:
                        wait.meet(self.trouble, self._since)
                    else:
                        again = min(again, over)
        self._look_at(again)


def _limit(policy: PollPolicy) -> float:
    # Where no outage is allowed at all, it is trouble with the execution itself that counts.
    return policy.max_outage or math.inf

"""When the next request may go: the server's wish first, then the pace of the waits."""

from collections.abc import Iterator

from attrs import define, field

from nuvo_async.models import APIError, NuvoError
from nuvo_async.waiting.policy import PollPolicy
from nuvo_async.waiting.wait import Wait

__all__ = ["Pace"]

# Reading together may spend a quarter of what one by one would cost, and be so much quicker. Few
# executions may spend more of it, as there is less to save.
_SHARE, _SHARE_OF_FEW, _FEW = 4, 2.5, 30
_QUICKER = 30
_SHORTEST = 0.001
_ATTEMPTS_IN_AN_OUTAGE = 4
_NEVER = float("inf")


@define(eq=False)
class Pace:
    """All waits by policy, the oldest first: the youngest of each policy sets its pace.

    Nothing is asked before `resume_at`, as the server wants it.
    """

    waits: dict[PollPolicy, dict[Wait, None]] = field(factory=dict)
    resume_at: float = -_NEVER

    def add(self, wait: Wait) -> None:
        """Add a wait, which is the youngest."""
        self.waits.setdefault(wait.policy, {})[wait] = None

    def remove(self, wait: Wait) -> None:
        """Remove a wait."""
        alike = self.waits[wait.policy]
        del alike[wait]
        if not alike:
            del self.waits[wait.policy]

    @property
    def max_outage(self) -> float:
        """The shortest outage that any policy ends a wait for."""
        return min((policy.max_outage for policy in self.waits), default=_NEVER)

    @property
    def max_interval(self) -> float:
        """The shortest of the longest delays."""
        return min((policy.max_interval for policy in self.waits), default=_NEVER)

    def interval(self, now: float, *, watches: int, cost: float) -> float:
        """Return the seconds from one reading of a listing to the next.

        `cost` is the requests that a reading takes, `watches` how many executions it serves. One
        by one, they would cost `watches / delay` requests a second.
        """
        share = (_SHARE_OF_FEW if watches <= _FEW else _SHARE) * cost / watches
        return max(
            _SHORTEST,
            min(
                max(policy.min_interval, delay / _QUICKER, min(delay, share * delay))
                for policy, delay in self._delays(now)
            ),
        )

    def _delays(self, now: float) -> Iterator[tuple[PollPolicy, float]]:
        for policy, alike in self.waits.items():
            yield policy, policy.delay(now - next(reversed(alike)).started)

    def retry(self, now: float, failing_since: float | None) -> float:
        """Return the seconds until a source that fails is asked again.

        The delay grows with the time that it has failed. An outage takes several attempts.
        """
        failed = 0.0 if failing_since is None else now - failing_since
        delay = min((policy.delay(failed) for policy in self.waits), default=_SHORTEST)
        return max(min(delay, self.max_outage / _ATTEMPTS_IN_AN_OUTAGE), _SHORTEST)

    @property
    def patience(self) -> float:
        """The seconds after which a request without an answer counts as failed."""
        return self.max_outage / _ATTEMPTS_IN_AN_OUTAGE or _NEVER

    def heed(self, trouble: NuvoError, now: float) -> None:
        """Ask nothing for as long as the server wants, up to half of the shortest outage."""
        if isinstance(trouble, APIError) and trouble.retry_after:
            wanted = min(trouble.retry_after, self.max_outage / 2)
            self.resume_at = max(self.resume_at, now + wanted)

"""When the next request may be sent: what the server asks for, then the pace of the waits."""

from collections.abc import Iterator

from attrs import define, field

from nuvo_async.models import APIError, NuvoError
from nuvo_async.waiting.policy import PollPolicy
from nuvo_async.waiting.wait import Wait

__all__ = ["Pace"]

# Reading together may spend a quarter of what polling one by one would cost. Few executions may
# spend more of it, since there is less to save.
_SHARE, _SHARE_OF_FEW, _FEW = 4, 2.5, 30
_QUICKER = 30
_SHORTEST = 0.001
_ATTEMPTS_IN_AN_OUTAGE = 4
_NEVER = float("inf")


@define(eq=False)
class Pace:
    """All waits by policy, the oldest first. The youngest wait of each policy sets its pace.

    Nothing is sent before `resume_at`, because the server asked for that.
    """

    waits: dict[PollPolicy, dict[Wait, None]] = field(factory=dict)
    resume_at: float = -_NEVER

    def add(self, wait: Wait) -> None:
        """Add a wait that has just begun."""
        self.waits.setdefault(wait.policy, {})[wait] = None

    def remove(self, wait: Wait) -> None:
        """Remove a wait."""
        alike = self.waits[wait.policy]
        del alike[wait]
        if not alike:
            del self.waits[wait.policy]

    @property
    def max_outage(self) -> float:
        """The smallest `max_outage` of all policies."""
        return min((policy.max_outage for policy in self.waits), default=_NEVER)

    @property
    def max_interval(self) -> float:
        """The smallest `max_interval` of all policies."""
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
        """Return the seconds until a failing source is asked again.

        The delay grows with the time for which it has failed, and leaves room for several attempts
        in an outage.
        """
        failed = 0.0 if failing_since is None else now - failing_since
        delay = min((policy.delay(failed) for policy in self.waits), default=_SHORTEST)
        return max(min(delay, self.max_outage / _ATTEMPTS_IN_AN_OUTAGE), _SHORTEST)

    @property
    def patience(self) -> float:
        """The seconds after which a request without an answer counts as failed."""
        return self.max_outage / _ATTEMPTS_IN_AN_OUTAGE or _NEVER

    def heed(self, trouble: NuvoError, now: float) -> None:
        """Send nothing for as long as the server asks, up to half of the smallest `max_outage`."""
        if isinstance(trouble, APIError) and trouble.retry_after:
            wanted = min(trouble.retry_after, self.max_outage / 2)
            self.resume_at = max(self.resume_at, now + wanted)

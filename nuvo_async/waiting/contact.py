"""The failures of one source, and whether they are an outage for a wait.

A source is Read by ID of one execution, Read by ID as a whole, or one way to list many.
"""

from attrs import define

from nuvo_async.models import APIError, InvalidResponseError, NuvoError, TransportError

__all__ = ["Contact", "passes"]

_NEVER = float("-inf")


def passes(trouble: NuvoError) -> bool:
    """Whether a failure is temporary: it says nothing about an execution."""
    if isinstance(trouble, APIError):
        return trouble.status in {408, 429} or trouble.status >= 500
    if isinstance(trouble, InvalidResponseError):
        return trouble.transient
    return isinstance(trouble, TransportError)


@define(eq=False)
class Contact:
    """The failures of one source since it last answered. Times are on the loop's clock."""

    failing_since: float | None = None
    trouble: NuvoError | None = None
    _last: float = _NEVER
    _last_but_one: float = _NEVER

    def failed(self, trouble: NuvoError | None, *, sent_at: float, now: float) -> None:
        """Record an attempt that was sent at `sent_at` and failed now."""
        if self.failing_since is None:
            self.failing_since = sent_at
        self.trouble = trouble or self.trouble
        self._last_but_one, self._last = self._last, now

    def answered(self) -> None:
        """Forget the failures: the source has answered."""
        self.failing_since = self.trouble = None
        self._last = self._last_but_one = _NEVER

    def outage_at(self, started: float, max_outage: float) -> float:
        """Return when the failures become an outage for a wait that began at `started`."""
        return max(self.failing_since or _NEVER, started) + (
            float("inf") if self.failing_since is None else max_outage
        )

    def is_outage(self, started: float, max_outage: float, now: float) -> bool:
        """Whether they are an outage now: two failures or more, the last one near the end.

        A single failed poll is not an outage, nor is a process that was stopped for a while.
        """
        over = self.outage_at(started, max_outage)
        begin = over - max_outage
        return now >= over and self._last_but_one >= begin and self._last >= begin + max_outage / 2

"""The checks of a listing: executions that are read by id, or named, although it shows them."""

from itertools import islice

from attrs import define, field

from nuvo_async.waiting.state import State
from nuvo_async.waiting.watch import Reading, Watch
from nuvo_async.waiting.ways import Way

__all__ = ["Audit"]

# The readings of a listing for each execution that is read by id.
_READINGS_PER_CHECK = 4
# Each execution is named by a request within 10 x `max_interval`: with room to spare.
_NAMED_WITHIN = 9
_MOST_REQUESTS_AT_ONCE = 8
_MOST_ENDS = 100


@define(eq=False)
class Audit:
    """Spends a small share of the requests on checks, each execution in turn.

    `suspect` is an execution whose date has changed while it runs. It is checked first.
    """

    state: State
    suspect: Watch | None = None
    # Ends that Read by ID reported first, with the time. The listing has to show them as well.
    ends: dict[str, float] = field(factory=dict)
    _checks: float = 0.0
    _namings: float = 0.0

    def check(self, way: Way, now: float, *, least: int = 0) -> None:
        """Read some listed executions by id. The more strikes the way has, the more are read."""
        if now < self.state.pace.resume_at:
            return
        self._checks = max(self._checks + 2**way.trust.strikes / _READINGS_PER_CHECK, least)
        suspect, self.suspect = self.suspect, None
        suspects = [suspect] if suspect is not None and suspect.waits else []
        in_turn = islice(self.state.listed, _MOST_REQUESTS_AT_ONCE)
        for watch in [*suspects, *in_turn][: int(self._checks)]:
            if not isinstance(watch.standing, Reading):
                self.state.read(watch, now)
        self._checks -= int(self._checks)

    def pass_time(self, seconds: float, *, size: int) -> None:
        """Count the requests, of `size` executions each, that are due after that many seconds."""
        within = _NAMED_WITHIN * self.state.pace.max_interval * size
        if seconds < float("inf") and within:
            due = self._namings + seconds * len(self.state.listed) / within
            self._namings = min(due, _MOST_REQUESTS_AT_ONCE)

    def to_be_named(self, *, size: int) -> list[Watch]:
        """Return the executions that a request has to name next."""
        named = list(islice(self.state.listed, int(self._namings) * size))
        self._namings -= int(self._namings)
        for watch in named:
            self.state.name(watch)
        return named

    def note_end(self, execution_id: str, now: float) -> None:
        """Remember an end that Read by ID has reported and the listing has not."""
        if len(self.ends) < _MOST_ENDS:
            self.ends[execution_id] = now

    def is_confirmed(self, execution_id: str, asked_at: float) -> bool:
        """Whether a listing that was requested then confirms such an end by showing it."""
        if self.ends.get(execution_id, asked_at) >= asked_at:
            return False
        del self.ends[execution_id]
        return True

    def missed_end(self, began: float) -> str | None:
        """Return an execution whose end should have been shown by a reading that began then."""
        return next((one for one, told_at in self.ends.items() if told_at < began), None)

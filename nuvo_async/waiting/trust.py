"""How far a way to read many executions is trusted, based on what it has shown."""

import logging
from enum import Enum

from attrs import define

__all__ = ["Evidence", "Trust"]

_log = logging.getLogger("nuvo_async")

_OUT = 3
_MOST_RESTS = 6


class Evidence(Enum):
    """Evidence for or against a way, with the strikes it adds. A way with three is paused."""

    AGREED = "Read by ID agrees", None
    MISSED = "an end, or an execution, was not shown", 1
    FAILED = "it fails, while Read by ID answers", 1
    LATE = "it does not answer, while Read by ID does", 3
    UNFIT = "what it shows cannot be used", 3


@define(eq=False)
class Trust:
    """The record of one way. After a pause, one strike is enough for another, longer pause."""

    way: str
    strikes: int = 0
    rests_until: float = float("-inf")
    _rests: int = 0

    def weigh(self, evidence: Evidence, now: float, *, rest: float, reason: object) -> bool:
        """Record evidence. Return whether the way is paused now, for `rest` seconds at first."""
        text, strikes = evidence.value
        if strikes is None:
            self.strikes = 0
            self._rests = max(0, self._rests - 1)
            return False
        self.strikes += strikes
        _log.debug("%s: %s: %s", self.way, text, reason)
        if self.strikes < _OUT:
            return False
        self.rests_until = now + rest * 2**self._rests
        _log.debug("%s: not used for %.1f s", self.way, self.rests_until - now)
        self._rests = min(self._rests + 1, _MOST_RESTS)
        self.strikes = _OUT - 1
        return True

"""When a wait asks again, and what it puts up with."""

import random

from attrs import field, frozen

from nuvo_async import arguments

__all__ = ["PollPolicy"]


@frozen(kw_only=True)
class PollPolicy:
    """When a wait asks again, and what trouble it puts up with. Times are seconds.

    The next delay is `growth` x the time waited so far, at least `min_interval`, at most
    `max_interval`, and then up to the share `jitter` longer or shorter: short runs are noticed
    quickly, long ones are asked about seldom.

    A 404 in the first `not_found_grace` seconds of a wait passes: an execution can take a moment
    to appear. A wait without a timeout ends when nothing could be read for `max_outage`.

    Raises `ValueError` for a figure that is negative or not finite, a `jitter` above 1, or a
    `max_interval` below `min_interval`.
    """

    min_interval: float = field(default=0.5, validator=arguments.number_field)
    growth: float = field(default=0.2, validator=arguments.number_field)
    max_interval: float = field(default=30.0, validator=arguments.number_field)
    jitter: float = field(default=0.1, validator=arguments.number_field)
    max_outage: float = field(default=300.0, validator=arguments.number_field)
    not_found_grace: float = field(default=10.0, validator=arguments.number_field)

    def __attrs_post_init__(self) -> None:
        if self.jitter > 1:
            raise ValueError(f"jitter must be a share from 0 to 1, not {self.jitter}")
        if self.max_interval < self.min_interval:
            raise ValueError(
                f"max_interval ({self.max_interval}) must not be below"
                f" min_interval ({self.min_interval})"
            )

    def delay(self, waited: float) -> float:
        """Return the seconds until the next poll of an execution that was waited for that long."""
        delay = min(max(self.growth * waited, self.min_interval), self.max_interval)
        return delay * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - no secret

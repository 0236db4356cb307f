"""`PollPolicy`: when a wait asks again, and how much trouble it tolerates."""

from attrs import field, frozen

from nuvo_async import arguments

__all__ = ["PollPolicy"]


@frozen(kw_only=True)
class PollPolicy:
    """When a wait asks again, and how much trouble it tolerates. Times are seconds.

    The next delay is `growth` x the time waited so far, at least `min_interval`, at most
    `max_interval`, and then up to the share `jitter` longer or shorter: short runs are noticed
    quickly, and long ones are polled seldom. Many waits of one client are read together, and then
    more often than that: see the README.

    A 404 in the first `not_found_grace` seconds of a wait is tolerated: an execution can take a
    moment to appear. A wait without a timeout ends when nothing could be read for `max_outage`, in
    two attempts or more.

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

    def delay(self, waited: float, dice: float = 0.5) -> float:
        """Return the seconds until the next poll, after that much waiting.

        `dice` is a random number from 0 to 1, which the jitter is drawn by; 0.5 is no jitter.
        """
        delay = min(max(self.growth * waited, self.min_interval), self.max_interval)
        return delay * (1 + self.jitter * (2 * dice - 1))

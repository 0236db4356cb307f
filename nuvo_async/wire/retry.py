"""The retry policy: how often a request may be sent again, and after which delays."""

from collections.abc import Iterator
from typing import Any

import backoff
from attrs import Attribute, field, frozen

from nuvo_async import arguments

__all__ = ["RetryPolicy"]


def _at_least_one(_: Any, attribute: "Attribute[Any]", value: object) -> None:
    arguments.integer(attribute.name, value, minimum=1)


@frozen(kw_only=True)
class RetryPolicy:
    """How a call is retried after no answer or a temporary refusal. Times are in seconds.

    `max_attempts` counts the first attempt, so 1 means no retry. The delay before retry n is
    random between 0 and `base_delay` x 2**n, at most `max_delay` (full jitter). A `Retry-After`
    from the server replaces this delay, up to `max_retry_after`. If it is longer, the call fails
    at once.

    Raises `ValueError` for a number that is negative or not finite, for `max_attempts` below 1,
    and for a `max_delay` below `base_delay`.
    """

    max_attempts: int = field(default=4, validator=_at_least_one)
    base_delay: float = field(default=0.5, validator=arguments.number_field)
    max_delay: float = field(default=20.0, validator=arguments.number_field)
    max_retry_after: float = field(default=60.0, validator=arguments.number_field)

    def __attrs_post_init__(self) -> None:
        if self.max_delay < self.base_delay:
            raise ValueError(
                f"max_delay ({self.max_delay}) must not be below base_delay ({self.base_delay})"
            )

    def delays(self) -> Iterator[float]:
        """Yield the delay before each retry of one call, for when the server requests none."""
        # A base delay of 0 never grows by doubling. With a maximum of 0, the generator stops
        # counting.
        most = self.max_delay if self.base_delay else 0
        longest = backoff.expo(factor=self.base_delay, max_value=most)
        next(longest)  # backoff's generators first yield `None`, because they accept `send`.
        yield from map(backoff.full_jitter, longest)

"""Which way the executions are read: by id one by one, by ids, or from the change feed."""

from collections.abc import Iterable

from nuvo_async.waiting.ways import Way

__all__ = ["FEW", "best_way"]

# Reading together begins with so many executions, and ends with so few: nothing flaps between.
_MANY, FEW = 8, 2
# A way is left for another one only where that is clearly cheaper.
_CHEAPER = 0.7
# With its share of checks, a listing costs a quarter more than its own requests.
_WITH_CHECKS = 1.25


def best_way(
    ways: Iterable[Way], current: Way | None, *, watches: int, interval: float, now: float
) -> tuple[Way | None, str]:
    """Return the way that costs least, with the reason; `None` is Read by ID, one by one.

    `interval` is the seconds from one reading of a listing to the next. A way that rests is not
    taken, nor one that would cost as much as reading `watches` executions one by one.
    """
    if watches < (_MANY if current is None else FEW + 1):
        return None, f"there are {watches} of them"
    costs = {way: way.cost(watches, interval) for way in ways if way.trust.rests_until <= now}
    worth = [way for way in costs if costs[way] * _WITH_CHECKS < watches]
    best = min(worth, key=costs.__getitem__, default=None)
    if best is None:
        return None, "no listing is of use"
    if current in worth and costs[best] >= _CHEAPER * costs[current]:
        best = current
    return best, f"it takes {costs[best]:.1f} requests for {watches} of them"

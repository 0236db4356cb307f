"""Which way executions are read: one by one by id, many by ids, or from the change feed."""

from collections.abc import Iterable

from nuvo_async.waiting.ways import Way

__all__ = ["FEW", "best_way"]

# Executions from which on a listing is read, and down to which. The gap avoids flapping.
_MANY, FEW = 8, 2
# Another way is taken only if it is clearly cheaper.
_CHEAPER = 0.7
# Checks add a quarter to the requests of a listing.
_WITH_CHECKS = 1.25


def best_way(
    ways: Iterable[Way], current: Way | None, *, watches: int, interval: float, now: float
) -> tuple[Way | None, str]:
    """Return the way that costs least, with the reason; `None` is Read by ID, one by one.

    `interval` is the seconds from one reading of a listing to the next. A paused way is not
    used, nor one that would cost as much as reading `watches` executions one by one.
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

"""Which listing to go by, and how far to trust it, judged by what Read by ID shows."""

import logging

from attrs import define

from nuvo_async.waiting.listings import ChangeFeed, Listing, ProcessingPages, Sweep

__all__ = ["Ways"]

_log = logging.getLogger("nuvo_async")

# So many sweeps in a row may fail, or miss an end, before another way is taken.
_STRIKES = 3
_LONGEST_PAUSE = 64
# The most ends that are remembered, to see whether the listing shows them as well.
_MOST_ENDS = 100


@define(eq=False)
class _Way:
    """A listing, and how it is thought of. Pauses are counted in ticks."""

    listing: Listing
    usable_from: int = 0
    pause: int = 1
    on_probation: bool = False

    def renew(self) -> None:
        """Forget the last sweep: when the listing is taken up again, that will be long ago."""
        self.listing = type(self.listing)()


class Ways:
    """The listings to choose from, the best first. One that has failed has a pause.

    `current` is the listing in use, or `None` where each execution is read by its id. `strikes`
    counts the doubts about it.
    """

    def __init__(self) -> None:
        self.current: Listing | None = None
        self.strikes = 0
        self._tick = 0
        self._ways = [_Way(ChangeFeed()), _Way(ProcessingPages())]
        self._way: _Way | None = None
        # Ends that Read by ID has told, and the listing has yet to show.
        self._ends: dict[str, float] = {}

    def next_tick(self) -> None:
        """Count the time in which pauses are measured."""
        self._tick += 1

    def choose(self, *, many: bool) -> bool:
        """Take the best way there is now; return whether it is another one than before."""
        usable = (way for way in self._ways if way.usable_from <= self._tick)
        best = next(usable, None) if many else None
        if best is self._way and (best is None or best.listing is self.current):
            return False
        if self._way is not None:
            self._way.renew()
        self._way = best
        self.current = None if best is None else best.listing
        self.strikes = 0
        self._ends.clear()
        _log.debug("executions are read by %s", self.current.name if self.current else "their ids")
        return True

    @property
    def is_trusted(self) -> bool:
        """Whether the listing may be left to show what becomes of executions.

        One that was wrong, or failed, has to show first that it is right now.
        """
        return self._way is not None and not self._way.on_probation

    def fail(self, listing: Listing, reason: object) -> None:
        """A sweep has failed; too often in a row, and no listing is used for a while."""
        if self._is_struck_out(listing, reason, _STRIKES):
            self.suspend(listing, "it fails")

    def suspend(self, listing: Listing, reason: object) -> None:
        """Use no listing for some ticks: what is wrong with one is wrong with all."""
        if listing is self.current:
            for way in self._ways:
                way.on_probation = True
                self._leave_alone(way, reason)

    def doubt(self, listing: Listing, reason: object) -> None:
        """A sweep was wrong; too often in a row is a reason to take another way."""
        if self._way is None:
            return
        if self._is_struck_out(listing, reason, 1 if self._way.on_probation else _STRIKES):
            self._way.on_probation = True
            self._leave_alone(self._way, "it was wrong")

    def drop(self, listing: Listing, reason: object) -> None:
        """Take another way for some ticks: this one is of no use."""
        if self._way is not None and listing is self.current:
            self._leave_alone(self._way, reason)

    def _is_struck_out(self, listing: Listing, reason: object, most: int) -> bool:
        if listing is not self.current:
            return False
        self.strikes += 1
        _log.debug("%s: %s (%d of %d)", listing.name, reason, self.strikes, most)
        return self.strikes >= most

    def _leave_alone(self, way: _Way, reason: object) -> None:
        way.usable_from = self._tick + way.pause
        _log.debug("%s: not for %d ticks: %s", way.listing.name, way.pause, reason)
        way.pause = min(2 * way.pause, _LONGEST_PAUSE)

    # ── What Read by ID has told ──────────────────────────────────────────────────────────────

    def note_end(self, execution_id: str, now: float) -> None:
        """Read by ID has told of an end that the listing should show as well."""
        if self._way is not None and len(self._ends) < _MOST_ENDS:
            self._ends[execution_id] = now

    def is_noted(self, execution_id: str) -> bool:
        """Whether a sweep should look for the end of this one."""
        return execution_id in self._ends

    def judge(self, listing: Listing, sweep: Sweep, *, began: float, brought_news: bool) -> None:
        """Doubt a listing that has not shown an end which was known when the sweep began."""
        if self._way is None or listing is not self.current:
            return
        missed = None
        for execution_id, told_at in list(self._ends.items()):
            if not listing.has_missed_end(sweep.shown.get(execution_id)):
                del self._ends[execution_id]
                self._way.on_probation = False
            elif told_at < began:
                missed = execution_id
        if missed is not None:
            self.doubt(listing, f"it has not shown the end of {missed}")
            return
        self.strikes = 0
        if brought_news:
            self._way.pause = 1

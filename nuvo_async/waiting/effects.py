"""What the core asks its shell to do."""

from attrs import frozen

from nuvo_async.models import Execution
from nuvo_async.waiting.wait import Wait

__all__ = ["Effect", "End", "GiveUp", "Outage", "Query", "ReadIds", "ReadOne", "ReadPage", "Tell"]


@frozen
class ReadOne:
    """Read by ID."""

    execution_id: str


@frozen
class ReadIds:
    """Read all, filtered by these ids."""

    ids: tuple[str, ...]


@frozen
class ReadPage:
    """Read all, sorted by `updated_at`, the newest first: the page at this offset."""

    offset: int
    limit: int


Query = ReadOne | ReadIds | ReadPage


@frozen
class GiveUp:
    """Cancel the request with this number."""

    number: int


@frozen
class Tell:
    """Give a wait a state that was read. It is the outcome if `final`."""

    wait: Wait
    execution: Execution
    final: bool


@frozen
class End:
    """End a wait with an error."""

    wait: Wait
    error: Exception


@frozen
class Outage:
    """End a wait for which nothing could be read since that time on the loop's clock."""

    wait: Wait
    trouble: Exception | None
    since: float


# A query comes with the number under which the shell reports its outcome.
Effect = tuple[int, Query] | GiveUp | Tell | End | Outage

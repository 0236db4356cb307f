"""The last message of a command that ends early: open executions, and how to continue."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from nuvo_async.cli.batch import Batch
from nuvo_async.cli.creates import Create, Creates
from nuvo_async.cli.rows import clean, count

__all__ = ["rest"]

_MOST_NAMED = 10
_CLOCKS_DIFFER_BY = timedelta(minutes=1)


def rest(batch: Batch, creates: Creates, *, journal: str | None, width: int) -> Iterator[str]:
    """Name what is left. If a journal has all of it, name the journal instead."""
    in_doubt = creates.in_doubt
    unstarted = Counter(batch.not_begun()) - Counter(one.pipeline_id for one in in_doubt)
    running = [clean(row.execution_id) for row in batch.going_on]
    if in_doubt:
        yield from _not_known(in_doubt)
    if journal is not None:
        if in_doubt or unstarted or running:
            yield f"to go on, run the same command again: {clean(journal)} has what was done"
        return
    if unstarted:
        yield f"not started: {_listed(list(unstarted.elements()))}"
    if running:
        yield f"{count(len(running), 'execution')} may still be running; to wait again:"
        yield from _wait_command(running, width)


def _not_known(creates: Sequence[Create]) -> Iterator[str]:
    names = sorted({create.pipeline_id for create in creates})
    # Executions have times of the API's clock, and Creates have times of the local clock.
    since = min(create.began_at for create in creates) - _CLOCKS_DIFFER_BY
    look = ["nuvo-async", "list", "--trigger-type", "MANUAL"]
    look += ["--since", since.isoformat(timespec="seconds")]
    look += ["--pipeline", names[0]] if len(names) == 1 else []
    yield f"not known whether these pipelines were started: {', '.join(map(clean, names))}"
    yield "to find out, look for their executions before you start them again:"
    yield f"  {clean(shlex.join(look))}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    shown = ", ".join(map(clean, names[:_MOST_NAMED]))
    return f"{shown} and {more:,} more" if more > 0 else shown


def _wait_command(ids: Sequence[str], width: int) -> Iterator[str]:
    """A command for the shell, on as few lines as possible."""
    line = "  nuvo-async wait"
    for word in map(shlex.quote, ids):
        if len(line) + len(word) + 3 > width and not line.endswith("wait"):
            yield f"{line} \\"
            line = "   "
        line += f" {word}"
    yield line

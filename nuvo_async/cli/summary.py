"""The summary at the end, for people: the outcome of all pipelines and executions."""

from collections import Counter
from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from nuvo_async.cli.batch import Batch
from nuvo_async.cli.rows import clean, count, outcome, seconds, trouble
from nuvo_async.models import CreateOutcomeUnknownError, Execution

__all__ = ["hanging", "successes", "summary"]

_MOST_FAILED = 20
_SLOWEST = 3
_LONGEST_SUBJECT = 32
_ROOM_FOR_FIGURES = 40


def summary(batch: Batch, in_doubt: int = 0, *, with_troubles: bool = True) -> Iterator[Text]:
    """Counts, errors, failures and the slowest executions, with one line for each.

    `in_doubt` is the number of Creates that were not answered. Errors can be left out if they were
    already reported.
    """
    counts = ", ".join(_counts(batch, in_doubt)) or "none"
    yield Text(f"{count(len(batch.rows), 'execution')}: {counts}")
    if with_troubles:
        for row in [*batch.unstarted, *batch.rows.values()]:
            if row.trouble is not None:
                yield Text(f"{row.subject}: {trouble(row.trouble)}", "red")
    ended = [one for one in batch.executions if one.is_finished]
    failed = [one for one in ended if one.failed]
    if failed:
        types = Counter(clean(one.error.type) if one.error else "no reason" for one in failed)
        named = ", ".join(f"{number:,} {kind}" for kind, number in types.most_common())
        yield Text(f"errors: {named}")
    slowest = sorted(filter(_duration, ended), key=_duration, reverse=True)[:_SLOWEST]
    if len(ended) > 1 and slowest:
        named = ", ".join(f"{clean(one.pipeline)} {seconds(_duration(one))}" for one in slowest)
        yield Text(f"slowest: {named}")
    for one in failed[:_MOST_FAILED]:
        yield Text(f"{clean(one.pipeline)}  {clean(one.id)}  {outcome(one)}", "red")
    if len(failed) > _MOST_FAILED:
        more = len(failed) - _MOST_FAILED
        yield Text(f"and {more:,} more: `nuvo-async list --status FAILED` shows them")


def _counts(batch: Batch, in_doubt: int) -> Iterator[str]:
    statuses = Counter(clean(one.status) for one in batch.executions)
    for name, number in sorted(statuses.items()):
        yield f"{number:,} {name}"
    if unread := len(batch.rows) - len(batch.executions):
        yield f"{unread:,} not read"
    unknown = sum(isinstance(row.trouble, CreateOutcomeUnknownError) for row in batch.unstarted)
    if unknown + in_doubt:
        yield f"{unknown + in_doubt:,} started or not"
    not_begun = max(0, batch.left.total() - in_doubt)
    if unstarted := len(batch.unstarted) - unknown + not_begun:
        yield f"{unstarted:,} not started"


def _duration(execution: Execution) -> float:
    run = execution.latest_run
    return run.duration.total_seconds() if run and run.duration else 0.0


def successes(batch: Batch, width: int) -> Iterator[Text]:
    """A line with the id of each execution that succeeded, in columns if there is room."""
    rows = [row for row in batch.rows.values() if row.succeeded]
    subject = min(max((cell_len(row.subject) for row in rows), default=0), _LONGEST_SUBJECT)
    key = max((cell_len(clean(row.execution_id)) for row in rows), default=0)
    if subject + key + _ROOM_FOR_FIGURES > width:
        subject = key = 0
    for row in rows:
        yield Text.assemble(
            *(row.sign(), " ", _padded(row.subject, subject)),
            *("  ", _padded(clean(row.execution_id), key), "  ", ", ".join(row.figures())),
        )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def hanging(text: Text, console: Console, indent: int = 2) -> Text:
    """Wrap a text for a terminal, and indent all lines but the first."""
    first, *others = text.wrap(console, console.width)
    if not others:
        return first
    rest = text.plain[len(first) :]
    blanks = len(rest) - len(rest.lstrip())
    lines = text[len(first) + blanks :].wrap(console, console.width - indent)
    return Text(f"\n{' ' * indent}").join([first, *lines])

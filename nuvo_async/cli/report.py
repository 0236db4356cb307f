"""The output of `get` and `list`, which show executions without following them."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from nuvo_async.cli.display import Display
from nuvo_async.cli.rows import clean, local, outcome, seconds, status
from nuvo_async.models import Actor, Execution, ExecutionRun

__all__ = ["list_execution", "report_executions"]

_STATUS_BEGINS, _STATUS_ENDS = 26, 36
# A narrower terminal has no room for a table of runs.
_WIDE = 76
_HEADINGS = ("run", "status", "started", "time", "rows", "cells", "error rows", "error cells")


def report_executions(display: Display, executions: Sequence[Execution]) -> None:
    """Show executions one by one, with their runs and figures."""
    for one in executions:
        if display.output.json:
            display.write_json(one)
        elif display.is_for_people:
            _show(display, one)
        else:
            for line in _lines(one):
                display.write(line)


def _facts(execution: Execution) -> list[tuple[str, str]]:
    return [
        ("id", execution.id),
        ("pipeline", execution.pipeline),
        ("trigger type", execution.trigger_type),
        ("error", outcome(execution) if execution.error else ""),
        ("created", _by(execution.created_at, execution.created_by)),
        ("updated", _by(execution.updated_at, execution.updated_by)),
        ("configuration", execution.configuration or ""),
    ]


def _by(moment: datetime | None, actor: Actor | None) -> str:
    when = _time(moment)
    return f"{when} by {actor.name} ({actor.identifier})" if actor else when


def _time(moment: datetime | None) -> str:
    here = local(moment)
    return "" if here is None else here.strftime("%Y-%m-%d %H:%M:%S")


def _figures(run: ExecutionRun) -> list[str]:
    data = run.data
    counts = [] if data is None else [data.total_rows, data.total_cells, data.total_error_rows]
    counts += [] if data is None else [data.total_error_cells]
    return [
        run.type,
        run.status,
        _time(run.started_on),
        "" if run.duration is None else seconds(run.duration.total_seconds()),
        *(f"{count:,}" for count in counts),
    ]


def _show(display: Display, execution: Execution) -> None:
    display.print(_facts_table(execution))
    if not execution.logs:
        display.print(Text("no runs", "dim"))
    elif display.width < _WIDE:
        for run in execution.logs:
            display.print(Text("  ".join(f"{name} {value}" for name, value in _named(run))))
    else:
        display.print(_runs_table(execution.logs))
    display.print("")


def _facts_table(execution: Execution) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("status", status(execution))
    for name, value in _facts(execution):
        if value:
            facts.add_row(name, Text(clean(value)))
    return facts


def _runs_table(runs: Sequence[ExecutionRun]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for number, heading in enumerate(_HEADINGS):
        # Headings on two lines leave room for the figures on a narrow terminal.
        table.add_column(heading.replace(" ", "\n"), justify="left" if number < 3 else "right")
    for run in runs:
        table.add_row(*(Text(clean(figure)) for figure in _figures(run)))
    return table


def _named(run: ExecutionRun) -> Iterator[tuple[str, str]]:
    for name, value in zip(_HEADINGS, _figures(run), strict=False):
        if value:
            yield name, clean(value)


def _lines(execution: Execution) -> list[str]:
    facts = [f"{name}={clean(value)}" for name, value in _facts(execution) if value]
    lines = ["\t".join([f"status={clean(execution.status)}", *facts])]
    lines += ["\t".join(f"{name}={value}" for name, value in _named(run)) for run in execution.logs]
    return lines


def list_execution(display: Display, execution: Execution) -> None:
    """Show one execution of a list on one line."""
    if display.output.json:
        display.write_json(execution)
        return
    kind, about = execution.trigger_type, outcome(execution)
    if display.is_for_people:
        line = Text.assemble(f"{clean(execution.id):24}  ", status(execution))
        line.pad_right(max(0, _STATUS_ENDS - len(line)))
        rest = f"  {_time(execution.created_at):19}  {execution.pipeline}  {kind}  {about}"
        # Text that does not fit is continued below the status.
        indent = _STATUS_BEGINS if display.width >= _WIDE else 2
        display.print(line.append(clean(rest), "default"), indent=indent)
    else:
        here = local(execution.created_at)
        created = "" if here is None else here.isoformat(timespec="seconds")
        cells = [execution.id, execution.status, created, execution.pipeline, kind, about]
        display.write("\t".join(map(clean, cells)).rstrip())

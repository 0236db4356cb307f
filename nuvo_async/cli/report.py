"""What `get` and `list` show of executions that are not followed."""

from collections.abc import Sequence
from datetime import datetime

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from nuvo_async.cli.display import Display
from nuvo_async.cli.rows import clean, local, outcome, seconds, status
from nuvo_async.models.executions import Execution
from nuvo_async.models.shapes import Actor, ExecutionRun

__all__ = ["list_execution", "report_executions"]

_STATUS_ENDS = 36
_HEADINGS = ("run", "status", "started", "time", "rows", "cells", "error rows", "error cells")


def report_executions(display: Display, executions: Sequence[Execution]) -> None:
    """Show executions one by one, with their runs and figures."""
    for one in executions:
        if display.output.json:
            display.print_json(one)
        elif display.is_for_people:
            display.print(_details(one))
        else:
            for line in _lines(one):
                click.echo(line)


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


def _details(execution: Execution) -> Group:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("status", status(execution))
    for name, value in _facts(execution):
        if value:
            facts.add_row(name, Text(clean(value)))
    runs = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for number, heading in enumerate(_HEADINGS):
        # On two lines, they leave room for the figures on a narrow terminal.
        runs.add_column(heading.replace(" ", "\n"), justify="left" if number < 3 else "right")
    for run in execution.logs:
        runs.add_row(*(Text(clean(figure)) for figure in _figures(run)))
    return Group(facts, runs if execution.logs else Text("no runs", "dim"), "")


def _lines(execution: Execution) -> list[str]:
    facts = [f"{name}={clean(value)}" for name, value in _facts(execution) if value]
    lines = ["\t".join([f"status={clean(execution.status)}", *facts])]
    for run in execution.logs:
        figures = zip(_HEADINGS, _figures(run), strict=False)
        lines.append("\t".join(f"{name}={clean(value)}" for name, value in figures if value))
    return lines


def list_execution(display: Display, execution: Execution) -> None:
    """Show one of many: a line for each, as they come."""
    if display.output.json:
        display.print_json(execution)
        return
    kind, about = execution.trigger_type, outcome(execution)
    if display.is_for_people:
        # What is cut off at the edge of a narrow terminal comes last.
        line = Text.assemble(f"{clean(execution.id):24}  ", status(execution))
        line.pad_right(max(0, _STATUS_ENDS - len(line)))
        rest = f"  {_time(execution.created_at):19}  {execution.pipeline}  {kind}  {about}"
        display.print(line.append(clean(rest), "default"))
    else:
        here = local(execution.created_at)
        created = "" if here is None else here.isoformat(timespec="seconds")
        cells = [execution.id, execution.status, created, execution.pipeline, kind, about]
        click.echo("\t".join(map(clean, cells)).rstrip())

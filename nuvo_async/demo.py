"""The demo: a dozen scripted pipelines, triggered at once on an embedded server, and watched."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from attrs import define, field, frozen
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nuvo_async.client import NuvoClient
from nuvo_async.executions import Execution, ExecutionsFailed
from nuvo_async.models import ErrorType, ExecutionStatus
from nuvo_async.polling import PollPolicy
from nuvo_async.testing import NuvoServer

__all__ = ["run_demo"]

_TIMEOUT = 8.0
_WIDE = 120
_STYLES = {
    ExecutionStatus.SUCCESSFUL: "green",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.PROCESSING: "yellow",
}


@frozen(kw_only=True)
class _Scene:
    """One pipeline of the demo, and what is to happen to it. Times are seconds."""

    pipeline: str
    duration: float
    error: ErrorType | None = None
    message: str = ""
    files: int = 1
    rows: int = 0
    error_cells: int = 0


_SCENES = (
    _Scene(pipeline="customers", duration=0.6, rows=1_250),
    _Scene(pipeline="orders", duration=1.4, rows=18_300, error_cells=42),
    _Scene(pipeline="invoices-sftp", duration=1.1, files=3, rows=640),
    _Scene(pipeline="inbox-sftp", duration=0.1, files=0),
    _Scene(pipeline="archive", duration=2.0, rows=250_000),
    _Scene(
        pipeline="stock",
        duration=0.9,
        error=ErrorType.SOURCE_UNRESPONSIVE,
        message="sftp.example.com did not answer",
    ),
    _Scene(
        pipeline="returns",
        duration=0.5,
        error=ErrorType.SOURCE_DATA_EMPTY,
        message="returns.csv holds a header only",
    ),
    _Scene(
        pipeline="products",
        duration=0.8,
        error=ErrorType.PARSING_FAILURE,
        message="line 7: the quote is not closed",
    ),
    _Scene(
        pipeline="prices",
        duration=1.7,
        error=ErrorType.DESTINATION_UNRESPONSIVE,
        message="erp.example.com refused the connection",
    ),
    _Scene(
        pipeline="images",
        duration=1.6,
        error=ErrorType.DESTINATION_SIZE_LIMIT,
        message="the output is over 100 MB",
    ),
    _Scene(
        pipeline="payroll",
        duration=1.2,
        error=ErrorType.WRITE_FILE_FAILURE,
        message="no permission to write payroll.csv",
    ),
    _Scene(
        pipeline="addresses",
        duration=1.9,
        error=ErrorType.ERROR_THRESHOLD_EXCEEDED,
        message="more than 5 % of the cells are erroneous",
        rows=800,
        error_cells=796,
    ),
)


@define
class _Show:
    """What is known so far of each pipeline, told as it comes in or drawn as a whole."""

    console: Console
    executions: dict[str, list[Execution]] = field(factory=dict)
    live: Live | None = None

    def see(self, pipeline: str, executions: Sequence[Execution]) -> None:
        """Take in news of a pipeline, and show them."""
        known = {one.id: one for one in self.executions.get(pipeline, [])}
        statuses = {one.id: one.status for one in known.values()}
        news = [one for one in executions if one.status != statuses.get(one.id)]
        known |= {one.id: one for one in executions}
        self.executions[pipeline] = list(known.values())
        if self.live is not None:
            self.live.update(self.progress(), refresh=True)
            return
        for execution in news:
            self.console.print(f"{pipeline}: execution {execution.id} is {execution.status}")

    def progress(self) -> Table:
        """Draw a line for each pipeline."""
        table = Table.grid(padding=(0, 2))
        for scene in _SCENES:
            executions = self.executions.get(scene.pipeline)
            if executions is None:
                line = Text("triggering", "dim")
            elif not executions:
                line = Text("no file to process", "dim")
            else:
                line = Text(", ").join(_status(one) for one in executions)
            table.add_row(scene.pipeline, line)
        return table

    def summary(self) -> Table:
        """Draw the table of what became of each execution."""
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for heading in ("pipeline", "execution", "outcome"):
            table.add_column(heading, no_wrap=True)
        table.add_column("error", overflow="fold")
        for heading in ("rows", "error\ncells", "time"):
            table.add_column(heading, justify="right", no_wrap=True)
        wide = self.console.width >= _WIDE
        for pipeline, executions in sorted(self.executions.items()):
            for execution in executions:
                table.add_row(
                    pipeline,
                    execution.id if wide else f"…{execution.id[-7:]}",
                    _status(execution),
                    *_figures(execution),
                )
            if not executions:
                table.add_row(pipeline, "none", Text("no file", "dim"), "", "", "", "")
        return table


def _status(execution: Execution) -> Text:
    return Text(execution.status, _STYLES.get(execution.status, ""))


def _figures(execution: Execution) -> tuple[str, str, str, str]:
    error = "" if execution.error is None else f"{execution.error.type}\n{execution.error.message}"
    run = execution.latest_run
    data = run.data if run else None
    duration = run.duration if run else None
    return (
        error,
        "" if data is None else f"{data.total_rows:,}",
        "" if data is None else f"{data.total_error_cells:,}",
        "" if duration is None else f"{duration.total_seconds():.1f} s",
    )


async def run_demo() -> bool:
    """Run all scenes at once, show them, and return whether each ended as scripted."""
    console = Console()
    if not console.is_terminal:
        console.width = 160  # There is no screen to fit: let the table keep its lines.
    show = _Show(console)
    async with NuvoServer() as server:
        for scene in _SCENES:
            server.add_pipeline(
                scene.pipeline,
                duration=scene.duration,
                files=scene.files,
                error=scene.error,
                message=scene.message,
                rows=scene.rows,
                error_cells=scene.error_cells,
            )
        async with NuvoClient(
            server.access_token,
            base_url=server.base_url,
            poll=PollPolicy(min_interval=0.1, max_interval=0.5),
        ) as client:
            console.print(f"Triggering {len(_SCENES)} pipelines at once on {server.base_url}\n")
            await _play(client, show)
    console.print()
    console.print(show.summary())
    as_scripted = len(show.executions) == len(_SCENES) and all(
        _as_scripted(scene, show.executions.get(scene.pipeline, [])) for scene in _SCENES
    )
    console.print("Everything ended as scripted." if as_scripted else "Not all ended as scripted.")
    return as_scripted


async def _play(client: NuvoClient, show: _Show) -> None:
    drawing: AbstractContextManager[object] = nullcontext()
    if show.console.is_terminal:
        drawing = show.live = Live(show.progress(), console=show.console, auto_refresh=False)
    with drawing:
        async for run in client.run_pipelines(
            [scene.pipeline for scene in _SCENES],
            timeout=_TIMEOUT,
            on_poll=lambda execution: show.see(execution.pipeline, [execution]),
        ):
            show.see(run.pipeline_id, run.executions)
            if run.error is not None and not isinstance(run.error, ExecutionsFailed):
                show.console.print(f"Not as scripted: {run.error}")


def _as_scripted(scene: _Scene, executions: list[Execution]) -> bool:
    error_types = [one.error.type if one.error else None for one in executions]
    return error_types == [scene.error] * scene.files and all(one.is_finished for one in executions)

"""The demo: triggers a dozen scripted pipelines on an embedded server, and follows them."""

import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from attrs import frozen
from rich.console import Console
from rich.text import Text

from nuvo_async.cli.display import Display
from nuvo_async.cli.ending import follow
from nuvo_async.cli.settings import Output
from nuvo_async.cli.summary import hanging, successes, summary
from nuvo_async.cli.work import show_runs
from nuvo_async.client import NuvoClient
from nuvo_async.models import ErrorType, Execution
from nuvo_async.testing import NuvoServer
from nuvo_async.waiting import PollPolicy

__all__ = ["SCENES", "Scene", "add_scenes", "play"]

_TIMEOUT = 8.0
_PICTURE_WIDTH = 100
# The exit codes of a demo that was not interrupted: some scenes are meant to fail.
_PLAYED = {0, 1, 4}


@frozen(kw_only=True)
class Scene:
    """One pipeline of the demo, and its script. Times are in seconds."""

    pipeline: str
    duration: float
    error: ErrorType | None = None
    message: str = ""
    files: int = 1
    rows: int = 0
    error_cells: int = 0


SCENES = (
    Scene(pipeline="customers", duration=0.6, rows=1_250),
    Scene(pipeline="orders", duration=1.4, rows=18_300, error_cells=42),
    Scene(pipeline="invoices-sftp", duration=1.1, files=3, rows=640),
    Scene(pipeline="inbox-sftp", duration=0.1, files=0),
    Scene(pipeline="archive", duration=2.0, rows=250_000),
    Scene(
        pipeline="stock",
        duration=0.9,
        error=ErrorType.SOURCE_UNRESPONSIVE,
        message="sftp.example.com did not answer",
    ),
    Scene(
        pipeline="returns",
        duration=0.5,
        error=ErrorType.SOURCE_DATA_EMPTY,
        message="returns.csv holds a header only",
    ),
    Scene(
        pipeline="products",
        duration=0.8,
        error=ErrorType.PARSING_FAILURE,
        message="line 7: the quote is not closed",
    ),
    Scene(
        pipeline="prices",
        duration=1.7,
        error=ErrorType.DESTINATION_UNRESPONSIVE,
        message="erp.example.com refused the connection",
    ),
    Scene(
        pipeline="images",
        duration=1.6,
        error=ErrorType.DESTINATION_SIZE_LIMIT,
        message="the output is over 100 MB",
    ),
    Scene(
        pipeline="payroll",
        duration=1.2,
        error=ErrorType.WRITE_FILE_FAILURE,
        message="no permission to write payroll.csv",
    ),
    Scene(
        pipeline="addresses",
        duration=1.9,
        error=ErrorType.ERROR_THRESHOLD_EXCEEDED,
        message="more than 5 % of the cells are erroneous",
        rows=800,
        error_cells=796,
    ),
)


def add_scenes(server: NuvoServer) -> None:
    """Add the pipelines of the demo to a server."""
    for scene in SCENES:
        server.add_pipeline(
            scene.pipeline,
            duration=scene.duration,
            files=scene.files,
            error=scene.error,
            message=scene.message,
            rows=scene.rows,
            error_cells=scene.error_cells,
        )


def play(output: Output, picture: str | None = None) -> int:
    """Run all scenes at once and show them. Return 0 if all ended as scripted, otherwise 1."""
    display = Display(output)
    code = follow(display, _run_scenes(display), goes_on=False)
    if code not in _PLAYED:
        return code
    as_scripted = all(_is_as_scripted(scene, display.batch.executions) for scene in SCENES)
    display.say("Everything ended as scripted." if as_scripted else "Not all ended as scripted.")
    if picture is not None:
        _draw(display, picture)
    return 0 if as_scripted else 1


async def _run_scenes(display: Display) -> None:
    async with NuvoServer() as server:
        add_scenes(server)
        async with NuvoClient(
            server.access_token,
            base_url=server.base_url,
            poll=PollPolicy(min_interval=0.1, max_interval=0.5),
        ) as client:
            display.say(f"Triggering {len(SCENES)} pipelines at once on {server.base_url}")
            async with display.live():
                pipeline_ids = [scene.pipeline for scene in SCENES]
                await show_runs(display, client, pipeline_ids, timeout=_TIMEOUT)


def _is_as_scripted(scene: Scene, executions: Sequence[Execution]) -> bool:
    own = [one for one in executions if one.pipeline == scene.pipeline]
    error_types = [one.error.type if one.error else None for one in own]
    return error_types == [scene.error] * scene.files and all(one.is_finished for one in own)


def _draw(display: Display, picture: str) -> None:
    """Save the final screen as a picture: the rows, which a terminal removes, and the rest."""
    console = Console(record=True, width=_PICTURE_WIDTH, file=StringIO(), force_terminal=True)
    console.print(Text("$ nuvo-async demo", "bold"))
    for line in [*successes(display.batch, _PICTURE_WIDTH), *summary(display.batch)]:
        console.print(hanging(line, console))
    svg = console.export_svg(title="nuvo-async", unique_id="nuvo-async")
    # The picture must not load fonts from other sites.
    Path(picture).write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), "utf-8")

"""The command line: arguments, options and help texts.

Other modules do the work. They are imported when a command is run, so that `--help` is fast.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from nuvo_async.cli.inputs import read_ids
from nuvo_async.cli.settings import (
    Output,
    Settings,
    check_ids,
    check_path,
    check_timeout,
    known_or_not,
    output_options,
    parse_filters,
    parse_sort,
    parse_when,
    settings_options,
)
from nuvo_async.models import ExecutionStatus, TriggerType
from nuvo_async.version import __version__

__all__ = ["command"]

_EXIT_CODES = """\b
Exit codes:
  0    all succeeded
  1    an execution failed
  2    wrong usage or settings
  3    trouble with the API, the network or the output
  4    timed out
  70   a bug in the command
  130  interrupted (129, 143: by SIGHUP, SIGTERM)
  141  the reader of the output has left
Whenever executions may still be running, they are named.
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"""\b
Settings come from the environment: NUVO_ACCESS_TOKEN, or NUVO_LICENSE_KEY and
NUVO_IDENTIFIER (and NUVO_IDENTIFIER_TYPE); NUVO_BASE_URL. HTTPS_PROXY and
NO_PROXY are obeyed.

\b
Examples:
  nuvo-async demo
  nuvo-async run orders stock --timeout 600
  nuvo-async list --status FAILED --since 2d

{_EXIT_CODES}""",
)
@click.version_option(__version__, prog_name="nuvo-async")
def command() -> None:
    """Run nuvo (now Ingestro) data pipelines from the shell."""


def _follow(output: Output, work: Callable[..., Any], *args: Any, goes_on: bool = True) -> int:
    from nuvo_async.cli.display import Display  # noqa: PLC0415 - see above
    from nuvo_async.cli.ending import follow  # noqa: PLC0415

    display = Display(output)
    return follow(display, work(display, *args), goes_on=goes_on)


@command.command(
    short_help="Start runs of pipelines.",
    epilog="""\b
Examples:
  nuvo-async trigger orders
  nuvo-async trigger orders --json | jq -r .id""",
)
@click.argument(
    "pipeline_ids", metavar="PIPELINE_ID...", nargs=-1, required=True, callback=check_ids
)
@settings_options
def trigger(settings: Settings, output: Output, pipeline_ids: tuple[str, ...]) -> int:
    """Start runs of pipelines, and print their executions without waiting for them."""
    from nuvo_async.cli import work  # noqa: PLC0415

    return _follow(output, work.trigger, settings.access(), pipeline_ids)


@command.command(
    epilog="""\b
Examples:
  nuvo-async get 65f1c0ffee65f1c0ffee65f1
  nuvo-async get 65f1c0ffee65f1c0ffee65f1 --json | jq .logs"""
)
@click.argument(
    "execution_ids", metavar="EXECUTION_ID...", nargs=-1, required=True, callback=check_ids
)
@settings_options
def get(settings: Settings, output: Output, execution_ids: tuple[str, ...]) -> int:
    """Show executions, with their runs and figures."""
    from nuvo_async.cli import work  # noqa: PLC0415

    return _follow(output, work.get, settings.access(), execution_ids)


@command.command(
    "list",
    epilog="""\b
Examples:
  nuvo-async list --pipeline orders --limit 5
  nuvo-async list --status FAILED --since 2026-11-01 --sort pipeline
  nuvo-async list --filter created_at:lt=2026-11-01 --filter trigger_type:in=MANUAL,EVENT
""",
)
@click.option("--pipeline", "pipeline_id", metavar="ID", help="Of this pipeline.")
@click.option(
    "--status",
    metavar="S",
    callback=known_or_not(ExecutionStatus),
    help="PROCESSING, SUCCESSFUL or FAILED.",
)
@click.option(
    "--trigger-type",
    metavar="T",
    callback=known_or_not(TriggerType),
    help="MANUAL, SCHEDULED or EVENT.",
)
@click.option(
    "--since",
    metavar="WHEN",
    callback=parse_when,
    help="Created since a date, a date-time (local unless it says), or 90m, 2h, 7d, 4w ago.",
)
@click.option(
    "--sort",
    metavar="FIELD[:asc|desc]",
    multiple=True,
    help="Newest first by default; may be repeated.",
)
@click.option(
    "--filter",
    "filters",
    metavar="FIELD[:OP]=VALUE",
    multiple=True,
    help="OP is eq, ne, in (values by commas), gt, gte, lt or lte; may be repeated.",
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="At most so many.",
)
@settings_options
def list_(
    settings: Settings,
    output: Output,
    *,
    since: datetime | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
    limit: int,
    **equal: str | None,
) -> int:
    """List executions."""
    from nuvo_async.cli import work  # noqa: PLC0415

    wanted = parse_filters(filters)
    if since is not None and "$gte" in wanted.setdefault("created_at", {}):
        raise click.UsageError("--since and --filter created_at:gte say the same; give one")
    if since is not None:
        wanted["created_at"]["$gte"] = since
    for name, value in equal.items():
        field = name.removesuffix("_id")
        if value is not None and field in wanted:
            raise click.UsageError(f"--{field.replace('_', '-')} and --filter {field} contradict")
    query = {**equal, "filters": wanted or None, "sort": parse_sort(sort) or {"created_at": "desc"}}
    return _follow(output, work.list_all, settings.access(), limit, query)


def _timeout_option(help_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--timeout", metavar="S", type=float, callback=check_timeout, help=help_)


_FILE = click.option(
    "--file",
    metavar="FILE",
    help="Take ids from a file as well, one a line; # begins a comment. - is stdin.",
)


@command.command(
    short_help="Wait until executions have ended.",
    epilog=f"""\b
Examples:
  nuvo-async wait 65f1c0ffee65f1c0ffee65f1 --timeout 600
  nuvo-async wait $(nuvo-async trigger orders --json | jq -r .id)
  nuvo-async wait --file running.txt

{_EXIT_CODES}""",
)
@click.argument("execution_ids", metavar="[EXECUTION_ID|-]...", nargs=-1)
@_FILE
@_timeout_option("Wait so many seconds at most.")
@settings_options
def wait(
    settings: Settings,
    output: Output,
    *,
    execution_ids: tuple[str, ...],
    file: str | None,
    timeout: float | None,
) -> int:
    """Wait until executions have ended, and say how; - takes ids from stdin."""
    from nuvo_async.cli import work  # noqa: PLC0415

    ids = read_ids("EXECUTION_ID", execution_ids, file, settings.token_file)
    return _follow(output, work.wait, settings.access(), list(dict.fromkeys(ids)), timeout)


@command.command(
    short_help="Start runs of pipelines, and wait for their end.",
    epilog=f"""\b
Examples:
  nuvo-async run orders stock --timeout 600
  nuvo-async run --file nightly.txt --concurrency 50 --journal nightly.journal
  grep shop- pipelines.txt | nuvo-async run - --json

{_EXIT_CODES}""",
)
@click.argument("pipeline_ids", metavar="[PIPELINE_ID|-]...", nargs=-1)
@_FILE
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(min=1),
    help="Pipelines under way at once; all of them by default.",
)
@_timeout_option("Wait so many seconds at most for each pipeline, once it is triggered.")
@click.option(
    "--journal",
    metavar="FILE",
    callback=check_path,
    help="Keep what was done in FILE. The same command then goes on where it was ended.",
)
@click.option(
    "--no-logs",
    is_flag=True,
    help="Ask for figures only where a read brings them anyway: fewer requests.",
)
@settings_options
def run(
    settings: Settings,
    output: Output,
    *,
    pipeline_ids: tuple[str, ...],
    file: str | None,
    no_logs: bool,
    **options: Any,
) -> int:
    """Start runs of pipelines, and wait until they have ended; - takes ids from stdin."""
    from nuvo_async.cli import work  # noqa: PLC0415

    ids = read_ids("PIPELINE_ID", pipeline_ids, file, settings.token_file)
    options["with_logs"] = not no_logs
    return _follow(output, work.run, settings.access(), ids, options)


@command.command(
    short_help="Show it all, without an account.",
    epilog="""\b
Examples:
  nuvo-async demo
  nuvo-async demo --json | jq .status""",
)
@output_options
@click.option("--picture", metavar="FILE", hidden=True, help="Keep the screen as SVG.")
def demo(output: Output, picture: str | None) -> int:
    """Show pipelines being triggered, awaited and explained.

    It needs no account: a server of the Execution API runs inside the command. Exit code 0 when
    everything ended as scripted, 1 otherwise.
    """
    from nuvo_async.cli.demo import play  # noqa: PLC0415

    return play(output, picture)


@command.command(
    short_help="Serve the Execution API, to try clients against.",
    epilog="""\b
Examples:
  nuvo-async serve --port 8700
  nuvo-async serve > server.env & sleep 1; . ./server.env
  curl -H "Authorization: Bearer $access_token" "${base_url}execution/"
""",
)
@click.option(
    "--port",
    metavar="P",
    type=click.IntRange(0, 65535),
    default=0,
    help="Where to listen on 127.0.0.1; any that is free by default.",
)
@output_options
def serve(output: Output, port: int) -> int:
    """Serve the Execution API with a few scripted pipelines, to try any client against.

    Prints base_url, access_token, license_key and identifier, and serves until interrupted.
    """
    from nuvo_async.cli.serve import serve as serve_until_interrupted  # noqa: PLC0415

    return _follow(output, serve_until_interrupted, port, goes_on=False)

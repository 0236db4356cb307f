"""Every Python example in the README runs."""

import ast
import asyncio
import html
import inspect
import os
import pydoc
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

import nuvo_async
from benchmarks import waits
from nuvo_async import NuvoError
from nuvo_async.cli.commands import command
from nuvo_async.cli.demo import SCENES
from nuvo_async.testing import faults

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def examples(title: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", section(title), re.DOTALL)


TITLES = re.findall(r"^## (.+)$", README, re.MULTILINE)


def test_every_example_is_run_by_a_test_below():
    assert [title for title in TITLES if examples(title)] == [
        "Example",
        "Waiting",
        "Many at once",
        "Listing",
        "Retries and timeouts",
        "Credentials and safety",
        "In a web application or a worker",
        "Testing your own code",
    ]


def test_the_quick_start_is_two_commands():
    [block] = re.findall(r"```console\n(.*?)```", section("Quick start"), re.DOTALL)
    assert len(block.splitlines()) == 2
    assert README.index("```") == README.index("```console\n" + block)


def test_the_format_of_the_journal_is_documented_where_it_says():
    [name] = re.findall(r'`help\("(.+?)"\)` documents the format', section("Journal"))
    assert '"event": "intent"' in pydoc.plain(pydoc.render_doc(name))


@pytest.mark.parametrize("error", [None, "PARSING_FAILURE"])
async def test_the_example_is_a_script(nuvo_server, error):
    nuvo_server.add_pipeline("orders", error=error, message="torn", rows=250)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        examples("Example")[0],
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "NUVO_ACCESS_TOKEN": nuvo_server.access_token,
            "NUVO_BASE_URL": nuvo_server.base_url,
        },
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    expected = "failed, PARSING_FAILURE: torn" if error else "total_rows=250"
    assert expected in output.decode()


async def run(code: str, **names):
    """Run a piece of code that awaits."""
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names["__name__"] = "README"
    result = eval(compiled, names)
    if inspect.isawaitable(result):
        await result
    return names


async def test_the_credentials_example():
    names = await run(examples("Credentials and safety")[0])
    await names["client"].close()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({}, "SUCCESSFUL"),
        ({"error": "PARSING_FAILURE"}, "it failed: execution"),
        ({"duration": 60}, "it still runs: "),
    ],
)
async def test_the_waiting_example(nuvo_server, nuvo_client, capsys, script, expected):
    nuvo_server.add_pipeline("orders", **script)
    await run(examples("Waiting")[0].replace("timeout=600", "timeout=0.3"), client=nuvo_client)
    assert expected in capsys.readouterr().out


async def test_the_example_of_many_pipelines(
    nuvo_server, nuvo_client, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    for number in range(1, 200):
        nuvo_server.add_pipeline(f"shop-{number}")
    for _ in range(2):  # As after a crash.
        await run(examples("Many at once")[0], client=nuvo_client)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 200
        [failed] = [line for line in lines if "failed" in line]
        assert failed.startswith("shop-200 failed: POST")
    assert len(nuvo_server.executions) == 199


async def test_the_example_of_many_executions(nuvo_server, nuvo_client, capsys):
    nuvo_server.add_pipeline("orders", duration=0.2)
    nuvo_server.add_pipeline("stock", error="SOURCE_DATA_EMPTY", message="header only")
    names = {"client": nuvo_client, "ExecutionFailedError": nuvo_async.ExecutionFailedError}
    await run(examples("Many at once")[1], **names)
    first, second, failure = capsys.readouterr().out.splitlines()
    assert first.endswith("FAILED")
    assert second.endswith("SUCCESSFUL")
    assert "header only" in failure


def test_the_table_of_many_at_once_is_what_the_benchmark_prints():
    """Within what the jitter of the policies leaves open; the largest take too long for a test."""
    rows = re.findall(
        r"^\| ([\d,]+) of (2 s|10 min) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$",
        section("Many at once"),
        re.MULTILINE,
    )
    scenarios = {"2 s": waits.SHORT, "10 min": waits.LONG[3:6]}
    assert [row[:2] for row in rows] == [
        (f"{scenario.runs:,}", length) for length, ones in scenarios.items() for scenario in ones
    ]
    ways = (*waits.ENGINE, "each every 5 s", "each, 20 % of the time waited")
    for runs, length, *figures in rows:
        [scenario] = [one for one in scenarios[length] if f"{one.runs:,}" == runs]
        for way, figure in zip(ways, figures, strict=True):
            if scenario.runs <= 1000 and (length == "2 s" or way in waits.ENGINE):
                measured = waits.measure(way, scenario).requests
                assert float(figure) == pytest.approx(measured, rel=0.1, abs=0.02)


async def test_the_listing_example(nuvo_server, nuvo_client, capsys):
    nuvo_server.add_pipeline("orders", error="SOURCE_DATA_EMPTY")
    for trigger_type in ("MANUAL", "SCHEDULED", "EVENT"):
        nuvo_server.start("orders", trigger_type=trigger_type)
    await run(examples("Listing")[0], client=nuvo_client)
    output = capsys.readouterr().out
    assert output.count("ErrorDetail") == 2
    assert output.endswith("3 10\n")


@pytest.mark.parametrize("listed", [True, False])
async def test_the_unknown_outcome_example(nuvo_server, nuvo_client, capsys, listed):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.cut(acted=True))
    if listed:
        await run(examples("Retries and timeouts")[0], client=nuvo_client)
        assert f"may be it: {nuvo_server.executions[0]['id']}" in capsys.readouterr().out
    else:
        nuvo_server.add_fault("list", faults.status(403))
        with pytest.raises(NuvoError):
            await run(examples("Retries and timeouts")[0], client=nuvo_client)


@pytest.mark.parametrize("number", range(3), ids=["synchronous", "async", "command"])
def test_the_testing_examples(pytester, monkeypatch, number):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    pytester.makepyfile(textwrap.dedent(examples("Testing your own code")[number]))
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


async def test_the_web_application_example(nuvo_server, monkeypatch):
    monkeypatch.setenv("NUVO_ACCESS_TOKEN", nuvo_server.access_token)
    monkeypatch.setenv("NUVO_BASE_URL", nuvo_server.base_url)
    nuvo_server.add_pipeline("orders")
    names = await run(examples("In a web application or a worker")[0])
    async with (
        TestClient(TestServer(names["make_app"]())) as browser,
        browser.post("/pipelines/orders/runs") as response,
    ):
        assert response.status == 202
        ids = [one["id"] for one in nuvo_server.executions]
        assert await response.json() == {"executions": ids}


async def test_the_worker_example(nuvo_server, monkeypatch, capsys):
    monkeypatch.setenv("NUVO_ACCESS_TOKEN", nuvo_server.access_token)
    monkeypatch.setenv("NUVO_BASE_URL", nuvo_server.base_url)
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("stock", error="PARSING_FAILURE", message="torn")
    names = await run(examples("In a web application or a worker")[1])
    queue: asyncio.Queue[str] = asyncio.Queue()
    for pipeline in ("orders", "stock"):
        [execution_id] = nuvo_server.start(pipeline)
        queue.put_nowait(execution_id)
    working = asyncio.create_task(names["main"](queue))
    await queue.join()
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled()
    output = capsys.readouterr().out
    assert "has ended well" in output
    assert "torn (PARSING_FAILURE)" in output


async def test_the_command_line_examples(nuvo_server, tmp_path):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("stock")
    (tmp_path / "nightly.txt").write_text("orders\nstock\n")
    (tmp_path / "running.txt").write_text("\n".join(nuvo_server.start("orders")))
    [block] = re.findall(r"```console\n(.*?)```", section("Command line"), re.DOTALL)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", block),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NUVO_ACCESS_TOKEN": nuvo_server.access_token,
            "NUVO_BASE_URL": nuvo_server.base_url,
        },
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    assert len(nuvo_server.executions) == 1 + 1 + 2 + 2 + 2
    assert (tmp_path / "ended.jsonl").read_text().count("SUCCESSFUL") == 4  # And their runs.


def test_the_table_of_commands_is_whole():
    listed = re.findall(r"^\| `([a-z]+)[ `]", section("Command line"), re.MULTILINE)
    assert sorted(listed) == sorted(command.commands)


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "benchmarks/RESULTS.md"])
def test_links_within_the_project_lead_somewhere(name):
    file = ROOT / name
    text = file.read_text(encoding="utf-8")
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in TITLES}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("https://"):
            assert (file.parent / target).is_file(), target


def test_the_picture_of_the_terminal_is_of_the_demo():
    picture = (ROOT / ".docs" / "terminal.svg").read_text(encoding="utf-8")
    shown = html.unescape(picture).replace("\xa0", " ")
    for scene in SCENES:
        assert scene.files == 0 or scene.pipeline in shown
        assert scene.message in shown or len(scene.message) > 35  # Those may be on two lines.


def test_every_exception_is_in_the_table_of_errors():
    table = section("Errors")
    for name in nuvo_async.__all__:
        exported = getattr(nuvo_async, name)
        if inspect.isclass(exported) and issubclass(exported, NuvoError) and name != "NuvoError":
            assert f"`{name}`" in table


def test_the_figures_of_performance_are_those_that_were_kept():
    results = (Path(waits.__file__).parent / "RESULTS.md").read_text(encoding="utf-8")
    kept = [line.split("|")[2:-1] for line in results.splitlines() if "| nuvo_async  " in line]
    shown = re.findall(r"^\| `.*` *.*\| (\S+) \| (\S+) \|$", section("Performance"), re.MULTILINE)
    in_flight = [1, 10, 100, 1000]
    ratios = [dict(zip(in_flight, row[4:8], strict=True)) for row in kept[:3]]
    assert shown == [(one[1].strip(), one[100].strip()) for one in ratios]

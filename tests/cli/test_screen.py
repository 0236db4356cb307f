"""What a person sees on a terminal."""

import asyncio
import json

import pytest

from nuvo_async.testing import faults
from tests.cli.command import COMMAND, environ, run
from tests.cli.terminal import Terminal

LONGEST = "DESTINATION_UNRESPONSIVE"


async def test_the_demo_is_drawn_live_on_a_terminal():
    terminal = await Terminal.start("demo", env=environ())
    assert await terminal.end() == 0
    screen = terminal.screen.decode()
    assert "\x1b[?25l" in screen  # The cursor is hidden while lines are drawn over,
    assert "\x1b[?25h" in screen  # and comes back.
    assert "12 of 12 done" in screen
    assert "PARSING_FAILURE" in screen
    assert "Everything ended as scripted." in screen
    assert terminal.tallest() <= 24


@pytest.mark.parametrize("columns", [40, 80, 200])
async def test_the_outcome_is_never_cut(nuvo_server, columns):
    name = "customers-of-the-whole-northern-hemisphere"
    nuvo_server.add_pipeline(name, duration=0.5, rows=18_300_000, error_cells=42)
    nuvo_server.add_pipeline("prices", duration=0.5, error=LONGEST, message="no answer " * 9)
    nuvo_server.add_pipeline("slow", duration=3)
    terminal = await Terminal.start(
        "run", name, "prices", "slow", env=environ(nuvo_server), columns=columns
    )
    await terminal.shows("2 of 3 done")
    live = terminal.seen
    assert any("✔" in line and "SUCCESSFUL" in line for line in live)
    assert any("✘" in line and LONGEST in line for line in live)
    assert any("PROCESSING" in line for line in live)
    assert await terminal.end() == 1
    [first, *_] = nuvo_server.executions
    assert f"{first['id']} 18,300,000 rows, 42 error cells, 0.5 s" in terminal.text
    assert "3 executions: 1 FAILED, 2 SUCCESSFUL" in terminal.text
    assert f"{LONGEST}: no answer" in terminal.text


@pytest.mark.parametrize("columns", [40, 80, 200])
async def test_each_line_that_is_drawn_fits_on_the_screen(nuvo_server, columns):
    """A line that wraps is one more than is drawn over the next time, and stays for ever."""
    for name in ("注文" * 30, "n" * 90, "plain"):
        nuvo_server.add_pipeline(name, duration=2)
    terminal = await Terminal.start(
        *("run", "注文" * 30, "n" * 90, "plain"), env=environ(nuvo_server), columns=columns
    )
    await terminal.shows("3 running")
    await asyncio.sleep(0.6)
    assert sum("running" in line for line in terminal.seen) == 1
    assert sum("PROCESSING" in line for line in terminal.seen) == 3
    assert await terminal.end() == 0


async def test_what_an_encoding_does_not_have_takes_the_room_that_it_is_given(nuvo_server):
    nuvo_server.add_pipeline("注文" * 20, duration=1.5)
    terminal = await Terminal.start(
        "run", "注文" * 20, env=environ(nuvo_server, PYTHONIOENCODING="ascii"), columns=60
    )
    await terminal.shows("1 running")
    await asyncio.sleep(0.6)
    assert sum("running" in line for line in terminal.seen) == 1
    assert await terminal.end() == 0
    assert bytes(terminal.screen).isascii()
    assert "+ \\u6ce8\\u6587" in terminal.text


async def test_a_screenful_is_enough_for_hundreds_also_when_it_shrinks(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=200, duration=4)
    terminal = await Terminal.start("run", "sftp", env=environ(nuvo_server))
    await terminal.shows("200 running")
    await asyncio.sleep(0.5)
    assert 20 <= terminal.tallest() <= 24
    terminal.resize(rows=10)
    async with asyncio.timeout(20):
        before = len(terminal.screen)
        while not 5 <= terminal.tallest(before) <= 10:
            before = len(terminal.screen)
            await asyncio.sleep(0.3)
    assert await terminal.end() == 0
    assert "200 executions: 200 SUCCESSFUL" in terminal.screen.decode()


async def test_a_terminal_of_a_few_lines_is_no_crash(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=3, duration=1)
    nuvo_server.add_pipeline("torn", duration=0.2, error="PARSING_FAILURE")
    terminal = await Terminal.start(
        "run", "sftp", "torn", env=environ(nuvo_server), columns=40, rows=2
    )
    assert await terminal.end() == 1
    assert "4 executions: 1 FAILED, 3 SUCCESSFUL" in terminal.text


async def test_what_has_just_failed_is_in_sight_though_hundreds_run(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=200, duration=4)
    nuvo_server.add_pipeline("torn", duration=0.3, error="PARSING_FAILURE")
    terminal = await Terminal.start("run", "sftp", "torn", env=environ(nuvo_server))
    await terminal.shows("1 failed")
    assert any("torn" in line and "PARSING_FAILURE" in line for line in terminal.seen)
    terminal.press(b"\x03")
    assert await terminal.end() == 130


async def test_ctrl_c_on_a_terminal_gives_it_back_and_leaves_a_summary(nuvo_server):
    nuvo_server.add_pipeline("orders", rows=250, duration=0.2)
    nuvo_server.add_pipeline("stock", duration=0.2, error="PARSING_FAILURE", message="torn")
    nuvo_server.add_pipeline("slow", duration=60)
    terminal = await Terminal.start("run", "orders", "stock", "slow", env=environ(nuvo_server))
    await terminal.shows("2 of 3 done")
    terminal.press(b"\x03")
    assert await terminal.end() == 130
    screen = terminal.screen.decode()
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")
    orders, stock, slow = (one["id"] for one in nuvo_server.executions)
    assert f"✔ orders {orders} 250 rows, 0 error cells, 0.2 s" in terminal.text
    assert "3 executions: 1 FAILED, 1 PROCESSING, 1 SUCCESSFUL" in terminal.text
    assert f"stock {stock} PARSING_FAILURE: torn" in terminal.text
    assert f"1 execution may still be running; to wait again: nuvo-async wait {slow}" in (
        terminal.text
    )
    assert nuvo_server.access_token not in screen


async def test_hundreds_of_ids_take_few_lines_that_a_shell_can_read(nuvo_server):
    nuvo_server.add_pipeline("sftp", files=200, duration=60)
    terminal = await Terminal.start("run", "sftp", env=environ(nuvo_server))
    await terminal.shows("200 running")
    terminal.press(b"\x03")
    assert await terminal.end() == 130
    [begin] = [n for n, line in enumerate(terminal.seen) if line.startswith("  nuvo-async wait ")]
    lines = [line for line in terminal.seen[begin:] if line]
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert len(lines) <= 70
    words = " ".join(lines).replace("\\", "").split()
    assert words[:2] == ["nuvo-async", "wait"]
    assert sorted(words[2:]) == sorted(one["id"] for one in nuvo_server.executions)


async def test_an_outage_is_on_the_screen_while_it_lasts(nuvo_server):
    nuvo_server.add_pipeline("slow", duration=60)
    terminal = await Terminal.start("run", "slow", env=environ(nuvo_server))
    await terminal.shows("1 running")
    nuvo_server.add_fault("read", faults.status(503), times=10_000)
    await terminal.shows("API unavailable for 3")
    await asyncio.sleep(0.3)
    assert any("API unavailable for" in line and "503" in line for line in terminal.seen)
    assert sum("slow" in line for line in terminal.seen) == 1
    terminal.press(b"\x03")
    assert await terminal.end() == 130


@pytest.mark.parametrize("columns", [40, 80, 200])
async def test_get_and_list_draw_tables_on_a_terminal(nuvo_server, columns):
    nuvo_server.add_pipeline("orders", rows=1250, error=LONGEST)
    [execution_id] = nuvo_server.start("orders")
    for command, expected in (["get", execution_id], "1,250"), (["list"], "orders SCHEDULED "):
        terminal = await Terminal.start(*command, env=environ(nuvo_server), columns=columns)
        assert await terminal.end() == 0
        assert execution_id in terminal.text
        assert expected in terminal.text
        assert f"{LONGEST}: " in terminal.text
        assert b"\x1b[31mFAILED" in terminal.screen
        plain = await Terminal.start(*command, env=environ(nuvo_server, NO_COLOR="1"))
        assert await plain.end() == 0
        assert b"\x1b[31m" not in plain.screen


async def test_what_succeeded_is_left_on_the_screen_with_its_id(nuvo_server):
    nuvo_server.add_pipeline("orders", rows=250, duration=0.2)
    terminal = await Terminal.start("run", "orders", env=environ(nuvo_server))
    assert await terminal.end() == 0
    assert any(f"✔ orders  {nuvo_server.executions[0]['id']}" in one for one in terminal.seen)


async def test_nothing_is_drawn_over_what_is_piped_on(nuvo_server):
    """Where it leads to may be the very terminal that would be drawn on."""
    nuvo_server.add_pipeline("orders", duration=0.3)
    shell = ["/bin/sh", "-c", '"$@" | cat', "sh", *COMMAND, "run", "orders"]
    terminal = await Terminal.start(*shell, env=environ(nuvo_server), program=[])
    assert await terminal.end() == 0
    assert "is SUCCESSFUL" in terminal.text
    assert b"\x1b[?25l" not in terminal.screen


async def test_forced_colours_make_no_terminal_of_a_pipe(nuvo_server):
    nuvo_server.add_pipeline("orders")
    done = await run(nuvo_server, "run", "orders", FORCE_COLOR="1")
    assert "\x1b" not in done.out + done.err


async def test_json_on_a_terminal_is_not_drawn_over(nuvo_server):
    nuvo_server.add_pipeline("orders")
    terminal = await Terminal.start(
        "run", "orders", "--json", env=environ(nuvo_server), columns=200
    )
    assert await terminal.end() == 0
    lines = terminal.screen.decode().splitlines()
    assert json.loads(lines[0])["pipeline"] == "orders"

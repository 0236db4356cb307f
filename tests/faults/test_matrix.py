"""Whether it comes as `matrix.py` says, cell by cell."""

import asyncio
from typing import get_args

import pytest

from nuvo_async.testing.state import Call
from tests.faults.calls import CALLS, outcome
from tests.faults.catalogue import FAULTS, SILENT
from tests.faults.matrix import EXPECTED, FILE, expected, rendered


def test_the_table_is_whole_and_written_down():
    assert list(EXPECTED) == list(FAULTS)
    assert FILE.read_text(encoding="utf-8") == rendered(), "run python -m tests.faults.matrix"


@pytest.mark.parametrize("times", ["once", "always"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_comes_of_a_fault(fault, times):
    cells = {call: text for call, text in expected(fault, times).items() if text}
    # Where it is not about silence, a slow machine must not look like it.
    request_timeout = 1 if fault in SILENT else 10
    # Nor must a wait that ends by itself look like one that does not.
    timeout = 1 if "WaitTimeoutError" in cells.values() else 10
    outcomes = await asyncio.gather(
        *(
            outcome(call, FAULTS[fault], times, request_timeout=request_timeout, timeout=timeout)
            for call in cells
        )
    )
    assert dict(zip(cells, outcomes, strict=True)) == cells


def test_every_call_of_the_api_is_in_the_table():
    assert {way.faulted for way in CALLS.values()} == set(get_args(Call))

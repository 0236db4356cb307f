"""Several tasks at once: who ends when another fails, or the caller is cancelled."""

import asyncio
import sys

import pytest

from nuvo_async.batches.groups import together


async def fail(error: type[Exception], after: float) -> None:
    await asyncio.sleep(after)
    raise error


async def give(value):
    await asyncio.sleep(0)
    return value


async def fail_to_clean_up():
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        await asyncio.sleep(0.01)
        raise ValueError from None


async def test_results_come_in_order():
    assert await together(give(n) for n in range(5)) == [0, 1, 2, 3, 4]
    assert await together([]) == []


async def test_the_first_error_comes_out_as_it_is_and_ends_the_others():
    task = asyncio.current_task()
    assert task is not None
    before = asyncio.all_tasks()
    with pytest.raises(KeyError):
        await together([fail_to_clean_up(), fail(KeyError, 0.01), fail(ValueError, 5)])
    assert task.cancelling() == 0
    assert asyncio.all_tasks() == before


async def test_nobody_is_cut_off_while_cleaning_up():
    """Neither by another that fails meanwhile, nor by a second cancellation of the caller."""
    cleaned = []

    async def clean_up(seconds):
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(seconds)
            cleaned.append(seconds)
            raise ValueError

    task = asyncio.create_task(together(clean_up(n / 100) for n in range(1, 5)))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.2)
    assert sorted(cleaned) == [0.01, 0.02, 0.03, 0.04]


async def test_a_cancellation_comes_out_once_whatever_the_others_raise():
    ended = []

    async def caller():
        try:
            await together([fail_to_clean_up(), fail_to_clean_up()])
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)  # Where it came twice, this would raise it again.
            ended.append("cleaned up")
            raise

    task = asyncio.create_task(caller())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cleaned up"]


async def test_who_is_cancelled_again_and_again_ends_at_once():
    """As `anyio.move_on_after` cancels. What was started ends by itself, and is not heard of."""
    ended = asyncio.Event()

    async def clean_up():
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.05)
            ended.set()

    task = asyncio.create_task(together([clean_up(), fail_to_clean_up()]))
    await asyncio.sleep(0)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()
    assert not ended.is_set()
    await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are not eager before")
async def test_eager_tasks_that_fail_at_once_leave_nothing_behind():
    async def fail_at_once():
        raise ValueError

    factory = getattr(asyncio, "eager_task_factory")  # noqa: B009 - for mypy on Python 3.11
    asyncio.get_running_loop().set_task_factory(factory)
    try:
        with pytest.raises(ValueError):
            await together(fail_at_once() for _ in range(3))
        await asyncio.sleep(0)
    finally:
        asyncio.get_running_loop().set_task_factory(None)

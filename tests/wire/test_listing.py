"""Read all, one page or all of them, from a server whose `total` says nothing."""

import itertools
from urllib.parse import parse_qsl

import pytest

from nuvo_async import ExecutionPage, ExecutionStatus, NuvoClient
from nuvo_async.testing import NuvoServer, faults
from nuvo_async.wire.pages import iterate
from tests.conftest import calls


@pytest.fixture(params=[False, True], ids=["total of all", "total of the page"])
async def listed(request):
    """A client of a server with 25 executions, and pages of at most ten."""
    async with NuvoServer(max_page_size=10, count_page=request.param) as server:
        server.add_pipeline("orders")
        server.add_pipeline("broken", error="PARSING_FAILURE")
        ids = [*itertools.chain(*(server.start("orders") for _ in range(20)))]
        ids += [*itertools.chain(*(server.start("broken") for _ in range(5)))]
        async with NuvoClient(server.access_token, base_url=server.base_url) as client:
            yield server, client, ids


async def collect(executions):
    return [execution.id async for execution in executions]


async def test_a_page_is_one_request(listed):
    server, client, ids = listed
    page = await client.list_executions(limit=4, offset=2)
    assert [execution.id for execution in page.data] == ids[2:6]
    assert (page.pagination.limit, page.pagination.offset) == (4, 2)
    assert calls(server) == ["list"]


async def test_a_listed_execution_has_no_logs(listed):
    _, client, _ = listed
    execution = (await client.list_executions(limit=1)).data[0]
    assert execution.logs == ()
    assert execution.configuration is None
    assert execution.created_at is not None


@pytest.mark.parametrize("page_size", [3, 10, 25, 100])
async def test_all_pages_are_read_whatever_total_says(listed, page_size):
    server, client, ids = listed
    assert await collect(client.iter_executions(page_size=page_size)) == ids
    assert len(server.requests) == 25 // min(page_size, 10) + 1


@pytest.mark.parametrize(("max_items", "requests"), [(0, 0), (1, 1), (10, 1), (11, 2), (99, 3)])
async def test_no_more_items_are_read_than_asked_for(listed, max_items, requests):
    server, client, ids = listed
    assert await collect(client.iter_executions(max_items=max_items)) == ids[:max_items]
    assert len(server.requests) == requests


async def test_filters_and_sort_reach_every_page(listed):
    _, client, ids = listed
    failed = await collect(
        client.iter_executions(
            pipeline_id="broken",
            status=ExecutionStatus.FAILED,
            sort={"id": "desc"},
            page_size=2,
        )
    )
    assert failed == sorted(ids[20:], reverse=True)


async def test_leaving_early_reads_no_further_page(listed):
    server, client, _ = listed
    async for _ in client.iter_executions(page_size=5):
        break
    assert len(server.requests) == 1


async def test_the_query_is_the_one_that_was_given(listed):
    _, client, ids = listed
    filters = {"pipeline": "broken"}
    executions = client.iter_executions(filters=filters, page_size=2)
    filters["pipeline"] = "orders"
    assert await collect(executions) == ids[20:]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"page_size": 0}, ValueError, "page_size"),
        ({"page_size": 1.5}, TypeError, "page_size"),
        ({"max_items": -1}, ValueError, "max_items"),
        ({"sort": {"id": "up"}}, ValueError, "sort"),
        ({"filters": {"a": None}}, TypeError, r"filters\[a\]"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_step(options, error, message):
    with pytest.raises(error, match=message):
        NuvoClient("t0ken").iter_executions(**options)


def page(ids: list[int], *, limit: int) -> ExecutionPage:
    from nuvo_async.models.converter import structure
    from tests.conftest import payload

    pagination = {"total": 0, "offset": 0, "limit": limit}
    json = {"data": [payload(id=str(n)) for n in ids], "pagination": pagination}
    return structure(json, ExecutionPage)


async def iterated(pages: list[ExecutionPage], **options: int) -> tuple[list[int], list[int]]:
    """Iterate over prepared pages; return the ids, and the offsets that were asked for."""
    offsets = []

    async def read_page(query: str) -> ExecutionPage:
        offsets.append(int(dict(parse_qsl(query))["pagination[offset]"]))
        return pages[len(offsets) - 1]

    size, most = options.get("page_size", 2), options.get("max_items")
    return [
        int(one.id) async for one in iterate(read_page, page_size=size, max_items=most)
    ], offsets


async def test_executions_that_shifted_to_the_next_page_come_once():
    pages = [page([1, 2], limit=2), page([2, 3], limit=2), page([4], limit=2)]
    assert await iterated(pages) == ([1, 2, 3, 4], [0, 2, 4])


async def test_a_server_that_ignores_pagination_is_not_asked_for_ever():
    pages = [page([1, 2], limit=2)] * 9
    assert await iterated(pages) == ([1, 2], [0, 2])


async def test_the_limit_that_the_server_lowered_is_the_one_in_force():
    pages = [page([1, 2], limit=2), page([3, 4], limit=2), page([], limit=2)]
    assert await iterated(pages, page_size=50) == ([1, 2, 3, 4], [0, 2, 4])


@pytest.mark.parametrize("limit", [0, -5, 10**9])
async def test_a_limit_that_makes_no_sense_is_not_gone_by(limit):
    pages = [page([1, 2], limit=limit), page([3], limit=limit)]
    assert await iterated(pages) == ([1, 2, 3], [0, 2])


async def test_more_than_asked_for_on_a_page_is_cut_at_max_items():
    assert await iterated([page([1, 2, 3, 4], limit=2)], max_items=3) == ([1, 2, 3], [0])


async def test_a_stale_listing_shows_the_past(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders")
    nuvo_server.start("orders")
    nuvo_server.add_fault("list", faults.stale_listing(60))
    assert (await nuvo_client.list_executions()).data == ()
    assert len((await nuvo_client.list_executions()).data) == 1

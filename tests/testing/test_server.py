"""The embedded server, as any HTTP client sees it."""

import asyncio
import time
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from nuvo_async.testing import NuvoServer, faults


@pytest.fixture
async def http(nuvo_server):
    """A bare session with the server's token, and the server's base URL."""
    headers = {"Authorization": f"Bearer {nuvo_server.access_token}"}
    async with aiohttp.ClientSession(nuvo_server.base_url, headers=headers) as session:
        yield session


async def get(http, path, expected=200):
    async with http.get(path) as response:
        assert response.status == expected
        assert response.content_type == "application/json"
        return await response.json()


async def post(http, path, json, expected=201):
    async with http.post(path, json=json) as response:
        assert response.status == expected
        return await response.json()


async def test_create_answers_the_four_documented_fields(nuvo_server, http):
    nuvo_server.add_pipeline("orders", files=2)
    created = (await post(http, "execution/", {"pipeline_id": "orders"}))["data"]
    assert len(created) == 2
    for execution in created:
        del execution["id"]
        assert execution == {
            "pipeline": "orders",
            "status": "PROCESSING",
            "trigger_type": "MANUAL",
        }


@pytest.mark.parametrize("body", [{}, {"pipeline_id": 5}, {"pipeline_id": ""}, [], "x"])
async def test_a_create_without_a_pipeline_is_unprocessable(http, body):
    answer = await post(http, "execution/", body, expected=422)
    assert answer["message"][0] == "pipeline_id must be a string"


async def test_what_is_not_there_is_not_found(http):
    assert "nope" in (await get(http, "execution/nope", 404))["message"]
    assert "nope" in (await post(http, "execution/", {"pipeline_id": "nope"}, 404))["message"]


@pytest.mark.parametrize(
    ("figures", "error"),
    [
        ({"files": -1}, ValueError),
        ({"rows": "many"}, TypeError),
        ({"duration": -0.5}, ValueError),
        ({"error": 5}, TypeError),
        ({"fixed_after": -1}, ValueError),
    ],
)
async def test_figures_that_cannot_be_are_refused(figures, error):
    with pytest.raises(error):
        NuvoServer().add_pipeline("orders", **figures)


async def test_scripts_that_make_no_sense_are_refused():
    server = NuvoServer()
    not_a_fault: Any = 503
    with pytest.raises(ValueError, match="there is no pipeline 'orders'"):
        server.start("orders")
    with pytest.raises(ValueError, match="fault a function"):
        server.add_fault("read", not_a_fault)


async def test_a_server_runs_once_at_a_time():
    server = NuvoServer()
    for _ in range(2):
        async with server:
            assert server.base_url
            with pytest.raises(RuntimeError, match="runs already"):
                await server.__aenter__()
        with pytest.raises(RuntimeError, match="does not run"):
            assert server.base_url


async def test_a_server_that_runs_for_long_can_forget(nuvo_server, http):
    nuvo_server.add_pipeline("short")
    nuvo_server.add_pipeline("long", duration=60)
    nuvo_server.start("short")
    [running] = nuvo_server.start("long")
    await (await http.get("execution/")).json()
    nuvo_server.forget()
    assert [one["id"] for one in nuvo_server.executions] == [running]
    assert nuvo_server.requests == []


async def test_a_rate_limit_names_the_end_of_its_window(nuvo_server, nuvo_client):
    nuvo_server.add_fault("list", faults.rate_limit(3, per=0.2), times=100)
    await asyncio.gather(*(nuvo_client.list_executions() for _ in range(9)))
    assert 9 < len(nuvo_server.requests) < 40


async def test_an_execution_lives_as_scripted(nuvo_server, http):
    nuvo_server.add_pipeline(
        "orders", duration=0.1, error="PARSING_FAILURE", message="torn", fixed_after=0.1, rows=3
    )
    now = time.monotonic()
    nuvo_server._store.clock = lambda: now  # Loaded machines are late.
    [execution_id] = nuvo_server.start("orders")

    async def seen():
        return (await get(http, f"execution/{execution_id}"))["data"]

    first = await seen()
    assert (first["status"], first.get("error")) == ("PROCESSING", None)
    assert first["logs"] == [
        {"status": "PROCESSING", "started_on": first["created_at"], "type": "CREATE"}
    ]
    now += 0.12
    failed = await seen()
    assert failed["status"] == "FAILED"
    assert failed["error"] == {"message": "torn", "type": "PARSING_FAILURE"}
    assert failed["logs"][0]["duration"] == 100
    assert failed["logs"][0]["data"]["total_rows"] == 3
    now += 0.1
    assert (await seen())["status"] == "PROCESSING"
    now += 0.12
    fixed = await seen()
    assert fixed["status"] == "SUCCESSFUL"
    assert "error" not in fixed
    assert [run["type"] for run in fixed["logs"]] == ["CREATE", "FIX"]
    dates = [datetime.fromisoformat(one["updated_at"]) for one in (first, failed, fixed)]
    assert dates == sorted(dates)


async def test_read_by_id_may_come_without_its_envelope():
    async with NuvoServer(envelope=False) as server:
        server.add_pipeline("orders")
        [execution_id] = server.start("orders", trigger_type="EVENT")
        headers = {"Authorization": f"Bearer {server.access_token}"}
        async with aiohttp.ClientSession(server.base_url, headers=headers) as session:
            execution = await get(session, f"execution/{execution_id}")
    assert execution["id"] == execution_id
    assert execution["created_by"] is None


@pytest.fixture
def five(nuvo_server):
    """Five executions of two pipelines; the ids in the order of creation."""
    nuvo_server.add_pipeline("a")
    nuvo_server.add_pipeline("b", error="PARSING_FAILURE")
    ids = []
    for pipeline, trigger_type in [
        ("a", "MANUAL"),
        ("b", "MANUAL"),
        ("a", "SCHEDULED"),
        ("b", "EVENT"),
        ("a", "MANUAL"),
    ]:
        ids += nuvo_server.start(pipeline, trigger_type=trigger_type)
    return ids


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("filters[pipeline]=a", [0, 2, 4]),
        ("filters[pipeline]=a&filters[trigger_type]=MANUAL", [0, 4]),
        ("filters[pipeline][$ne]=a", [1, 3]),
        ("filters[status][$eq]=FAILED", [1, 3]),
        ("filters[trigger_type][$in][0]=EVENT&filters[trigger_type][$in][1]=SCHEDULED", [2, 3]),
        ("filters[trigger_type][$in]=EVENT", [3]),
        ("filters[trigger_type][$in][]=EVENT", [3]),
        ("filters[trigger_type][0]=EVENT&filters[trigger_type][1]=SCHEDULED", [2, 3]),
        ("filters[created_by][name]=A%20User", [0, 1, 4]),
        ("filters[created_by.name][$ne]=A%20User", [2, 3]),
        ("filters[error][type]=PARSING_FAILURE", [1, 3]),
        ("filters[created_at][$gte]=2020-01-01", [0, 1, 2, 3, 4]),
        ("filters[created_at][$lt]=2020-01-01T00:00:00%2B02:00", []),
        ("filters[created_at][$gt]=tomorrow", []),
        ("filters[nothing]=1", []),
        ("sort[pipeline]=desc", [1, 3, 0, 2, 4]),
        ("sort[pipeline]=asc&sort[trigger_type]=desc", [2, 0, 4, 1, 3]),
        ("sort[created_by.name]=asc", [2, 3, 0, 1, 4]),
        ("pagination[limit]=2", [0, 1]),
        ("pagination[limit]=2&pagination[offset]=3", [3, 4]),
        ("pagination[offset]=9", []),
        ("options[attach_meta]=true", [0, 1, 2, 3, 4]),
    ],
)
async def test_read_all_filters_sorts_and_pages(http, five, query, expected):
    answer = await get(http, f"execution/?{query}")
    assert [five.index(one["id"]) for one in answer["data"]] == expected
    assert not {"logs", "configuration"} & set().union(*answer["data"], set())


@pytest.mark.parametrize(
    "query",
    [
        "filters[status][$like]=x",
        "filters[status][$gt][0]=x",
        "filters[status][$in][0][x]=x",
        "filters=x",
        "sort[id]=up",
        "sort=id",
        "pagination[limit]=0",
        "pagination[limit]=many",
        "pagination[offset]=-1",
        "other=1",
        "[a]=1",
        "filters[a]=1&filters[a][b]=2",
        "a",
    ],
)
async def test_a_query_that_makes_no_sense_is_unprocessable(http, query):
    assert (await get(http, f"execution/?{query}", 422))["message"]


async def test_pages_have_a_maximum_and_a_total_of_either_kind(five):
    for count_page in (False, True):
        async with NuvoServer(max_page_size=2, count_page=count_page) as server:
            server.add_pipeline("a", files=5)
            server.start("a")
            headers = {"Authorization": f"Bearer {server.access_token}"}
            async with aiohttp.ClientSession(server.base_url, headers=headers) as session:
                answer = await get(session, "execution/?pagination[limit]=100&pagination[offset]=1")
        assert len(answer["data"]) == 2
        total = 2 if count_page else 5
        assert answer["pagination"] == {"total": total, "offset": 1, "limit": 2}


async def test_tokens_are_exchanged_used_and_revoked(nuvo_server):
    async with aiohttp.ClientSession(nuvo_server.base_url) as session:
        actor = {"identifier": nuvo_server.identifier, "type": "USER"}
        body = {"license_key": nuvo_server.license_key, "auth": actor}
        token = (await post(session, "auth/access-token", body))["access_token"]
        headers = {"Authorization": f"Bearer {token}", "access_token": token}
        for status in (200, 401):
            async with session.delete("auth/access-token", headers=headers) as response:
                assert response.status == status
        for path in ("execution/", "execution/1"):
            async with session.get(path, headers=headers) as response:
                assert response.status == 401
        async with session.post("execution/", headers=headers) as response:
            assert response.status == 401


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"license_key": "wrong"}, 401),
        ({"auth": {"identifier": "nobody", "type": "USER"}}, 401),
        ({"auth": {"identifier": "user@example.com", "type": "ADMIN"}}, 422),
        ({"auth": {}}, 422),
        ({"auth": {"identifier": "user@example.com", "type": []}}, 422),
        ({"license_key": 5}, 422),
    ],
)
async def test_a_wrong_licence_is_refused(nuvo_server, http, changes, status):
    actor = {"identifier": nuvo_server.identifier, "type": "USER"}
    body = {"license_key": nuvo_server.license_key, "auth": actor, **changes}
    await post(http, "auth/access-token", body, expected=status)


async def test_faults_are_met_in_order_and_by_whom_they_are_for(nuvo_server, http, five):
    nuvo_server.add_fault("read", faults.status(500), of=five[1])
    nuvo_server.add_fault("read", faults.status(503), times=2)
    nuvo_server.add_fault("create", faults.status(409), of="b")
    for n, status in [(0, 503), (1, 500), (1, 503), (0, 200), (1, 200)]:
        await get(http, f"execution/{five[n]}", status)
    for pipeline, status in [("a", 201), ("b", 409), ("b", 201)]:
        await post(http, "execution/", {"pipeline_id": pipeline}, expected=status)
    await post(http, "execution/", "x", expected=422)


async def test_requests_are_recorded_as_they_came(nuvo_server, http):
    await post(http, "execution/", {"pipeline_id": "a"}, expected=404)
    [request] = nuvo_server.requests
    assert (request.call, request.method, request.path) == ("create", "POST", "execution/")
    assert request.json == {"pipeline_id": "a"}
    assert nuvo_server.access_token in request.headers["Authorization"]
    assert nuvo_server.access_token not in repr(request)


def test_a_server_that_does_not_run_has_no_address():
    with pytest.raises(RuntimeError, match="async with"):
        _ = NuvoServer().base_url


async def test_a_server_that_was_not_started_can_be_left():
    await NuvoServer().__aexit__()


async def test_stopping_does_not_wait_for_slow_answers():
    async with asyncio.timeout(5):
        async with NuvoServer() as server:
            server.add_fault("list", faults.delay(30))
            async with aiohttp.ClientSession(server.base_url) as session:
                asking = asyncio.create_task(session.get("execution/").__aenter__())
                await asyncio.sleep(0.05)
                asking.cancel()


async def test_a_fault_of_your_own_is_a_function(nuvo_server, http):
    async def twice(request, act):
        await act()
        return await act()

    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", twice)
    await post(http, "execution/", {"pipeline_id": "orders"})
    assert len(nuvo_server.executions) == 2


def test_a_fault_that_can_never_be_met_is_refused():
    unmeetable: list[tuple[Any, int]] = [("reed", 1), ("read", 0)]
    for call, times in unmeetable:
        with pytest.raises(ValueError, match="call must be one of"):
            NuvoServer().add_fault(call, faults.status(500), times=times)


async def test_a_port_can_be_chosen_and_may_be_taken(nuvo_server):
    port = int(nuvo_server.base_url.split(":")[2].split("/")[0])
    another = NuvoServer(port=port)
    with pytest.raises(OSError, match="address"):
        await another.__aenter__()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = another.base_url
    await nuvo_server.__aexit__()
    async with another:
        assert another.base_url.startswith(f"http://127.0.0.1:{port}/")

"""The embedded server's answers, as any HTTP client sees them."""

import time
from datetime import datetime

import aiohttp
import pytest

from nuvo_async.testing import NuvoServer
from tests.testing.conftest import get, post, session_of


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


async def test_a_server_that_runs_for_long_can_forget(nuvo_server, http):
    nuvo_server.add_pipeline("short")
    nuvo_server.add_pipeline("long", duration=60)
    nuvo_server.start("short")
    [running] = nuvo_server.start("long")
    await (await http.get("execution/")).json()
    nuvo_server.forget()
    assert [one["id"] for one in nuvo_server.executions] == [running]
    assert nuvo_server.requests == []


async def test_an_execution_lives_as_scripted(nuvo_server, http):
    nuvo_server.add_pipeline(
        "orders", duration=0.1, error="PARSING_FAILURE", message="torn", fixed_after=0.1, rows=3
    )
    now = time.monotonic()
    nuvo_server._state.store.clock = lambda: now  # Loaded machines are late.
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
        async with session_of(server) as session:
            execution = await get(session, f"execution/{execution_id}")
    assert execution["id"] == execution_id
    assert execution["created_by"] is None


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


async def test_requests_are_recorded_as_they_came(nuvo_server, http):
    await post(http, "execution/", {"pipeline_id": "a"}, expected=404)
    [request] = nuvo_server.requests
    assert (request.call, request.method, request.path) == ("create", "POST", "execution/")
    assert request.json == {"pipeline_id": "a"}
    assert nuvo_server.access_token in request.headers["Authorization"]
    assert nuvo_server.access_token not in repr(request)

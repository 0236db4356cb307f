"""The calls as a user makes them, and the requests as aiohttp is given them."""

import aiohttp
import pytest
from aioresponses import aioresponses
from yarl import URL

import nuvo_async
from nuvo_async import (
    BadRequestError,
    ExecutionStatus,
    InvalidResponseError,
    LicenseKey,
    NotFoundError,
    NuvoClient,
    TriggerType,
)
from tests.conftest import calls, payload

BASE = "https://nuvo.example/dp/api/v1/"
TOKEN = "t0ken"
CREATED = {"id": "65f0", "pipeline": "orders", "status": "PROCESSING", "trigger_type": "MANUAL"}


@pytest.fixture
def mocked():
    with aioresponses() as mock:
        yield mock


@pytest.fixture
async def client():
    async with NuvoClient(TOKEN, base_url=BASE) as client:
        yield client


def sent(mocked):
    """The one request that was made: its method, URL and options."""
    [((method, url), [call])] = mocked.requests.items()
    return method, str(url), call.kwargs


async def test_create_posts_the_pipeline(client, mocked):
    mocked.post(f"{BASE}execution/", payload={"data": [CREATED]}, status=201)
    [execution] = await client.create_execution("orders")
    method, url, options = sent(mocked)
    assert (method, url) == ("POST", f"{BASE}execution/")
    assert options["data"].decode() == '{"pipeline_id":"orders"}'
    assert options["headers"] == {
        "Accept": "application/json",
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        "User-Agent": f"nuvo-async/{nuvo_async.__version__}",
    }
    assert options["allow_redirects"] is False
    assert execution.status is ExecutionStatus.PROCESSING


async def test_read_by_id_quotes_the_id(client, mocked):
    mocked.get(
        URL(f"{BASE}execution/a%2Fb%3Fc%23d%20e%25", encoded=True),
        payload=payload(id="a/b?c#d e%"),
    )
    execution = await client.get_execution("a/b?c#d e%")
    assert execution.id == "a/b?c#d e%"
    assert sent(mocked)[1] == f"{BASE}execution/a%2Fb%3Fc%23d%20e%25"


async def test_a_licence_key_is_exchanged_without_authorization(mocked):
    mocked.post(f"{BASE}auth/access-token", payload={"access_token": TOKEN})
    mocked.get(f"{BASE}execution/1", payload={"data": payload(id="1")})
    async with NuvoClient(LicenseKey("k3y", "sub-1", "SUB_ORG"), base_url=BASE) as client:
        await client.get_execution("1")
    exchange, read = (requests[0].kwargs for requests in mocked.requests.values())
    assert exchange["data"].decode() == (
        '{"license_key":"k3y","auth":{"identifier":"sub-1","type":"SUB_ORG"}}'
    )
    assert "Authorization" not in exchange["headers"]
    assert read["headers"]["Authorization"] == f"Bearer {TOKEN}"


async def test_revoke_sends_the_token_in_its_own_header(client, mocked):
    mocked.delete(f"{BASE}auth/access-token", payload={"message": "success"})
    await client.revoke_token()
    assert sent(mocked)[2]["headers"]["access_token"] == TOKEN


@pytest.mark.parametrize("base", [BASE, BASE.rstrip("/"), URL(BASE), URL(BASE.rstrip("/"))])
async def test_a_base_url_may_lack_its_slash(base, mocked):
    mocked.get(f"{BASE}execution/1", payload=payload(id="1"))
    async with NuvoClient(TOKEN, base_url=base) as client:
        assert (await client.get_execution("1")).id == "1"


async def test_the_default_base_url_is_the_documented_one(mocked):
    mocked.get("https://api-gateway.getnuvo.com/dp/api/v1/execution/1", payload=payload(id="1"))
    async with NuvoClient(TOKEN) as client:
        await client.get_execution("1")


# From here on, over real sockets.


async def test_read_all_sends_the_query_to_the_byte(nuvo_server, nuvo_client):
    await nuvo_client.list_executions(
        pipeline_id="a/b",
        filters={"created_at": {"$gte": "2026-01-01T00:00:00Z"}},
        sort={"created_by.name": "desc"},
        options={"attach_meta": True},
        limit=5,
    )
    assert nuvo_server.requests[0].query == (
        "filters%5Bcreated_at%5D%5B%24gte%5D=2026-01-01T00%3A00%3A00Z&filters%5Bpipeline%5D=a%2Fb"
        "&sort%5Bcreated_by.name%5D=desc&options%5Battach_meta%5D=true&pagination%5Blimit%5D=5"
    )


async def test_create_starts_one_execution_for_each_file(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("sftp", files=3)
    nuvo_server.add_pipeline("empty", files=0)
    created = await nuvo_client.create_execution("sftp")
    assert len({execution.id for execution in created}) == 3
    assert {execution.pipeline for execution in created} == {"sftp"}
    assert await nuvo_client.create_execution("empty") == []


@pytest.mark.parametrize("nuvo_id", ["missing", "../auth/access-token", "a?b=c", "a#b", "ü 😀"])
async def test_no_id_reaches_another_path(nuvo_server, nuvo_client, nuvo_id):
    with pytest.raises(NotFoundError) as caught:
        await nuvo_client.get_execution(nuvo_id)
    assert calls(nuvo_server) == ["read"]
    assert nuvo_server.requests[0].query == ""
    assert caught.value.path == nuvo_server.requests[0].path
    assert caught.value.method == "GET"


async def test_an_unknown_pipeline_is_not_found(nuvo_client):
    with pytest.raises(NotFoundError, match="pipeline nope not found"):
        await nuvo_client.create_execution("nope")


async def test_a_refusal_lists_all_its_messages(nuvo_client):
    with pytest.raises(BadRequestError, match="unknown operator"):
        await nuvo_client.list_executions(filters={"status": {"$like": "F"}})


async def test_read_by_id_has_everything(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders", rows=5, columns=4, error_cells=2)
    [created] = await nuvo_client.create_execution("orders")
    execution = await nuvo_client.get_execution(created.id)
    assert execution.succeeded
    assert execution.configuration
    assert execution.trigger_type is TriggerType.MANUAL
    assert execution.created_by is not None
    assert execution.created_by.identifier == nuvo_server.identifier
    data = execution.latest_run.data
    assert (data.total_rows, data.total_cells, data.total_error_cells) == (5, 20, 2)


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        ("create_execution", "pipeline_id"),
        ("get_execution", "execution_id"),
        ("wait_for_completion", "execution"),
    ],
)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("", ValueError),
        (" \t", ValueError),
        ("a\nb", ValueError),
        ("a\x7f", ValueError),
        ("a\x85", ValueError),
        ("\ud800", ValueError),
        (None, TypeError),
        (5, TypeError),
        (b"a", TypeError),
    ],
)
async def test_a_bad_id_is_refused_before_anything_is_sent(
    nuvo_server, nuvo_client, method, argument, value, error
):
    with pytest.raises(error, match=argument):
        await getattr(nuvo_client, method)(value)
    assert nuvo_server.requests == []


@pytest.mark.parametrize("value", [".", ".."])
async def test_an_id_that_names_another_path_is_refused(nuvo_server, nuvo_client, value):
    for call in (nuvo_client.get_execution, nuvo_client.wait_for_completion):
        with pytest.raises(ValueError, match="another path"):
            await call(value)
    assert nuvo_server.requests == []


async def test_a_callers_session_is_used_and_never_closed(nuvo_server):
    nuvo_server.add_pipeline("orders")
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        async with NuvoClient(
            nuvo_server.access_token, base_url=nuvo_server.base_url, session=session
        ) as client:
            await client.create_execution("orders")
            with pytest.raises(NotFoundError):
                await client.get_execution("missing")
        assert not session.closed


async def test_an_answer_for_another_id_is_refused(client, mocked):
    mocked.get(f"{BASE}execution/1", payload={"data": payload(id="2")})
    with pytest.raises(InvalidResponseError) as caught:
        await client.get_execution("1")
    assert caught.value.where == "data.id"

"""Create is never sent twice where the first may have been received."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from nuvo_async import (
    APIError,
    ClientClosedError,
    CreateOutcomeUnknownError,
    InvalidResponseError,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from nuvo_async.testing import faults
from tests.conftest import calls

UNCLEAR = {
    "cut after acting": (faults.cut(acted=True), TransportError, 1),
    "cut before acting": (faults.cut(acted=False), TransportError, 0),
    "silence": (faults.delay(5), RequestTimeoutError, 0),
    "half an answer": (faults.truncated(), TransportError, 1),
    "no JSON": (faults.not_json(), InvalidResponseError, 1),
    "HTML for an answer": (faults.html_page(200), InvalidResponseError, 1),
    "HTML from a gateway": (faults.html_page(502), ServerError, 1),
    "another shape": (faults.body('{"data": null}'), InvalidResponseError, 1),
    "over the limit": (faults.gzip_bomb(200_000), InvalidResponseError, 1),
    "408": (faults.status(408), APIError, 0),
    "500": (faults.status(500), ServerError, 0),
    "504": (faults.status(504), ServerError, 0),
    "see other": (faults.redirect("/dp/api/v1/execution/1", code=303), InvalidResponseError, 0),
}


def notes(error):
    return "; ".join(error.__notes__)


@pytest.mark.parametrize(("fault", "cause", "started"), UNCLEAR.values(), ids=UNCLEAR)
async def test_create_is_not_sent_again_after_a_lost_answer(
    nuvo_server, make_client, fault, cause, started
):
    client = make_client(request_timeout=0.3, max_body_size=100_000)
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", fault)
    with pytest.raises(CreateOutcomeUnknownError) as caught:
        await client.create_execution("orders")
    assert calls(nuvo_server) == ["create", "list"]
    error = caught.value
    assert type(error.__cause__) is cause
    assert error.pipeline_id == "orders"
    assert abs(error.sent_at - datetime.now(UTC)) < timedelta(seconds=10)
    assert [one.id for one in error.candidates] == [one["id"] for one in nuvo_server.executions]
    assert len(error.candidates) == started
    assert error.candidates_read


@pytest.mark.parametrize("status", [429, 503])
async def test_create_is_sent_again_after_a_clear_refusal(nuvo_server, make_client, status):
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.status(status), times=2)
    assert len(await make_client().create_execution("orders")) == 1
    assert calls(nuvo_server) == ["create"] * 3
    assert len(nuvo_server.executions) == 1


@pytest.mark.parametrize(("status", "error"), [(429, RateLimitError), (503, ServerError)])
async def test_a_refusal_that_lasts_is_raised_as_such(nuvo_server, make_client, status, error):
    nuvo_server.add_fault("create", faults.status(status), times=99)
    with pytest.raises(error):
        await make_client().create_execution("orders")
    assert calls(nuvo_server) == ["create"] * 4


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422])
async def test_a_final_refusal_is_not_sent_again(nuvo_server, make_client, status):
    nuvo_server.add_fault("create", faults.status(status))
    with pytest.raises(APIError) as caught:
        await make_client().create_execution("orders")
    assert caught.value.status == status
    assert calls(nuvo_server) == ["create"]


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_a_create_that_is_pointed_elsewhere_was_not_acted_on(nuvo_server, make_client, code):
    nuvo_server.add_fault("create", faults.redirect("https://elsewhere.example/", code=code))
    with pytest.raises(InvalidResponseError, match="redirect"):
        await make_client().create_execution("orders")
    assert calls(nuvo_server) == ["create"]


async def test_a_refused_connection_is_tried_again(make_client):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    client = make_client(base_url=f"http://127.0.0.1:{port}/")
    with pytest.raises(TransportError) as caught:
        await client.create_execution("orders")
    assert caught.value.sent_at is None
    assert type(caught.value.__cause__).__name__ == "ClientConnectorError"


@asynccontextmanager
async def full_backlog():
    """A port where connections hang in the making: it listens, and has no room for one more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            waiting.append(one)
        await asyncio.sleep(0.05)
        yield port
        for one in waiting:
            one.close()


async def test_a_connection_that_hangs_in_the_making_is_tried_again(make_client):
    async with full_backlog() as port:
        client = make_client(
            base_url=f"http://127.0.0.1:{port}/",
            request_timeout=1.0,  # A tenth of it tells connecting from waiting for the answer.
            retry=RetryPolicy(max_attempts=2, base_delay=0.01),
        )
        with pytest.raises(RequestTimeoutError) as caught:
            await client.create_execution("orders")
    assert caught.value.sent_at is None


async def test_executions_that_cannot_be_it_are_no_candidates(nuvo_server, make_client):
    client = make_client()
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_pipeline("other")
    await client.create_execution("orders")  # Answered, and so known not to be it.
    await client.create_execution("other")
    nuvo_server.start("orders", trigger_type="SCHEDULED")
    nuvo_server.add_fault("create", faults.cut(acted=True))
    with pytest.raises(CreateOutcomeUnknownError) as caught:
        await client.create_execution("orders")
    assert [one.id for one in caught.value.candidates] == [nuvo_server.executions[-1]["id"]]


async def test_older_executions_are_no_candidates(nuvo_server, make_client):
    nuvo_server.add_pipeline("orders")
    nuvo_server.start("orders", trigger_type="MANUAL")
    await asyncio.sleep(2.1)  # `Date` tells the server's clock in whole seconds.
    nuvo_server.add_fault("create", faults.cut(acted=False))
    with pytest.raises(CreateOutcomeUnknownError) as caught:
        await make_client().create_execution("orders")
    assert caught.value.candidates == ()
    assert "look again" in str(caught.value)


@pytest.mark.parametrize("hours", [-5, 5])
async def test_candidates_are_found_on_a_server_whose_clock_is_off(nuvo_server, make_client, hours):
    """The server's `Date` and `created_at` are off alike, as on a host with a wrong clock."""
    listing = '{{"data": [{}], "pagination": {{"total": 2, "offset": 0, "limit": 100}}}}'
    entry = (
        '{{"id": "{}", "pipeline": "orders", "status": "PROCESSING", "trigger_type": "MANUAL",'
        ' "created_at": "{}"}}'
    )
    now = datetime.now(UTC) + timedelta(hours=hours)
    entries = [
        entry.format("new", now.isoformat()),
        entry.format("old", (now - timedelta(minutes=1)).isoformat()),
        entry.format("dateless", now.isoformat()).replace(f'"{now.isoformat()}"', "null"),
    ]
    nuvo_server.add_pipeline("orders")
    nuvo_server.add_fault("create", faults.cut(acted=True))
    nuvo_server.add_fault(
        "list",
        faults.body(
            listing.format(", ".join(entries)),
            headers={"Date": now.strftime("%a, %d %b %Y %H:%M:%S GMT")},
        ),
    )
    with pytest.raises(CreateOutcomeUnknownError) as caught:
        await make_client().create_execution("orders")
    assert [one.id for one in caught.value.candidates] == ["new", "dateless"]


@pytest.mark.parametrize(
    ("created_at", "date"),
    [
        ("9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 -2359"),
        ("0001-01-01T00:00:00+23:59", "Mon, 01 Jan 0001 00:00:00 GMT"),
        ("2026-01-01T00:00:00Z", "yesterday"),
    ],
)
async def test_no_time_that_a_server_tells_hides_the_unknown_outcome(
    nuvo_server, make_client, created_at, date
):
    entry = {"id": "1", "pipeline": "orders", "status": "FAILED", "trigger_type": "MANUAL"}
    page = {
        "data": [{**entry, "created_at": created_at}],
        "pagination": {"total": 1, "offset": 0, "limit": 1},
    }
    nuvo_server.add_fault("create", faults.status(500))
    nuvo_server.add_fault("list", faults.body(json.dumps(page), headers={"Date": date}))
    with pytest.raises(CreateOutcomeUnknownError):
        await make_client().create_execution("orders")


async def test_candidates_that_cannot_be_read_are_said_so(nuvo_server, make_client):
    nuvo_server.add_fault("create", faults.cut(acted=True))
    nuvo_server.add_fault("list", faults.status(403))
    nuvo_server.add_pipeline("orders")
    with pytest.raises(CreateOutcomeUnknownError) as caught:
        await make_client().create_execution("orders")
    assert caught.value.candidates == ()
    assert not caught.value.candidates_read
    assert "listing its executions failed as well: GET execution/: 403" in notes(caught.value)


async def test_a_create_that_is_cancelled_says_that_it_may_have_been_received(
    nuvo_server, make_client
):
    nuvo_server.add_fault("create", faults.delay(5))
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.1):
            await make_client().create_execution("orders")
    assert "Create for pipeline orders was under way" in notes(caught.value.__context__)


async def test_a_look_for_candidates_that_is_cancelled_says_the_same(nuvo_server, make_client):
    nuvo_server.add_fault("create", faults.cut(acted=True))
    nuvo_server.add_fault("list", faults.delay(5))
    nuvo_server.add_pipeline("orders")
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.2):
            await make_client().create_execution("orders")
    assert "Create for pipeline orders had no clear answer" in notes(caught.value.__context__)


async def test_a_renewed_token_mends_a_create(nuvo_server, make_client, license_key):
    client = make_client(license_key)
    nuvo_server.add_pipeline("orders")
    await client.list_executions()
    nuvo_server.expire_tokens()
    assert len(await client.create_execution("orders")) == 1
    assert calls(nuvo_server) == ["token", "list", "create", "token", "create"]
    assert len(nuvo_server.executions) == 1


@pytest.mark.parametrize(
    "fault",
    [faults.cut(acted=True), faults.not_json(), faults.status(500)],
    ids=["cut", "not JSON", "500"],
)
async def test_trouble_with_the_token_is_no_unknown_create(
    nuvo_server, make_client, license_key, fault
):
    nuvo_server.add_fault("token", fault, times=99)
    with pytest.raises((TransportError, InvalidResponseError, ServerError)) as caught:
        await make_client(license_key).create_execution("orders")
    assert "auth/access-token" in str(caught.value)
    assert "create" not in calls(nuvo_server)


async def test_a_create_that_close_cuts_off_is_ended(nuvo_server, make_client):
    client = make_client()
    nuvo_server.add_fault("create", faults.delay(5))
    creating = asyncio.create_task(client.create_execution("orders"))
    await asyncio.sleep(0.05)
    await client.close()
    with pytest.raises(ClientClosedError) as caught:
        await creating
    assert "Create for pipeline orders was under way" in notes(caught.value)

"""Tokens: exchanged once for all who need one, renewed after a 401, revoked on request."""

import asyncio
import json
import traceback

import pytest

from nuvo_async import (
    AccessToken,
    ActorType,
    AuthenticationError,
    ConfigurationError,
    InvalidResponseError,
    LicenseKey,
    NuvoClient,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from nuvo_async.testing import faults
from tests.conftest import calls


async def test_a_licence_key_is_exchanged_once_for_all_calls(nuvo_server, make_client, license_key):
    client = make_client(license_key)
    nuvo_server.add_fault("token", faults.delay(0.1))
    await asyncio.gather(*(client.list_executions() for _ in range(50)))
    assert calls(nuvo_server) == ["token"] + ["list"] * 50


async def test_a_401_renews_the_token_once_for_all_calls(nuvo_server, make_client, license_key):
    client = make_client(license_key)
    await client.list_executions()
    nuvo_server.expire_tokens()
    nuvo_server.add_fault("token", faults.delay(0.1))
    await asyncio.gather(*(client.list_executions() for _ in range(50)))
    assert calls(nuvo_server).count("token") == 2
    assert calls(nuvo_server).count("list") == 101


async def test_the_same_token_again_is_still_one_renewal(nuvo_server, make_client, license_key):
    """A server may give the same token for as long as it lives."""
    client = make_client(license_key)
    nuvo_server.add_fault("token", faults.body('{"access_token": "same"}'), times=99)
    results = await asyncio.gather(
        *(client.list_executions() for _ in range(20)), return_exceptions=True
    )
    assert {type(result) for result in results} == {AuthenticationError}
    assert calls(nuvo_server).count("token") == 2


async def test_a_second_401_is_an_authentication_error(nuvo_server, make_client, license_key):
    client = make_client(license_key)
    nuvo_server.add_fault("list", faults.status(401), times=2)
    with pytest.raises(AuthenticationError):
        await client.list_executions()
    assert calls(nuvo_server) == ["token", "list", "token", "list"]


async def test_an_access_token_cannot_be_renewed(nuvo_server, make_client):
    client = make_client("wr0ng")
    with pytest.raises(AuthenticationError, match="check the access token"):
        await client.list_executions()
    assert calls(nuvo_server) == ["list"]


async def test_a_wrong_licence_key_is_told_once_to_all(nuvo_server, make_client):
    client = make_client(LicenseKey("wr0ng", nuvo_server.identifier))
    nuvo_server.add_fault("token", faults.delay(0.1))
    results = await asyncio.gather(
        *(client.list_executions() for _ in range(20)), return_exceptions=True
    )
    assert {type(result) for result in results} == {AuthenticationError}
    assert len({id(result) for result in results}) == 20
    assert calls(nuvo_server) == ["token"]
    with pytest.raises(AuthenticationError):
        await client.list_executions()
    assert calls(nuvo_server) == ["token"] * 2


async def test_trouble_with_the_exchange_passes(nuvo_server, make_client, license_key):
    nuvo_server.add_fault("token", faults.status(503), times=2)
    await make_client(license_key).list_executions()
    assert calls(nuvo_server) == ["token"] * 3 + ["list"]


async def test_an_exchange_that_failed_is_tried_anew_by_the_next_call(
    nuvo_server, make_client, license_key
):
    client = make_client(license_key)
    nuvo_server.add_fault("token", faults.status(500), times=4)
    with pytest.raises(ServerError):
        await client.list_executions()
    await client.list_executions()


@pytest.mark.parametrize("expired", [False, True], ids=["first exchange", "renewal"])
async def test_the_next_call_takes_over_from_one_that_was_cancelled(
    nuvo_server, make_client, license_key, expired
):
    client = make_client(license_key)
    if expired:
        await client.list_executions()
        nuvo_server.expire_tokens()
    nuvo_server.add_fault("token", faults.delay(30))
    leader = asyncio.create_task(client.list_executions())
    await asyncio.sleep(0.05)
    follower = asyncio.create_task(client.list_executions())
    await asyncio.sleep(0.05)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    await asyncio.wait_for(follower, 5)


async def test_a_failure_is_told_to_those_alone_who_waited_for_it(
    nuvo_server, make_client, license_key
):
    """A call whose 401 comes after an exchange had failed tries one of its own."""
    client = make_client(license_key)
    await client.list_executions()
    slow = [asyncio.create_task(client.list_executions()), client.get_execution("1")]
    nuvo_server.add_fault("list", slowly(0.3))
    nuvo_server.add_fault("token", faults.status(403))
    await asyncio.sleep(0.05)
    nuvo_server.expire_tokens()
    with pytest.raises(PermissionDeniedError):
        await slow[1]
    await slow[0]


def slowly(seconds):
    """Take the request in, and look at its token only later."""

    async def fault(_, act):
        await asyncio.sleep(seconds)
        return await act()

    return fault


EXCHANGES = [
    {"data": {"access_token": "CANARY-t0ken"}},
    {"token": "CANARY-t0ken"},
    ["CANARY-t0ken"],
    {"access_token": {"value": "CANARY-t0ken"}},
    {"access_token": "CANARY t0ken"},
]


@pytest.mark.parametrize("body", [*map(json.dumps, EXCHANGES), "CANARY-t0ken", '{"a": "CANARY-'])
async def test_an_exchange_that_is_not_as_documented_shows_no_token(
    nuvo_server, make_client, license_key, body
):
    nuvo_server.add_fault("token", faults.body(body))
    with pytest.raises(InvalidResponseError) as caught:
        await make_client(license_key).list_executions()
    assert "CANARY" not in f"{caught.value!r}{caught.value}{caught.value.__dict__}"


async def test_a_blank_token_spoils_no_message_later(nuvo_server, make_client, license_key):
    client = make_client(license_key)
    nuvo_server.add_fault("token", faults.body('{"access_token": " "}'))
    with pytest.raises(InvalidResponseError):
        await client.list_executions()
    nuvo_server.add_pipeline("orders", error="PARSING_FAILURE", message="line 3 is torn")
    [execution] = await client.create_execution("orders")
    finished = await client.wait_for_completion(execution, raise_on_failure=False)
    assert finished.error is not None
    assert finished.error.message == "line 3 is torn"


async def test_revoke_makes_the_token_worthless(nuvo_server, make_client):
    client = make_client()
    await client.revoke_token()
    await client.revoke_token()
    assert calls(nuvo_server) == ["revoke"]
    with pytest.raises(AuthenticationError):
        await client.list_executions()


async def test_revoke_before_the_exchange_sends_nothing(nuvo_server, make_client, license_key):
    await make_client(license_key).revoke_token()
    assert nuvo_server.requests == []


async def test_a_licence_key_gets_a_new_token_after_revoke(nuvo_server, make_client, license_key):
    client = make_client(license_key)
    await client.list_executions()
    await client.revoke_token()
    await client.list_executions()
    await client.revoke_token()
    assert calls(nuvo_server) == ["token", "list", "revoke", "token", "list", "revoke"]


async def test_a_revoke_is_sent_once(nuvo_server, make_client):
    nuvo_server.add_fault("revoke", faults.cut(acted=True))
    with pytest.raises(TransportError):
        await make_client().revoke_token()
    assert calls(nuvo_server) == ["revoke"]


async def test_a_revoke_that_failed_can_be_repeated(nuvo_server, make_client):
    client = make_client()
    nuvo_server.add_fault("revoke", faults.status(500))
    with pytest.raises(ServerError):
        await client.revoke_token()
    await client.revoke_token()
    assert calls(nuvo_server) == ["revoke", "revoke"]


@pytest.mark.parametrize("token", ["", " ", "a b", "Bearer abc", "abc\n", "tökén", "a\x00"])
def test_a_token_that_cannot_be_sent_is_refused_unseen(token):
    with pytest.raises(ValueError, match="token must") as caught:
        NuvoClient(token)
    assert repr(token)[1:-1] not in str(caught.value).replace("'Bearer'", "") or not token.strip()


@pytest.mark.parametrize("credentials", [None, 5, b"token", ("a", "b")])
def test_credentials_of_another_kind_are_refused(credentials):
    with pytest.raises(TypeError, match="credentials must be"):
        NuvoClient(credentials)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("", "user@example.com"), ValueError, "license_key must not be empty"),
        (("k3y", " "), ValueError, "identifier must not be empty"),
        ((None, "user@example.com"), TypeError, "license_key must be a string"),
        (("k3y", "user@example.com", "ADMIN"), ValueError, "must be USER or SUB_ORG"),
    ],
)
def test_a_licence_key_is_checked_when_made(arguments, error, message):
    with pytest.raises(error, match=message):
        LicenseKey(*arguments)


def test_an_identifier_type_may_be_a_string():
    assert LicenseKey("k3y", "sub-1", "SUB_ORG").identifier_type is ActorType.SUB_ORG


def test_the_repr_of_credentials_shows_no_secret():
    assert repr(AccessToken("t0ken")) == "AccessToken(token='***')"
    assert "k3y" not in repr(LicenseKey("k3y", "user@example.com"))


async def test_from_env_with_a_token(nuvo_server):
    environ = {"NUVO_ACCESS_TOKEN": nuvo_server.access_token, "NUVO_BASE_URL": nuvo_server.base_url}
    async with NuvoClient.from_env(environ) as client:
        await client.list_executions()


async def test_from_env_with_a_licence_key(nuvo_server):
    environ = {
        "NUVO_ACCESS_TOKEN": "",
        "NUVO_LICENSE_KEY": nuvo_server.license_key,
        "NUVO_IDENTIFIER": nuvo_server.identifier,
        "NUVO_IDENTIFIER_TYPE": "SUB_ORG",
    }
    async with NuvoClient.from_env(environ, base_url=nuvo_server.base_url) as client:
        await client.list_executions()
    assert nuvo_server.requests[0].json["auth"]["type"] == "SUB_ORG"


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, ["NUVO_ACCESS_TOKEN", "NUVO_LICENSE_KEY", "NUVO_IDENTIFIER"]),
        ({"NUVO_LICENSE_KEY": "k3y"}, ["missing: NUVO_ACCESS_TOKEN, NUVO_IDENTIFIER"]),
        ({"NUVO_IDENTIFIER": "a"}, ["missing: NUVO_ACCESS_TOKEN, NUVO_LICENSE_KEY"]),
        ({"NUVO_ACCESS_TOKEN": "k3y k3y"}, ["NUVO_ACCESS_TOKEN"]),
        (
            {"NUVO_LICENSE_KEY": "k3y", "NUVO_IDENTIFIER": "a", "NUVO_IDENTIFIER_TYPE": "x"},
            ["NUVO_IDENTIFIER_TYPE"],
        ),
        ({"NUVO_ACCESS_TOKEN": "t0ken", "NUVO_BASE_URL": "http://example.com"}, ["NUVO_BASE_URL"]),
    ],
)
def test_from_env_names_the_variables(environ, names):
    with pytest.raises(ConfigurationError) as caught:
        NuvoClient.from_env(environ)
    for name in names:
        assert name in str(caught.value)
    assert "k3y" not in str(caught.value)


async def test_a_failure_that_is_over_is_told_to_nobody(nuvo_server, make_client, license_key):
    """Those who wait for an exchange that goes well get its token, whatever was before."""
    client = make_client(license_key, retry=RetryPolicy(max_attempts=1))
    nuvo_server.add_fault("token", faults.status(500))
    with pytest.raises(ServerError):
        await client.list_executions()
    nuvo_server.add_fault("token", faults.delay(0.1))
    await asyncio.gather(*(client.list_executions() for _ in range(3)))
    assert calls(nuvo_server).count("token") == 2


async def test_a_token_that_came_while_another_was_revoked_is_kept(
    nuvo_server, make_client, license_key
):
    client = make_client(license_key)
    await client.list_executions()
    nuvo_server.add_fault("revoke", faults.delay(0.2))
    revoking = asyncio.create_task(client.revoke_token())
    await asyncio.sleep(0.05)
    nuvo_server.add_fault("list", faults.status(401))  # It is renewed while that is under way.
    await client.list_executions()
    await revoking
    before = calls(nuvo_server).count("token")
    await client.list_executions()
    assert calls(nuvo_server).count("token") == before


@pytest.mark.parametrize(
    "environ",
    [
        {"NUVO_ACCESS_TOKEN": "canary with blanks"},
        {"NUVO_ACCESS_TOKEN": "canary", "NUVO_BASE_URL": "http://elsewhere.example/"},
        {"NUVO_LICENSE_KEY": "canary", "NUVO_IDENTIFIER": "a", "NUVO_IDENTIFIER_TYPE": "X"},
        {"NUVO_LICENSE_KEY": "canary"},
    ],
)
def test_the_variables_of_a_traceback_hold_no_environment(environ):
    """Some tools show them."""
    with pytest.raises(ConfigurationError) as caught:
        NuvoClient.from_env(environ)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    shown = [str(frame.locals) for frame in frames if "/tests/" not in frame.filename]
    assert shown
    assert "canary" not in "".join(shown)

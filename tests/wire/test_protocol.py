"""The pure part of a call: answers → models or errors, without a loop or a socket."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nuvo_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    NuvoError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from nuvo_async.models.executions import States
from nuvo_async.wire import protocol
from nuvo_async.wire.redaction import Redactor
from tests.conftest import payload


def answer(
    body: Any = b"",
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    complete: bool = True,
    secret: str = "s3cret",
) -> protocol.Answer:
    redactor = Redactor()
    redactor.add(secret)
    return protocol.Answer(
        protocol.Request("GET", "execution/65f0"),
        status=status,
        headers=headers or {},
        body=body if isinstance(body, bytes) else msgspec.json.encode(body),
        complete=complete,
        redactor=redactor,
    )


def test_an_execution_is_taken_bare_or_in_an_envelope():
    bare = protocol.parse_execution(answer(payload()), "65f0")
    assert protocol.parse_execution(answer({"data": payload()}), "65f0") == bare
    # Either may get a new field that is named as the other's.
    assert protocol.parse_execution(answer({"data": payload(), "id": "r1"}), "65f0") == bare
    assert protocol.parse_execution(answer(payload(data={"x": 1})), "65f0") == bare


def test_an_execution_beside_data_is_never_mixed_up_with_one_in_it():
    inner = payload(id="other")
    bare = protocol.parse_execution(answer(payload(data=inner)), "65f0")
    assert bare.id == "65f0"
    incomplete = payload(data=payload())
    del incomplete["trigger_type"]
    with pytest.raises(InvalidResponseError, match="trigger_type: is missing"):
        protocol.parse_execution(answer(incomplete), "65f0")
    enveloped = {"data": payload(), "id": "r1", "status": "ok"}
    assert protocol.parse_execution(answer(enveloped), "65f0").id == "65f0"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"data": payload(id="other")}, "data.id"),
        (payload(id="other"), "id"),
        ({"data": None}, "data"),
        ({"data": {**payload(), "id": 5}}, "data.id"),
        ({}, "id"),
        ([], ""),
        (b"", ""),
        (b"null", ""),
        (b'{"data": NaN}', ""),
        (b'{"id": "\\ud800"}', ""),
        (b"[" * 5000, ""),
        ('{"data": "ü"}'.encode("utf-16"), ""),
    ],
)
def test_an_answer_of_another_shape_is_refused_with_its_place(body, where):
    with pytest.raises(InvalidResponseError) as caught:
        protocol.parse_execution(answer(body), "65f0")
    error = caught.value
    assert (error.where, error.method, error.path, error.status) == (
        where,
        "GET",
        "execution/65f0",
        200,
    )
    assert str(error).startswith("GET execution/65f0: invalid answer (200): ")


def test_a_create_for_another_pipeline_is_refused():
    entry = {name: payload()[name] for name in ("id", "pipeline", "status", "trigger_type")}
    assert len(protocol.parse_created(answer({"data": [entry]}), "orders")) == 1
    assert protocol.parse_created(answer({"data": []}), "orders") == []
    with pytest.raises(InvalidResponseError) as caught:
        protocol.parse_created(answer({"data": [entry, {**entry, "pipeline": "x"}]}), "orders")
    assert caught.value.where == "data[1].pipeline"
    with pytest.raises(InvalidResponseError, match="data: is missing"):
        protocol.parse_created(answer({}), "orders")
    with pytest.raises(InvalidResponseError, match="data: expected an array, got null"):
        protocol.parse_created(answer({"data": None}), "orders")


MALFORMED = payload(id="odd", trigger_type=None)
PAGINATION = {"total": 3, "offset": 0, "limit": 50}


def states(*entries: Any, **changes: Any) -> States:
    page = {"data": list(entries), "pagination": PAGINATION, **changes}
    return protocol.parse_states(answer(page))


def test_the_states_of_a_page_are_those_that_parse_page_gives():
    entries = [payload(id="a"), payload(id="b", status="FAILED"), payload(id="c")]
    got = states(*entries)
    page = protocol.parse_page(answer({"data": entries, "pagination": PAGINATION}))
    assert got == States(page.data, count=3, limit=50)
    assert states() == States((), count=0, limit=50)


@pytest.mark.parametrize(
    "entry",
    [MALFORMED, {**MALFORMED, "id": " "}, {**MALFORMED, "id": 5}, {}, None, "a", [payload()], 5],
)
def test_a_malformed_entry_is_left_out(entry):
    got = states(payload(id="a"), entry, payload(id="b", created_at="2026-01-02"))
    assert [one.id for one in got.executions] == ["a", "b"]
    assert got.count == 3
    assert got.limit == 50


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"data": None}, "data"),
        ({"data": {"a": 1}}, "data"),
        ({"pagination": None}, "pagination"),
        ({"pagination": {**PAGINATION, "limit": "50"}}, "pagination.limit"),
    ],
)
def test_a_page_that_is_none_shows_no_states(changes, where):
    with pytest.raises(InvalidResponseError) as caught:
        states(MALFORMED, **changes)
    assert caught.value.where == where


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"data": [', b"null"])
def test_an_answer_that_is_no_page_is_refused_as_parse_page_refuses_it(body):
    messages = []
    for parse in (protocol.parse_page, protocol.parse_states):
        with pytest.raises(InvalidResponseError) as caught:
            parse(answer(body))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("entry", [payload(id="b"), MALFORMED])
def test_states_show_no_secret(entry):
    failed = payload(status="FAILED", error={"message": "key S3CRET is none", "type": "X"})
    got = states(failed, payload(id="c", configuration="of s3cret"), entry)
    assert got.executions[0].error is not None
    assert got.executions[0].error.message == "key [secret] is none"
    assert got.executions[1].configuration == "of [secret]"


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "ü"])
def test_a_token_that_cannot_be_sent_is_refused(token):
    with pytest.raises(InvalidResponseError) as caught:
        protocol.parse_token(answer({"access_token": token}))
    assert caught.value.where == "access_token"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (408, APIError),
        (409, ConflictError),
        (418, APIError),
        (422, BadRequestError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
def test_each_status_has_its_error(status, error):
    with pytest.raises(APIError) as caught:
        protocol.parse_page(answer({"message": "why"}, status=status))
    assert type(caught.value) is error
    assert caught.value.status == status
    assert caught.value.message == "why"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "why"}, "why"),
        ({"message": ["one", "two"]}, "one; two"),
        ({"message": "", "error": "Bad"}, "Bad"),
        ({"error": {"message": "deep"}}, "deep"),
        ({"statusCode": 400}, "Bad Request"),
        ("plain", "plain"),
        (b"", "Bad Request"),
        (b"<html>\n  <b>no</b>\n</html>", "<html> <b>no</b> </html>"),
        ({"message": "x" * 5000}, "x" * 499 + "…"),
        ({"message": 5}, "Bad Request"),
        (b'{"message":' + b"[" * 1000 + b"]" * 1000 + b"}", "Bad Request"),
        (b'{"error":' * 1000 + b"1" + b"}" * 1000, "Bad Request"),
    ],
)
def test_the_servers_text_is_shown_and_cut(body, message):
    with pytest.raises(BadRequestError) as caught:
        protocol.parse_page(answer(body, status=400))
    assert caught.value.message == message
    assert len(caught.value.body) <= 2000


@pytest.mark.parametrize(
    "name", ["X-Request-ID", "X-Correlation-ID", "x-amzn-RequestId", "X-Amzn-Trace-Id"]
)
def test_the_request_id_is_kept(name):
    with pytest.raises(ServerError) as caught:
        protocol.parse_page(answer({}, status=500, headers={name: "r1"}))
    assert caught.value.request_id == "r1"
    assert "r1" in str(caught.value)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_told_and_not_followed(status):
    with pytest.raises(InvalidResponseError, match=r"redirect, to https://elsewhere/"):
        protocol.parse_page(answer(status=status, headers={"Location": "https://elsewhere/"}))


def test_a_body_over_the_limit_is_refused_where_it_matters():
    with pytest.raises(InvalidResponseError, match="over the limit"):
        protocol.parse_page(answer({}, complete=False))
    with pytest.raises(ServerError):
        protocol.parse_page(answer({}, status=500, complete=False))


def test_a_body_that_was_cut_within_a_secret_shows_no_half_of_it():
    with pytest.raises(InvalidResponseError) as caught:
        protocol.parse_page(answer(b'{"message": "my s3cre', complete=False))
    assert "s3" not in str(caught.value)


def test_a_header_that_is_no_text_can_be_shown():
    headers = {"X-Request-ID": "\udcff", "Location": "/\udcff"}
    for status in (302, 500):
        with pytest.raises(NuvoError) as caught:
            protocol.parse_page(answer(status=status, headers=headers))
        str(caught.value).encode()


@pytest.mark.parametrize("status", [101, 199])
def test_a_status_that_is_no_answer_is_said_so(status):
    with pytest.raises(InvalidResponseError, match="a status from 200"):
        protocol.parse_page(answer(status=status))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (" 7 ", 7.0),
        ("9" * 400, float("inf")),
        ("-3", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Wed, 99 Foo 2026", None),
    ],
)
def test_retry_after_in_seconds(value, seconds):
    assert protocol.retry_after(answer(headers={"Retry-After": value})) == seconds


def test_retry_after_as_a_date_is_measured_on_the_servers_clock():
    server_time = datetime(2020, 1, 1, tzinfo=UTC)
    headers = {
        "Date": format_datetime(server_time, usegmt=True),
        "Retry-After": format_datetime(server_time + timedelta(seconds=90), usegmt=True),
    }
    assert protocol.retry_after(answer(headers=headers)) == 90
    headers["Retry-After"] = format_datetime(server_time - timedelta(days=1), usegmt=True)
    assert protocol.retry_after(answer(headers=headers)) == 0


def test_retry_after_as_a_date_without_the_servers_clock():
    later = datetime.now(UTC) + timedelta(seconds=100)
    wanted = protocol.retry_after(answer(headers={"Retry-After": format_datetime(later, True)}))
    assert wanted is not None
    assert 90 < wanted <= 100


@given(st.text())
@example(" ")
@example("0, 0 0 0")
def test_any_date_in_a_header_is_read_or_not_but_never_an_error(text):
    both = answer(headers={"Retry-After": text, "Date": text})
    seconds, time = protocol.retry_after(both), protocol.server_time(both)
    assert seconds is None or seconds >= 0
    assert time is None or time.tzinfo is not None


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        *((200, False), (303, False), (307, True), (400, True), (404, True), (408, False)),
        *((422, True), (429, True), (500, False), (502, False), (503, True), (504, False)),
    ],
)
def test_which_answers_show_that_nothing_was_done(status, refusal):
    assert protocol.is_refusal(answer(status=status)) is refusal


@given(st.binary() | st.text().map(str.encode), st.integers(200, 599))
def test_any_bytes_give_a_model_or_one_of_our_errors(body, status):
    for parse in (
        lambda one: protocol.parse_created(one, "orders"),
        lambda one: protocol.parse_execution(one, "65f0"),
        protocol.parse_page,
        protocol.parse_token,
        protocol.parse_revoked,
    ):
        with pytest.raises(NuvoError):
            parse(answer(body, status=status))


ECHOES = [
    "s3cret/+=?",
    '"s3cret/+=?"',
    "Bearer s3cret/+=? is unknown",
    "s3cret\\/+=?",
    "s3cret%2F%2B%3D%3F",
    "x" * 495 + "s3cret/+=?",
    "x" * 1995 + "s3cret/+=?" * 40,
    "s3cret/+=?" * 700,
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [200, 302, 400, 500])
def test_a_secret_that_the_server_echoes_is_blanked(echo, status):
    one = answer(
        echo.encode(),
        status=status,
        headers={"Location": echo, "X-Request-ID": echo},
        secret="s3cret/+=?",
    )
    with pytest.raises(NuvoError) as caught:
        protocol.parse_page(one)
    assert "s3cret" not in f"{caught.value}{caught.value!r}{caught.value.__dict__}{one!r}"


def test_a_secret_in_the_message_of_a_failed_execution_is_blanked():
    failed = payload(status="FAILED", error={"message": "key s3cret is no key", "type": "X"})
    page = {"data": [failed], "pagination": {"total": 1, "offset": 0, "limit": 1}}
    created = {"data": [failed]}
    for execution in (
        protocol.parse_execution(answer(failed), "65f0"),
        protocol.parse_page(answer(page)).data[0],
        protocol.parse_created(answer(created), "orders")[0],
    ):
        assert execution.error is not None
        assert execution.error.message == "key [secret] is no key"


def test_no_text_of_the_server_steers_a_terminal():
    error = protocol.error_of(
        answer(
            {"message": "\x1b]0;pwned\x07\x1b[2J\u202e no"},
            status=503,
            headers={"X-Request-ID": "a\x01b"},
        )
    )
    assert str(error).isprintable()


@pytest.mark.parametrize("field", ["status", "trigger_type", "configuration", "error", "actor"])
def test_a_secret_in_any_field_of_an_execution_is_blanked(field):
    """What a model holds ends in messages, logs and journals."""
    secret = "a-canary/t0ken"
    changes = {
        "error": {"error": {"message": "no", "type": secret}},
        "actor": {"created_by": {**payload()["created_by"], "name": f"me {secret}"}},
    }
    body = payload(**changes.get(field, {field: secret}))
    got = answer({"data": body})
    got.redactor.add(secret)
    execution = protocol.parse_execution(got, "65f0")
    assert secret not in repr(execution)
    assert "[secret]" in repr(execution)


def test_a_secret_is_no_id():
    body = {"id": "a-canary-t0ken", "pipeline": "orders", "status": "PROCESSING"}
    got = answer({"data": [{**body, "trigger_type": "MANUAL"}]})
    got.redactor.add("a-canary-t0ken")
    with pytest.raises(InvalidResponseError, match=r"data\[0\].id: expected an id, got a secret"):
        protocol.parse_created(got, "orders")


@pytest.mark.parametrize("secret", ["123456", "pipeline", "SUCCESSFUL"])
def test_a_secret_that_is_a_word_or_a_number_spoils_no_answer(secret):
    """It is blanked where it is a text, and nowhere else."""
    json = payload()
    json["logs"][0]["data"]["total_rows"] = 1_234_567
    got = answer({"data": json}, secret=secret)
    execution = protocol.parse_execution(got, "65f0")
    assert execution.logs[0].data is not None
    assert execution.logs[0].data.total_rows == 1_234_567


def test_a_secret_in_other_letters_is_blanked_in_what_failed():
    json = payload(status="FAILED", error={"message": "no key 6f9619ff-8b86", "type": "X"})
    got = answer({"data": json}, secret="6F9619FF-8B86")
    execution = protocol.parse_execution(got, "65f0")
    assert execution.error is not None
    assert execution.error.message == "no key [secret]"

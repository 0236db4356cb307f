"""An answer that cannot be read says what is wrong with it, and is never mistaken for silence."""

import asyncio
import gzip
import pickle
from contextlib import asynccontextmanager

import pytest

from nuvo_async import (
    CreateOutcomeUnknownError,
    InvalidResponseError,
    NuvoClient,
    RetryPolicy,
    TransportError,
)
from nuvo_async.testing import faults
from tests.fronts import listening

PAGE = b'{"data": [], "pagination": {"total": 0, "offset": 0, "limit": 1}}'


def answer(body=PAGE, *headers, status=b"200 OK"):
    """An answer to the byte."""
    head = [b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


UNREADABLE = {
    "a long header": (answer(PAGE, b"X-Long: " + b"x" * 9000), "longer than 8190 bytes"),
    "a long name": (answer(PAGE, b"X" * 9000 + b": x"), "longer than 8190 bytes"),
    "a long reason": (answer(status=b"200 " + b"O" * 9000), "status line or a header is longer"),
    "too many headers": (answer(PAGE, *[b"X: y"] * 300), "too many headers"),
    "br": (answer(PAGE, b"Content-Encoding: br"), r"cannot be decoded \(Content-Encoding: br\)"),
    "no gzip": (answer(PAGE, b"Content-Encoding: gzip"), "Content-Encoding: gzip"),
    "gzip, and more": (
        answer(gzip.compress(PAGE) + b"more", b"Content-Encoding: gzip"),
        "Content-Encoding: gzip",
    ),
    "bytes after the body": (answer() + b"and more", "more bytes follow its body"),
    "a refusal, and bytes after it": (answer(b"{}", status=b"403 No") + b"!", "more bytes follow"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "it is not HTTP"),
    "no status": (b"HTTP/1.1 two hundred\r\n\r\n", "it is not HTTP"),
    "two lengths": (answer(PAGE, b"Content-Length: 5"), "Duplicate Content-Length"),
    "a negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}", "Content-Length"),
    "length and chunks": (
        answer(PAGE, b"Transfer-Encoding: chunked"),
        "Content-Length can't be present with",
    ),
    "no chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "chunk size"),
    "a control character": (answer(PAGE, b"X-\x01: y"), "Invalid header token"),
}
unreadable = pytest.mark.parametrize(("raw", "words"), UNREADABLE.values(), ids=UNREADABLE)


@asynccontextmanager
async def answering(*answers, attempts=1):
    """A client of a server that gives these answers, the last of them again and again."""
    left = list(answers)

    async def handle(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            await reader.readuntil(b"}")
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    async with listening(handle) as port:
        retry = RetryPolicy(max_attempts=attempts, base_delay=0.01)
        async with NuvoClient("t0ken", base_url=f"http://127.0.0.1:{port}/", retry=retry) as client:
            yield client


@unreadable
async def test_an_answer_that_cannot_be_read_says_what_is_wrong(raw, words):
    async with answering(raw) as client:
        with pytest.raises(InvalidResponseError, match=words) as caught:
            await client.list_executions()
    error = caught.value
    assert error.transient == (error.status is not None)
    assert (error.method, error.path) == ("GET", "execution/")
    assert error.__cause__ is None or "Content-Encoding" in words
    for shown in ("xxxx", "XXXX", "OOOO", "OpenSSH", "two hundred", "and more"):
        assert shown not in f"{error}{error!r}{error.__cause__!r}"


@unreadable
async def test_a_read_is_tried_again_after_an_answer_that_cannot_be_read(raw, words):
    async with answering(raw, answer(), attempts=2) as client:
        assert (await client.list_executions()).data == ()


@unreadable
async def test_a_create_whose_answer_cannot_be_read_is_an_unknown_outcome(raw, words):
    async with answering(raw, answer(), attempts=2) as client:
        with pytest.raises(CreateOutcomeUnknownError) as caught:
            await client.create_execution("orders")
    assert caught.value.candidates_read
    assert isinstance(caught.value.__cause__, InvalidResponseError)
    assert "POST execution/: invalid answer" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nX-Echo: s3cret-header\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nX-Echo: s3cret-header\r\nContent-Length: 9\r\n\r\n{",
        b"HTTP/1.1 100 Continue\r\nX-Echo: s3cret-header\r\n\r\n",
    ],
    ids=["head", "body", "100 alone"],
)
async def test_an_answer_that_breaks_off_is_none_and_shows_no_header(raw):
    async with answering(raw) as client:
        with pytest.raises(TransportError, match="no answer: the connection was closed") as caught:
            await client.list_executions()
    assert "s3cret" not in f"{caught.value}{caught.value.__cause__!r}"


TRANSIENT = {
    "empty": faults.body(b""),
    "204": faults.body(b"", code=204),
    "cut": faults.not_json(),
    "HTML": faults.html_page(200),
    "Latin-1": faults.body('{"é": 1}'.encode("latin-1")),
    "no gzip": faults.body(b"{}", headers={"Content-Encoding": "gzip"}),
}
LASTING = {
    "another shape": faults.body("[]"),
    "null": faults.body("null"),
    "a redirect": faults.redirect("https://elsewhere.example/"),
    "over the limit": faults.gzip_bomb(200_000),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
async def test_an_answer_without_json_is_transient(nuvo_server, make_client, fault):
    nuvo_server.add_fault("list", fault)
    with pytest.raises(InvalidResponseError) as caught:
        await make_client(retry=RetryPolicy(max_attempts=1)).list_executions()
    assert caught.value.transient
    assert caught.value.status in {200, 204}
    assert pickle.loads(pickle.dumps(caught.value)).transient


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
async def test_json_of_another_shape_is_not_transient(nuvo_server, make_client, fault):
    nuvo_server.add_fault("list", fault)
    with pytest.raises(InvalidResponseError) as caught:
        await make_client(max_body_size=100_000).list_executions()
    assert not caught.value.transient


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
async def test_an_informational_answer_is_followed_by_the_proper_one(status):
    async with answering(b"HTTP/1.1 " + status + b"\r\nLink: </a>\r\n\r\n" + answer()) as client:
        assert (await client.list_executions()).data == ()


async def test_of_two_answers_at_once_the_second_is_not_taken_for_the_next_request():
    first = b'{"data": [], "pagination": {"total": 1, "offset": 0, "limit": 1}}'
    async with answering(answer(first) + answer(), answer(first)) as client:
        for _ in range(2):
            assert (await client.list_executions()).pagination.total == 1


async def test_of_two_retry_after_headers_the_first_counts():
    refused = answer(b"{}", b"Retry-After: 0.01", b"Retry-After: 9999", status=b"429 No")
    async with answering(refused, answer(), attempts=2) as client:
        async with asyncio.timeout(10):
            await client.list_executions()

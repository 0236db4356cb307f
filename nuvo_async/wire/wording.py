"""Explains an exception of aiohttp in plain words, with what to check."""

import errno
import os
import re
from collections.abc import Iterator
from http import HTTPStatus

import aiohttp
from aiohttp import http_exceptions

__all__ = ["CHECK_ADDRESS", "chain", "is_of_proxy", "problem_of", "shown", "text_of", "unreadable"]

CHECK_ADDRESS = (
    "check the base_url (scheme, host and port), and whether this network needs a VPN or a proxy"
)
_CHECK_PROXY = "check the proxy settings"
_CHECK_CERTIFICATES = (
    "check the base_url, the clock of this machine, and the authorities that it, or your session,"
    " trusts"
)
_REASONS = {
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was closed",
    errno.ETIMEDOUT: "it does not respond",
    errno.EHOSTUNREACH: "there is no route to it",
    errno.ENETUNREACH: "there is no network that leads to it",
    errno.EADDRNOTAVAIL: "no local port is free",
}
_OUT_OF_FILES = {errno.EMFILE, errno.ENFILE}
_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
_ENCODING = re.compile(r"\b(gzip|deflate|br|zstd)\b")
# The parser's reasons are fixed texts. They are followed by data from the server.
_PARSER_REASON = re.compile(r"([A-Z][A-Za-z ,'-]+):\n")
# Credentials of a proxy, and headers of an answer that was cut off.
_NOT_TO_BE_SHOWN = re.compile(r"BasicAuth\(|//[^/\s'\"]*:[^/\s'\"]*@|RawResponseMessage\(")


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and then its causes."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def shown(cause: BaseException) -> str | None:
    """The text of an exception and its causes; `None` if it has headers or a proxy password."""
    links = tuple(chain(cause))
    # Response errors show the headers of the request.
    if any(isinstance(link, aiohttp.ClientResponseError) for link in links):
        return None
    text = "".join(f"{link}{link!r}" for link in links)
    return None if _NOT_TO_BE_SHOWN.search(text) else text


def text_of(cause: BaseException) -> str:
    """The name of an exception, and its own text if that may be shown."""
    name = type(cause).__name__
    return f"{name}: {cause}" if str(cause) and shown(cause) is not None else name


def is_of_proxy(cause: BaseException) -> bool:
    """Whether the exception is about a proxy's answer to a request for a tunnel."""
    if not isinstance(cause, aiohttp.ClientResponseError):
        return False
    return cause.request_info.method == "CONNECT"


def unreadable(cause: BaseException) -> str | None:
    """What is wrong with an answer that cannot be read; `None` if there was no answer."""
    if is_of_proxy(cause):
        return None
    is_parsed = isinstance(cause, aiohttp.ClientResponseError)
    problem = None
    for link in chain(cause):
        if isinstance(link, http_exceptions.BadHttpMessage):
            problem = _malformed(link) or problem
        elif isinstance(link, http_exceptions.HttpProcessingError) and is_parsed:
            problem = "it is malformed HTTP"
    return problem


def _malformed(error: http_exceptions.BadHttpMessage) -> str | None:
    # The message may contain headers or a part of the body, so it is not shown.
    if isinstance(error, http_exceptions.LineTooLong):
        sizes = [f"{one} bytes" for one in error.args if isinstance(one, int)]
        return (
            f"its status line or a header is longer than {sizes[0] if sizes else 'aiohttp reads'};"
            " a session of your own may allow more (max_line_size, max_field_size)"
        )
    if isinstance(error, http_exceptions.ContentEncodingError):
        named = _ENCODING.search(error.message)
        return f"its body cannot be decoded (Content-Encoding: {named[1] if named else 'unknown'})"
    if isinstance(error, http_exceptions.BadStatusLine):
        return "it is not HTTP, or more bytes follow its body"
    if error.message == "Too many headers received":
        return "it has too many headers"
    reason = _PARSER_REASON.match(error.message)
    return f"it is malformed HTTP ({reason[1]})" if reason else None


def problem_of(cause: BaseException) -> str:
    """Why there was no answer."""
    if _is_out_of_files(cause):
        return (
            "this process has too many open files; close some, raise the limit (ulimit -n),"
            " or lower max_concurrency"
        )
    match cause:
        case aiohttp.ClientConnectorError():
            return _no_connection(cause)
        case aiohttp.ServerFingerprintMismatch():
            return f"the certificate of {cause.host}:{cause.port} is not the one that is expected"
        case aiohttp.ClientHttpProxyError():
            status = f"{cause.status} {_phrase(cause.status)}".rstrip()
            return f"the proxy refused to connect ({status}); {_CHECK_PROXY}, and its credentials"
        case aiohttp.ClientResponseError() if is_of_proxy(cause):
            return f"the proxy does not answer in HTTP; {_CHECK_PROXY}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer came"
        case aiohttp.ClientPayloadError():
            return "the connection was closed before the answer was complete"
        case OSError() if cause.errno in _REASONS:
            return _REASONS[cause.errno]
    return text_of(cause)


def _is_out_of_files(cause: BaseException) -> bool:
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        # The system's resolver does not report that it could not open a file. So this tries it.
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            return error.errno in _OUT_OF_FILES
    return isinstance(cause, OSError) and cause.errno in _OUT_OF_FILES


def _no_connection(cause: aiohttp.ClientConnectorError) -> str:
    place, reason = f"{cause.host}:{cause.port}", _reason(cause)
    match cause:
        case aiohttp.ClientProxyConnectionError():
            return f"no connection to the proxy at {place} ({reason}); {_CHECK_PROXY}"
        case aiohttp.ClientConnectorDNSError():
            return f"no address for the host {cause.host} ({reason}); {CHECK_ADDRESS}"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {place} is not valid ({reason}); {_CHECK_CERTIFICATES}"
    return f"no connection to {place} ({reason}); {CHECK_ADDRESS}"


def _reason(cause: aiohttp.ClientConnectorError) -> str:
    error = cause.os_error
    if verification := getattr(error, "verify_message", None):
        return str(verification).rstrip(".")
    if getattr(error, "reason", None) in _NO_TLS:
        return "it does not speak TLS"
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in {one.value for one in HTTPStatus} else ""

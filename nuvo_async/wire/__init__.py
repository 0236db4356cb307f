"""One call of the Execution API: from arguments to a request, from an answer to a model or error.

This package handles tokens, retries, backpressure, HTTP and the redaction of secrets. It does not
wait for executions to end.

Other packages import only the names in this file's `__all__`.
"""

from nuvo_async.wire.api import ExecutionAPI
from nuvo_async.wire.connection import DEFAULT_BASE_URL, connect
from nuvo_async.wire.credentials import AccessToken, LicenseKey, credentials_from_env
from nuvo_async.wire.lifetime import Lifetime
from nuvo_async.wire.pages import iterate
from nuvo_async.wire.protocol import Hooks, Request
from nuvo_async.wire.query import QueryKeywords, filter_query, list_query
from nuvo_async.wire.redaction import printable
from nuvo_async.wire.retry import RetryPolicy
from nuvo_async.wire.sending import Body
from nuvo_async.wire.transport import checked_base_url

__all__ = [
    "DEFAULT_BASE_URL",
    "AccessToken",
    "Body",
    "ExecutionAPI",
    "Hooks",
    "LicenseKey",
    "Lifetime",
    "QueryKeywords",
    "Request",
    "RetryPolicy",
    "checked_base_url",
    "connect",
    "credentials_from_env",
    "filter_query",
    "iterate",
    "list_query",
    "printable",
]

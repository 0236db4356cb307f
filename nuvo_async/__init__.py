"""An async SDK for the Execution API of nuvo (now Ingestro) data pipelines.

    async with NuvoClient.from_env() as client:
        for execution in await client.create_execution("my-pipeline"):
            finished = await client.wait_for_completion(execution, timeout=600)

Start with `NuvoClient`; `nuvo_async.converter` turns models into JSON and back, and
`nuvo_async.testing` is a server to test against.

To read the code, follow a call down one staircase:

    client     `NuvoClient`, with a short method for each thing to do
    batches    many executions or pipelines at once, and the journal
    waiting    when to ask about an execution, and what the answer means
    wire       one call of the API: token, retries, throttle, HTTP, secrets
    models     executions, errors, and JSON ⇄ models

Imports run down only. Each package has one door, its `__init__`, which says what the package is
for, what never belongs there, and what the others may use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from nuvo_async.models import (
    Actor,
    ActorType,
    APIError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    CreateOutcomeUnknownError,
    DestinationError,
    DestinationSizeLimitError,
    DestinationUnresponsiveError,
    ErrorDetail,
    ErrorThresholdExceededError,
    ErrorType,
    Execution,
    ExecutionFailedError,
    ExecutionPage,
    ExecutionRun,
    ExecutionsFailed,
    ExecutionStatus,
    InvalidResponseError,
    JournalError,
    NotFoundError,
    NuvoError,
    Pagination,
    ParsingFailureError,
    PermissionDeniedError,
    PipelineRun,
    RateLimitError,
    RequestTimeoutError,
    RunData,
    RunType,
    ServerError,
    SourceDataEmptyError,
    SourceError,
    SourceUnresponsiveError,
    TransportError,
    TriggerType,
    WaitOutageError,
    WaitTimeoutError,
    WriteFileFailureError,
)
from nuvo_async.version import __version__

if TYPE_CHECKING:
    from nuvo_async.client import NuvoClient
    from nuvo_async.waiting import PollPolicy
    from nuvo_async.wire import AccessToken, LicenseKey, RetryPolicy
else:
    # aiohttp and asyncio take longer to import than everything else here. `nuvo-async --help` and
    # programs that only read models do without them.
    _LATE = {
        "AccessToken": "nuvo_async.wire",
        "LicenseKey": "nuvo_async.wire",
        "NuvoClient": "nuvo_async.client",
        "PollPolicy": "nuvo_async.waiting",
        "RetryPolicy": "nuvo_async.wire",
    }

    def __getattr__(name: str) -> object:
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_LATE[name]), name)
        return value


__all__ = [
    "APIError",
    "AccessToken",
    "Actor",
    "ActorType",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "CreateOutcomeUnknownError",
    "DestinationError",
    "DestinationSizeLimitError",
    "DestinationUnresponsiveError",
    "ErrorDetail",
    "ErrorThresholdExceededError",
    "ErrorType",
    "Execution",
    "ExecutionFailedError",
    "ExecutionPage",
    "ExecutionRun",
    "ExecutionStatus",
    "ExecutionsFailed",
    "InvalidResponseError",
    "JournalError",
    "LicenseKey",
    "NotFoundError",
    "NuvoClient",
    "NuvoError",
    "Pagination",
    "ParsingFailureError",
    "PermissionDeniedError",
    "PipelineRun",
    "PollPolicy",
    "RateLimitError",
    "RequestTimeoutError",
    "RetryPolicy",
    "RunData",
    "RunType",
    "ServerError",
    "SourceDataEmptyError",
    "SourceError",
    "SourceUnresponsiveError",
    "TransportError",
    "TriggerType",
    "WaitOutageError",
    "WaitTimeoutError",
    "WriteFileFailureError",
    "__version__",
]


def __dir__() -> list[str]:
    return __all__

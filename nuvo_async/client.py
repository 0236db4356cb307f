"""`NuvoClient`: the Execution API, and waiting for executions, behind one object."""

import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Literal, Self

import aiohttp
from yarl import URL

from nuvo_async import arguments
from nuvo_async.batches.journal import Journal
from nuvo_async.batches.runs import PipelineBatch, Put, stream, wait_for_all
from nuvo_async.models.errors import ConfigurationError
from nuvo_async.models.executions import Execution, ExecutionPage, PipelineRun, failures_of
from nuvo_async.waiting.policy import PollPolicy
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import WaitOptions
from nuvo_async.wire.api import ExecutionAPI
from nuvo_async.wire.attempts import Dispatcher
from nuvo_async.wire.auth import Authorizer
from nuvo_async.wire.credentials import AccessToken, LicenseKey, credentials_from_env
from nuvo_async.wire.lifetime import Lifetime
from nuvo_async.wire.pages import iterate
from nuvo_async.wire.query import list_query
from nuvo_async.wire.redaction import Redactor
from nuvo_async.wire.retry import RetryPolicy
from nuvo_async.wire.throttle import Throttle
from nuvo_async.wire.transport import Transport, checked_base_url

__all__ = ["NuvoClient"]

DEFAULT_BASE_URL = "https://api-gateway.getnuvo.com/dp/api/v1/"
Direction = Literal["asc", "desc"]


class NuvoClient:
    """An async client of nuvo's (now Ingestro's) Execution API.

    Make one for each event loop, use it from any number of tasks, and close it, best by
    `async with`. A process that was forked cannot use it, unless it was not used before. Times are
    seconds.

    Args:
        credentials: an access token, as `str` or `AccessToken`, or a `LicenseKey`.
        base_url: where the API is; https, or http to this machine.
        session: a session of your own (for proxies, TLS, tracing). It is never closed here, and
            its cookie jar is its own. With `trust_env` it takes proxies from the environment, and
            no credentials for the API from `.netrc`. By default one is made when needed, which
            keeps no cookies and takes nothing from the environment.
        request_timeout: for one attempt at a request, from connecting to the last byte.
        retry: how requests that may be sent again are tried again.
        poll: how waits poll, unless they are given a policy of their own.
        max_concurrency: requests in flight at once. More of them queue, which is no timeout.
        max_body_size: bytes of an answer, decompressed, beyond which it is an
            `InvalidResponseError`.

    Raises:
        ConfigurationError: a `base_url` that cannot be used.
        TypeError, ValueError: any other argument that is wrong.
    """

    def __init__(
        self,
        credentials: str | AccessToken | LicenseKey,
        *,
        base_url: str | URL = DEFAULT_BASE_URL,
        session: aiohttp.ClientSession | None = None,
        request_timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),
        poll: PollPolicy = PollPolicy(),
        max_concurrency: int = 100,
        max_body_size: int = 64 * 1024 * 1024,
    ) -> None:
        if isinstance(credentials, str):
            credentials = AccessToken(credentials)
        arguments.instance("credentials", credentials, AccessToken, LicenseKey)
        arguments.instance("retry", retry, RetryPolicy)
        self._poll = arguments.instance("poll", poll, PollPolicy)
        self._lifetime = Lifetime(has_connections=session is not None)
        redactor = Redactor()
        self._transport = Transport(
            checked_base_url(base_url),
            session=_checked_session(session),
            request_timeout=arguments.number("request_timeout", request_timeout, positive=True),
            max_body_size=arguments.integer("max_body_size", max_body_size, minimum=1),
            lifetime=self._lifetime,
            redactor=redactor,
        )
        arguments.integer("max_concurrency", max_concurrency, minimum=1)
        max_concurrency = min(max_concurrency, _connection_limit(session))
        dispatcher = Dispatcher(self._transport, retry, Throttle(max_concurrency))
        self._authorizer = Authorizer(credentials, dispatcher, redactor)
        self._api = ExecutionAPI(self._authorizer)
        self._poller = Poller(self._api, max_concurrency)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """Make a client from environment variables; `options` are those of the class.

        `environ` is `os.environ` unless given.

        `NUVO_ACCESS_TOKEN`, or `NUVO_LICENSE_KEY` and `NUVO_IDENTIFIER` (with
        `NUVO_IDENTIFIER_TYPE`, `USER` or `SUB_ORG`, where it is no user); and `NUVO_BASE_URL`.
        Raises `ConfigurationError`, which names what is missing or wrong.
        """
        if environ is None:  # As a default, help() would show it, secrets and all.
            environ = os.environ
        try:
            credentials = credentials_from_env(environ)
            if "base_url" not in options and (base_url := environ.get("NUVO_BASE_URL")):
                options["base_url"] = checked_base_url(base_url, "NUVO_BASE_URL")
            return cls(credentials, **options)
        except ConfigurationError as error:
            problem = error.with_traceback(None)
        # Some tools show the variables of a traceback's frames, and here they are secrets.
        del environ, options
        raise problem

    async def __aenter__(self) -> Self:
        self._lifetime.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the client. Calls and waits under way end with `ClientClosedError`.

        Executions go on remotely. Closing twice is no error: where the first call was cancelled,
        or still goes on, the second waits until all connections are closed. A session that was
        passed in stays open. In a process that was forked, it leaves the connections alone.
        """
        if self._lifetime.is_inherited or (self._lifetime.closed and self._transport.is_closed):
            return
        self._lifetime.bind()
        self._lifetime.closed = True
        self._lifetime.end(own=False)
        await self._transport.close()
        # Where a wait's own callback closes the client, its wait must not cut the closing short.
        self._lifetime.end(own=True)

    async def create_execution(self, pipeline_id: str) -> list[Execution]:
        """Create: start a run of a pipeline, and return its executions without waiting for them.

        That is one execution for HTTP(S) and e-mail inputs, and one for each file, possibly none,
        for (S)FTP and S3. It is sent again only where the first cannot have been received.

        Raises:
            CreateOutcomeUnknownError: it was sent, and no clear answer came.
            InvalidResponseError: it was answered with a redirect, and so not acted on.
            APIError: it was refused (`NotFoundError`: no such pipeline).
            TransportError: nothing was sent, as no connection could be made.
            ConfigurationError: nothing was sent, as a proxy setting or a header is wrong.
        """
        with self._lifetime.inside():
            return await self._api.create(pipeline_id)

    async def get_execution(self, execution_id: str) -> Execution:
        """Read by ID: one execution, with its logs.

        Raises `APIError` (`NotFoundError`: no such execution), `TransportError` where no answer
        came after the retries, `InvalidResponseError`.
        """
        with self._lifetime.inside():
            return await self._api.read(execution_id)

    async def list_executions(
        self,
        *,
        pipeline_id: str | None = None,
        status: str | None = None,
        trigger_type: str | None = None,
        filters: Mapping[str, object] | None = None,
        sort: Mapping[str, Direction] | None = None,
        options: Mapping[str, object] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> ExecutionPage:
        """Read all: one page, by one request. Executions in it have no logs or configuration.

        Args:
            pipeline_id: short for `filters={"pipeline": ...}`.
            status: short for `filters={"status": ...}`.
            trigger_type: short for `filters={"trigger_type": ...}`.
            filters: fields to values, or to operators: `{"created_at": {"$gte": day}}`. The
                operators are `$eq`, `$ne`, `$in`, `$gt`, `$gte`, `$lt`, `$lte`.
            sort: fields to `"asc"` or `"desc"`; a dot reaches into a field (`created_by.name`).
            options: further options of the API, such as `{"attach_meta": True}`.
            limit: at most so many; the API may give fewer.
            offset: skip so many.

        Raises what `get_execution` raises.
        """
        query = list_query(
            pipeline_id=pipeline_id,
            status=status,
            trigger_type=trigger_type,
            filters=filters,
            sort=sort,
            options=options,
            limit=limit,
            offset=offset,
        )
        with self._lifetime.inside():
            return await self._api.read_all(query)

    def iter_executions(
        self,
        *,
        pipeline_id: str | None = None,
        status: str | None = None,
        trigger_type: str | None = None,
        filters: Mapping[str, object] | None = None,
        sort: Mapping[str, Direction] | None = None,
        options: Mapping[str, object] | None = None,
        page_size: int = 100,
        max_items: int | None = None,
    ) -> AsyncIterator[Execution]:
        """Read all: every execution that matches, page by page, each once.

        The arguments are those of `list_executions`, and `page_size` executions are asked for at a
        time, until `max_items` were yielded or there are no more. The API's `total` is not
        trusted. Wrong arguments are refused by the call itself; what `get_execution` raises comes
        out of the iteration.
        """
        arguments.integer("page_size", page_size, minimum=1)
        if max_items is not None:
            arguments.integer("max_items", max_items, minimum=0)
        # Written now, to refuse it now, and whatever becomes of the caller's mappings.
        query = list_query(
            pipeline_id=pipeline_id,
            status=status,
            trigger_type=trigger_type,
            filters=filters,
            sort=sort,
            options=options,
        )

        async def read_page(limit: int, offset: int) -> ExecutionPage:
            page = list_query(limit=limit, offset=offset)
            with self._lifetime.inside():
                return await self._api.read_all(f"{query}&{page}" if query else page)

        return iterate(read_page, page_size=page_size, max_items=max_items)

    async def wait_for_completion(
        self,
        execution: Execution | str,
        *,
        raise_on_failure: bool = True,
        timeout: float | None = None,
        poll: PollPolicy | None = None,
        with_logs: bool = True,
        on_poll: Callable[[Execution], object] | None = None,
    ) -> Execution:
        """Wait until an execution is SUCCESSFUL or FAILED, and return it.

        It is asked for at least once, also if it was finished when passed in: it may have been
        taken up again. Trouble that may pass (no answer, one without JSON, 408, 429, 5xx, a 404 at
        first) does not end the wait. Ending the wait in any way does not end the execution.

        Args:
            execution: an execution, or its id.
            raise_on_failure: raise for a FAILED one; otherwise it is returned like any other.
            timeout: for the whole wait, requests and retries included; `None` is no limit, and
                with 0 no answer can come in time.
            poll: how to poll, if not as the client does.
            with_logs: return `logs` and `configuration`. `False` saves a request for each of many
                executions: it may then be returned as a listing shows it, without them.
            on_poll: called, or awaited, with each state that was read. What it raises comes out.

        Raises:
            ExecutionFailedError: it FAILED; the subclass tells why.
            WaitTimeoutError: the time is over, and it was not finished when last read.
            WaitOutageError: without a `timeout`, after `PollPolicy.max_outage` without a reading.
            APIError: it was refused for good (401, 403, 404 later on).
            ClientClosedError: the client was closed meanwhile.
        """
        options = self._wait_options(timeout, poll, with_logs, on_poll)
        wait = options.wait_for(_checked_execution("execution", execution))
        with self._lifetime.inside():
            finished = await self._poller.wait(wait)
        if raise_on_failure:
            finished.raise_for_failure()
        return finished

    def as_completed(
        self,
        executions: Iterable[Execution | str],
        *,
        timeout: float | None = None,
        poll: PollPolicy | None = None,
        with_logs: bool = True,
        on_poll: Callable[[Execution], object] | None = None,
    ) -> AsyncGenerator[Execution]:
        """Yield executions, or those with these ids, in the order in which they finish.

        Those that FAILED are yielded like any other. The options are those of
        `wait_for_completion`; `timeout` is for all of them together, from the first step on.
        Leaving the iterator stops the waiting, but not the executions: where it may be left early,
        `contextlib.aclosing` makes that happen at once.

        Raises:
            WaitTimeoutError: the time is over; `pending` are the rest, `finished` those that ended.
            WaitOutageError, APIError: what ends the wait for one of them ends the iterator.
            ClientClosedError: the client was closed meanwhile.
        """
        options = self._wait_options(timeout, poll, with_logs, on_poll)
        checked = _checked_executions(executions)

        async def work(put: Put[Execution]) -> None:
            await wait_for_all(self._poller, list(map(options.wait_for, checked)), put)

        return stream(self._lifetime, work, most=max(len(checked), 1))

    async def wait_for_all(
        self,
        executions: Iterable[Execution | str],
        *,
        raise_on_failure: bool = True,
        timeout: float | None = None,
        poll: PollPolicy | None = None,
        with_logs: bool = True,
        on_poll: Callable[[Execution], object] | None = None,
    ) -> list[Execution]:
        """Wait until all executions have ended, and return them in the order given.

        The options are those of `wait_for_completion`; `timeout` is for all of them together.

        Raises:
            ExecutionsFailed: all have ended, and some FAILED; all of them are in it.
            WaitTimeoutError: the time is over; `pending` are the rest, `finished` those that ended.
            WaitOutageError, APIError: what ends the wait for one of them ends it for all.
            ClientClosedError: the client was closed meanwhile.
        """
        options = self._wait_options(timeout, poll, with_logs, on_poll)
        checked = _checked_executions(executions)
        with self._lifetime.inside():
            finished = await wait_for_all(self._poller, list(map(options.wait_for, checked)))
        return _without_failures(finished) if raise_on_failure else finished

    async def run_pipeline(
        self,
        pipeline_id: str,
        *,
        timeout: float | None = None,
        poll: PollPolicy | None = None,
        with_logs: bool = True,
        on_poll: Callable[[Execution], object] | None = None,
    ) -> list[Execution]:
        """Create, and wait for every execution that was created; return them, possibly none.

        The options are those of `wait_for_completion`; `timeout` begins when they are created.
        Raises `ExecutionsFailed` where some FAILED, and what `create_execution` and `wait_for_all`
        raise.
        """
        options = self._wait_options(timeout, poll, with_logs, on_poll)
        with self._lifetime.inside():
            created = await self._api.create(pipeline_id)
            finished = await wait_for_all(self._poller, list(map(options.wait_for, created)))
        return _without_failures(finished)

    def run_pipelines(
        self,
        pipeline_ids: Iterable[str],
        *,
        concurrency: int | None = None,
        journal: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        poll: PollPolicy | None = None,
        with_logs: bool = True,
        on_start: Callable[[str, list[Execution]], object] | None = None,
        on_poll: Callable[[Execution], object] | None = None,
    ) -> AsyncGenerator[PipelineRun]:
        """Run many pipelines, and yield each as it ends. One that fails is yielded with its error.

        Leaving the iterator stops triggering and waiting, but not the executions under way.

        Args:
            pipeline_ids: what to run. One that is listed twice is run twice.
            concurrency: pipelines under way at once; `None` is all of them.
            journal: a file that keeps what was done, so that a crash loses nothing. Run again with
                the same list and file: finished pipelines are reported again, those under way are
                waited for, those not started or clearly refused are started, and those whose
                Create was cut off are reported as `CreateOutcomeUnknownError`. The format is
                documented in `nuvo_async.batches.journal`.
            timeout: for the wait for each pipeline, once its executions are created.
            poll: as in `wait_for_completion`.
            with_logs: as in `wait_for_completion`.
            on_start: called, or awaited, with the id of a pipeline and the executions that were
                created, when they were, or when the journal tells of them. What it raises comes
                out here.
            on_poll: as in `wait_for_completion`; what it raises comes out here.

        Raises:
            JournalError: the journal cannot be used; its `executions` are what had been started.
            ClientClosedError: the client was closed meanwhile.
        """
        ids = arguments.strings("pipeline_ids", pipeline_ids)
        if concurrency is None:
            concurrency = max(len(ids), 1)
        batch = PipelineBatch(
            self._api,
            self._poller,
            self._wait_options(timeout, poll, with_logs, on_poll),
            ids,
            concurrency=min(arguments.integer("concurrency", concurrency, minimum=1), len(ids)),
            journal=None if journal is None else Journal(arguments.path("journal", journal), ids),
            on_start=arguments.callback("on_start", on_start),
        )
        return stream(self._lifetime, batch.run, most=concurrency)

    def _wait_options(
        self,
        timeout: float | None,
        poll: PollPolicy | None,
        with_logs: bool,  # noqa: FBT001 - passed on as it came
        on_poll: Callable[[Execution], object] | None,
    ) -> WaitOptions:
        return WaitOptions(
            policy=self._poll if poll is None else arguments.instance("poll", poll, PollPolicy),
            timeout=None if timeout is None else arguments.number("timeout", timeout),
            with_logs=with_logs,
            on_poll=arguments.callback("on_poll", on_poll),
        )

    async def revoke_token(self) -> None:
        """Revoke: make the access token in use worthless. If there is none, nothing is sent.

        With a `LicenseKey`, the next call exchanges it for a new token.
        """
        with self._lifetime.inside():
            await self._authorizer.revoke()


def _checked_execution(name: str, execution: Execution | str) -> Execution | str:
    if isinstance(execution, Execution):
        arguments.path_segment(f"{name}.id", execution.id)
        if execution.updated_at is not None and execution.updated_at.tzinfo is None:
            raise ValueError(f"{name}.updated_at must be an aware datetime, with a time zone")
        return execution
    if not isinstance(execution, str):
        raise TypeError(f"{name} must be an Execution or its id, not {type(execution).__name__}")
    return arguments.path_segment(name, execution)


def _checked_executions(executions: Iterable[Execution | str]) -> list[Execution | str]:
    listed = arguments.listed("executions", executions)
    return [_checked_execution(f"executions[{n}]", one) for n, one in enumerate(listed)]


def _without_failures(executions: list[Execution]) -> list[Execution]:
    if failed := failures_of(executions):
        raise failed
    return executions


def _checked_session(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession | None:
    if session is None:
        return None
    arguments.instance("session", session, aiohttp.ClientSession)
    if session.auth is not None:
        raise ConfigurationError(
            "session must have no auth of its own: the client sets Authorization"
        )
    if own := [name for name in ("Authorization", "access_token") if name in session.headers]:
        raise ConfigurationError(
            f"session must have no default header {' or '.join(own)}: it would be sent with calls"
            " that must not have it"
        )
    return session


def _connection_limit(session: aiohttp.ClientSession | None) -> int:
    """How many connections the session allows: waiting for one would eat a request's time."""
    connector = None if session is None else session.connector
    if connector is None:
        return sys.maxsize
    return min(limit or sys.maxsize for limit in (connector.limit, connector.limit_per_host))

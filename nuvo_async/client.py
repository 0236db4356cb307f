"""`NuvoClient`: the Execution API, and waiting for executions, behind one object."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from typing import Self, Unpack

import aiohttp
from yarl import URL

from nuvo_async import arguments, wire
from nuvo_async.batches import FanOut
from nuvo_async.models import ConfigurationError, Execution, ExecutionPage, PipelineRun
from nuvo_async.options import ClientKeywords, WaitKeywords, passes_to, wait_for, wait_options
from nuvo_async.waiting import Poller, PollPolicy
from nuvo_async.wire import AccessToken, LicenseKey, QueryKeywords, RetryPolicy

__all__ = ["NuvoClient"]


class NuvoClient:
    """An async client of nuvo's (now Ingestro's) Execution API.

    Make one for each event loop and process, share it among all tasks, and close it, best with
    `async with`. Times are in seconds.

    Args:
        credentials: an access token, as `str` or `AccessToken`, or a `LicenseKey`.
        base_url: the address of the API. It has to be https, or http to this machine.
        session: an aiohttp session of your own, for proxies, TLS or tracing. It is never closed,
            and keeps its cookie jar. With `trust_env`, it takes proxies from the environment, but
            no credentials from `.netrc`. The default session has no cookies, and no `trust_env`.
        request_timeout: the limit for one attempt at a request, from connecting to the last byte.
        retry: how requests that can be repeated safely are retried.
        poll: how waits poll that are given no policy of their own.
        max_concurrency: how many requests may be in flight at once. Further requests queue, and the
            time in the queue is not part of their timeout.
        max_body_size: the most bytes that an answer may have, decompressed.

    Raises `ConfigurationError` if the `base_url` or the `session` cannot be used, and `TypeError`
    or `ValueError` if another argument is wrong.
    """

    def __init__(
        self,
        credentials: str | AccessToken | LicenseKey,
        *,
        base_url: str | URL = wire.DEFAULT_BASE_URL,
        session: aiohttp.ClientSession | None = None,
        request_timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),
        poll: PollPolicy = PollPolicy(),
        max_concurrency: int = 100,
        max_body_size: int = 64 * 1024 * 1024,
    ) -> None:
        self._poll = arguments.instance("poll", poll, PollPolicy)
        self._connection = wire.connect(
            credentials,
            base_url=base_url,
            session=session,
            request_timeout=request_timeout,
            retry=retry,
            max_concurrency=max_concurrency,
            max_body_size=max_body_size,
        )
        self._api, self._lifetime = self._connection.api, self._connection.lifetime
        self._poller = Poller(self._api, self._connection.max_concurrency)
        self._fan_out = FanOut(self._api, self._poller, self._lifetime)

    @classmethod
    @passes_to(__init__)
    def from_env(
        cls, environ: Mapping[str, str] | None = None, **options: Unpack[ClientKeywords]
    ) -> Self:
        """Make a client from environment variables. The options are those of `NuvoClient`.

        The variables are `NUVO_ACCESS_TOKEN`, or `NUVO_LICENSE_KEY` and `NUVO_IDENTIFIER` (with
        `NUVO_IDENTIFIER_TYPE`, `USER` or `SUB_ORG`), and `NUVO_BASE_URL`. `environ` is `os.environ`
        by default. Raises `ConfigurationError`, which names what is missing or wrong.
        """
        if environ is None:  # As a default, help() would show it, secrets and all.
            environ = os.environ
        try:
            credentials = wire.credentials_from_env(environ)
            if "base_url" not in options and (base_url := environ.get("NUVO_BASE_URL")):
                options["base_url"] = wire.checked_base_url(base_url, "NUVO_BASE_URL")
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

        Executions go on remotely, and a session that was passed in stays open. Closing twice is no
        error: the second call waits until all connections are closed, even if the first one was
        cancelled. In a forked process, the connections are left alone.
        """
        await self._connection.close()

    async def create_execution(self, pipeline_id: str) -> list[Execution]:
        """Create: start a run of a pipeline. Return its executions without waiting for them.

        An HTTP(S) or e-mail input starts one execution, an (S)FTP or S3 input one for each file,
        possibly none. A Create is sent again only if the API cannot have received the first.

        Raises:
            CreateOutcomeUnknownError: it was sent, and no clear answer came.
            APIError: the API refused it (`NotFoundError`: there is no such pipeline).
            InvalidResponseError: the answer was a redirect, so nothing was started.
            TransportError: nothing was sent, because no connection could be made.
            ConfigurationError: nothing was sent, because a proxy setting or a header is wrong.
        """
        with self._lifetime.inside():
            return await self._api.create(pipeline_id)

    async def get_execution(self, execution_id: str) -> Execution:
        """Read by ID: return one execution, with its logs.

        Raises `APIError` (`NotFoundError`: there is no such execution), `TransportError` if no
        answer came, and `InvalidResponseError` if the answer is not as documented.
        """
        with self._lifetime.inside():
            return await self._api.read(execution_id)

    @passes_to(wire.filter_query)
    async def list_executions(
        self, *, limit: int | None = None, offset: int | None = None, **query: Unpack[QueryKeywords]
    ) -> ExecutionPage:
        """Read all: return one page, read by one request. Its executions have no logs.

        Args:
            limit: the most executions to return; the API may return fewer.
            offset: how many executions to skip.
            pipeline_id, status, trigger_type: short for `filters={"pipeline": ...}`, and so on.
            filters: fields to values, or to operators: `{"created_at": {"$gte": day}}`. The
                operators are `$eq`, `$ne`, `$in`, `$gt`, `$gte`, `$lt` and `$lte`.
            sort: fields to `"asc"` or `"desc"`; a dot reaches into a field (`created_by.name`).
            options: further options of the API, such as `{"attach_meta": True}`.

        Raises what `get_execution` raises.
        """
        return await self._read_page(wire.list_query(limit=limit, offset=offset, **query))

    @passes_to(wire.filter_query)
    def iter_executions(
        self, *, page_size: int = 100, max_items: int | None = None, **query: Unpack[QueryKeywords]
    ) -> AsyncIterator[Execution]:
        """Read all: yield every execution that matches once, page by page.

        Each request asks for `page_size` executions, until `max_items` were yielded or there are no
        more; the API's `total` is not trusted. The other arguments are those of `list_executions`.
        The call itself refuses wrong ones; the iteration raises what `get_execution` raises.
        """
        return wire.iterate(self._read_page, page_size=page_size, max_items=max_items, **query)

    async def _read_page(self, query: str) -> ExecutionPage:
        with self._lifetime.inside():
            return await self._api.read_all(query)

    @passes_to(wait_options)
    async def wait_for_completion(
        self,
        execution: Execution | str,
        *,
        raise_on_failure: bool = True,
        **options: Unpack[WaitKeywords],
    ) -> Execution:
        """Wait until an execution is SUCCESSFUL or FAILED, and return it.

        The API is asked at least once, even if the execution was finished when passed in, because
        someone may have resumed it since. Temporary trouble (no answer, one without JSON, 408, 429,
        5xx, a 404 at first) does not end the wait. However the wait ends, the execution goes on.

        Args:
            execution: an execution or its id.
            raise_on_failure: raise if the execution FAILED, instead of returning it.
            timeout: the limit for the whole wait, retries included. `None` is no limit; with 0, no
                answer can arrive in time.
            poll: how to poll, if not as the client does.
            with_logs: return `logs` and `configuration` too. With `False`, the execution may be
                returned as a listing shows it, without them. In large batches, that saves one
                request per execution.
            on_poll: called, or awaited, with each state that is read. Its exceptions propagate.

        Raises:
            ExecutionFailedError: the execution FAILED; the subclass says why.
            WaitTimeoutError: the time is up, and the execution was not finished when last read.
            WaitOutageError: without a `timeout`, nothing could be read for `PollPolicy.max_outage`.
            APIError: the API refused for good (401, 403, or 404 later on).
            ClientClosedError: the client was closed during the wait.
        """
        wait = wait_for(execution, wait_options(self._poll, **options))
        with self._lifetime.inside():
            finished = await self._poller.wait(wait)
        if raise_on_failure:
            finished.raise_for_failure()
        return finished

    @passes_to(wait_options)
    def as_completed(
        self, executions: Iterable[Execution | str], **options: Unpack[WaitKeywords]
    ) -> AsyncGenerator[Execution]:
        """Yield executions, given as such or by id, in the order in which they finish.

        FAILED ones are yielded like any other. The options are those of `wait_for_completion`;
        `timeout` is for all executions together, and begins with the first step of the iteration.
        If you leave the iterator early, the executions go on. Use `contextlib.aclosing` then, so
        that the waiting ends at once.

        Raises:
            WaitTimeoutError: the time is up; `pending` are the rest, `finished` those that ended.
            WaitOutageError, APIError: one of the waits ended with it, and so does the iteration.
            ClientClosedError: the client was closed during the wait.
        """
        return self._fan_out.as_completed(executions, wait_options(self._poll, **options))

    @passes_to(wait_options)
    async def wait_for_all(
        self,
        executions: Iterable[Execution | str],
        *,
        raise_on_failure: bool = True,
        **options: Unpack[WaitKeywords],
    ) -> list[Execution]:
        """Wait until all executions have ended, and return them in the order given.

        The options are those of `wait_for_completion`; `timeout` is for all of them together.
        Raises `ExecutionsFailed` if some FAILED, and what `as_completed` raises.
        """
        return await self._fan_out.wait_for_all(
            executions, wait_options(self._poll, **options), raise_on_failure=raise_on_failure
        )

    @passes_to(wait_options)
    async def run_pipeline(
        self, pipeline_id: str, **options: Unpack[WaitKeywords]
    ) -> list[Execution]:
        """Create, wait for every execution that was created, and return them, possibly none.

        The options are those of `wait_for_completion`; `timeout` begins after the Create. Raises
        `ExecutionsFailed` if some FAILED, and what `create_execution` and `wait_for_all` raise.
        """
        return await self._fan_out.run_pipeline(pipeline_id, wait_options(self._poll, **options))

    @passes_to(wait_options)
    def run_pipelines(
        self,
        pipeline_ids: Iterable[str],
        *,
        concurrency: int | None = None,
        journal: str | os.PathLike[str] | None = None,
        on_start: Callable[[str, list[Execution]], object] | None = None,
        **options: Unpack[WaitKeywords],
    ) -> AsyncGenerator[PipelineRun]:
        """Run many pipelines, and yield each as it ends. One that fails is yielded with its error.

        If you leave the iterator early, no more pipelines are started, and executions under way go
        on. The options are those of `wait_for_completion`; `timeout` is for each pipeline by
        itself, and begins after its Create. Raises `JournalError`, whose `executions` are what had
        been started, if the journal cannot be used, and `ClientClosedError`.

        Args:
            pipeline_ids: what to run. A pipeline that is listed twice is run twice.
            concurrency: how many pipelines may be under way at once; `None` is all of them.
            journal: a file that keeps what was done, so that a crash loses nothing. Run again with
                the same list and file: finished pipelines are reported again, those under way are
                waited for, those not started or clearly refused are started, and those whose
                Create was cut off are reported as `CreateOutcomeUnknownError`. The format is
                documented in `nuvo_async.batches.journal`.
            on_start: called, or awaited, with a pipeline's id and its executions, once they are
                created or read from the journal. Its exceptions propagate, like those of `on_poll`.
        """
        return self._fan_out.run_pipelines(
            pipeline_ids,
            wait_options(self._poll, **options),
            concurrency=concurrency,
            journal=journal,
            on_start=on_start,
        )

    async def revoke_token(self) -> None:
        """Revoke: make the access token in use worthless. Without one, nothing is sent.

        With a `LicenseKey`, the next call exchanges the key for a new token.
        """
        with self._lifetime.inside():
            await self._api.revoke()

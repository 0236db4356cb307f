"""The command's own session, which uses a proxy if there is one, and tracks its requests."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from attrs import field, frozen
from multidict import CIMultiDict

from nuvo_async.cli.contact import Contact
from nuvo_async.cli.creates import Creates
from nuvo_async.cli.proxy import Proxy, proxy_for
from nuvo_async.client import NuvoClient
from nuvo_async.wire import DEFAULT_BASE_URL, checked_base_url

__all__ = ["Access", "open_client"]


@frozen
class Access:
    """The URL of the API, the proxy, and the credentials."""

    environ: Mapping[str, str] = field(repr=False)
    proxy: str | None = None


@asynccontextmanager
async def open_client(
    access: Access, creates: Creates, contact: Contact
) -> AsyncIterator[NuvoClient]:
    """Open a client whose requests pass through `creates` and `contact`."""
    base_url = access.environ.get("NUVO_BASE_URL") or DEFAULT_BASE_URL
    proxy = proxy_for(checked_base_url(base_url, "NUVO_BASE_URL"), access.proxy)
    # This is like the session that the client makes: it has no cookies, and no limit, because the
    # client has one.
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[creates, contact, *_login(proxy)],
            proxy=None if proxy is None else proxy.url,
        ) as session,
        NuvoClient.from_env(access.environ, session=session) as client,
    ):
        yield client


def _login(proxy: Proxy | None) -> list[aiohttp.ClientMiddlewareType]:
    if proxy is None or proxy.user is None:
        return []
    login = aiohttp.encode_basic_auth(proxy.user, proxy.password)

    async def log_in(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.is_ssl():  # The request for a tunnel has separate headers.
            request.proxy_headers = CIMultiDict({"Proxy-Authorization": login})
        else:
            request.headers["Proxy-Authorization"] = login
        return await handler(request)

    return [log_in]

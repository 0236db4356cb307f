"""The command's own session: through a proxy where there is one, and watched."""

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
    """Where the API is, how to get there, and who asks."""

    environ: Mapping[str, str] = field(repr=False)
    proxy: str | None = None


@asynccontextmanager
async def open_client(
    access: Access, creates: Creates, contact: Contact
) -> AsyncIterator[NuvoClient]:
    """Open a client whose requests are seen by `creates` and `contact`."""
    base_url = access.environ.get("NUVO_BASE_URL") or DEFAULT_BASE_URL
    proxy = proxy_for(checked_base_url(base_url, "NUVO_BASE_URL"), access.proxy)
    # As the client makes its own: without a limit, since it has one, and without cookies.
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
        if request.is_ssl():  # A tunnel is asked for, with headers of its own.
            request.proxy_headers = CIMultiDict({"Proxy-Authorization": login})
        else:
            request.headers["Proxy-Authorization"] = login
        return await handler(request)

    return [log_in]

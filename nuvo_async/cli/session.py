"""The command's own session: with all requests watched."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from attrs import field, frozen

from nuvo_async.cli.contact import Contact
from nuvo_async.cli.creates import Creates
from nuvo_async.client import NuvoClient

__all__ = ["Access", "open_client"]


@frozen
class Access:
    """Where the API is, and who asks."""

    environ: Mapping[str, str] = field(repr=False)


@asynccontextmanager
async def open_client(
    access: Access, creates: Creates, contact: Contact
) -> AsyncIterator[NuvoClient]:
    """Open a client whose requests are seen by `creates` and `contact`."""
    # As the client makes its own: without a limit, since it has one, and without cookies.
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[creates, contact],
        ) as session,
        NuvoClient.from_env(access.environ, session=session) as client,
    ):
        yield client

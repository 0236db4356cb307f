"""Puts a token on each request. Concurrent requests share one exchange of the licence key."""

import asyncio
import copy

from nuvo_async.models import NuvoError
from nuvo_async.wire import protocol
from nuvo_async.wire.attempts import Dispatcher
from nuvo_async.wire.credentials import AccessToken, LicenseKey
from nuvo_async.wire.protocol import Answer, Hooks, Request
from nuvo_async.wire.redaction import Redactor

__all__ = ["Authorizer"]


class Authorizer:
    """Holds the token of one client."""

    def __init__(
        self, credentials: AccessToken | LicenseKey, dispatcher: Dispatcher, redactor: Redactor
    ) -> None:
        self._dispatcher = dispatcher
        self._key: LicenseKey | None = None
        self._token: AccessToken | None = None
        if isinstance(credentials, LicenseKey):
            self._key = credentials
            redactor.add(credentials.license_key)
        else:
            self._token = credentials
            redactor.add(credentials.token)
        self._unrevoked = self._token
        self._exchanging = asyncio.Lock()
        self._exchanges = self._renewed = 0
        self._failure: NuvoError | None = None

    async def send(self, request: Request) -> Answer:
        """Send with a token. After a 401 and with a licence key, renew the token and send again."""
        token = self._token
        if token is None and self._key is not None:
            token = await self._exchange(self._key, self._exchanges, request.hooks)
        exchanges = self._exchanges
        answer = await self._dispatcher.send(request, token)
        if answer.status == 401 and self._key is not None:
            request.sent_at = None
            if request.hooks.on_trouble is not None:
                request.hooks.on_trouble(protocol.error_of(answer))
            token = await self._exchange(self._key, exchanges, request.hooks)
            answer = await self._dispatcher.send(request, token)
        return answer

    async def revoke(self) -> None:
        """Revoke the token in use, if any. A licence key is exchanged again when needed."""
        token = self._unrevoked
        if token is None:
            return
        answer = await self._dispatcher.send(protocol.revoke_token(token), token)
        protocol.parsed(protocol.parse_revoked, answer)
        if self._unrevoked is token:
            self._unrevoked = None
            self._token = None if self._key is not None else token

    async def _exchange(self, key: LicenseKey, seen: int, hooks: Hooks) -> AccessToken:
        """Return a newer token than the one in use after `seen` exchanges.

        One caller at a time exchanges the key. Callers that wait meanwhile share its token or its
        error. If it is cancelled, the next caller exchanges the key.
        """
        came = self._exchanges
        async with self._exchanging:
            if self._failure is not None and self._exchanges > came:
                raise copy.copy(self._failure) from self._failure.__cause__
            if self._token is not None and self._renewed > seen:
                return self._token
            try:
                answer = await self._dispatcher.send(
                    protocol.exchange_license_key(key, hooks), None
                )
                token = protocol.parsed(protocol.parse_token, answer)
            except NuvoError as failure:
                self._exchanges += 1
                self._failure = failure
                raise
            self._exchanges += 1
            self._renewed = self._exchanges
            self._failure = None
            self._token = self._unrevoked = token
            return token

"""The server's state. Tests change it from their threads, and handlers use it in the server's.

Single operations on lists, dicts and sets are atomic. Larger steps hold a lock.
"""

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, Literal, get_args

from attrs import define, field, frozen

from nuvo_async.testing.faults import Fault
from nuvo_async.testing.pipelines import Store

__all__ = ["CALLS", "Call", "ReceivedRequest", "ScriptedFault", "State"]

Call = Literal["create", "read", "list", "token", "revoke"]
CALLS: tuple[Call, ...] = get_args(Call)


@frozen
class ReceivedRequest:
    """A request as received. `path` is relative to the base URL, and `query` is unparsed."""

    call: Call
    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@define
class ScriptedFault:
    """A fault for the next requests. If `of` is given, it is for one pipeline or execution."""

    fault: Fault
    times: int
    of: str | None


@define(kw_only=True)
class State:
    """The state of one server, whether or not it is running."""

    max_page_size: int
    envelope: bool
    count_page: bool
    ignores: tuple[str, ...]
    access_token: str = field(factory=lambda: secrets.token_urlsafe(24))
    license_key: str = field(factory=lambda: secrets.token_urlsafe(24))
    identifier: str = "user@example.com"
    tokens: set[str] = field(init=False)
    requests: list[ReceivedRequest] = field(factory=list)
    faults: dict[Call, list[ScriptedFault]] = field(factory=lambda: {call: [] for call in CALLS})
    store: Store = field(factory=lambda: Store(clock=time.monotonic))

    def __attrs_post_init__(self) -> None:
        self.tokens = {self.access_token}

    @property
    def actor(self) -> dict[str, str]:
        """The user that the tokens belong to."""
        return {"id": "user-1", "name": "A User", "identifier": self.identifier, "type": "USER"}

    def receive(self, request: ReceivedRequest) -> Fault | None:
        """Record a request, and return the fault that it meets, if any."""
        self.requests.append(request)
        for scripted in self.faults[request.call]:
            if scripted.times and scripted.of in {None, _subject(request)}:
                scripted.times -= 1
                return scripted.fault
        return None


def _subject(request: ReceivedRequest) -> str | None:
    if request.call == "read":
        return request.path.removeprefix("execution/")
    if request.call == "create":
        try:
            return str(request.json.get("pipeline_id"))
        except (ValueError, AttributeError):
            return None
    return None

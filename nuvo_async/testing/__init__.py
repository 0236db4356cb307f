"""A server to test against: the Execution API on 127.0.0.1, scripted.

`NuvoServer` is the server, and its docstring the guide; `faults` holds what can go wrong on
request. With pytest, the fixtures `nuvo_server` and `nuvo_client` come with the package.

Nothing here uses the client: the JSON is written by hand, so that a misunderstanding cannot hide
on both sides. This file is the door: other packages import only the names in its `__all__`.
"""

from nuvo_async.testing import faults
from nuvo_async.testing.server import NuvoServer
from nuvo_async.testing.state import ReceivedRequest

__all__ = ["NuvoServer", "ReceivedRequest", "faults"]

"""A server for tests: the Execution API on 127.0.0.1, with scripted pipelines.

`NuvoServer` is the server, and its docstring is the guide. `faults` has the faults that it can
simulate. The package also provides the pytest fixtures `nuvo_server` and `nuvo_client`.

The server does not use the client. Its JSON is written by hand, so that the same mistake is not
made on both sides. Other packages import only the names in this file's `__all__`.
"""

from nuvo_async.testing import faults
from nuvo_async.testing.server import NuvoServer
from nuvo_async.testing.state import ReceivedRequest

__all__ = ["NuvoServer", "ReceivedRequest", "faults"]

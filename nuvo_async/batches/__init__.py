"""Many executions or pipelines at once, and the journal of what was done.

Polling and HTTP never belong here: `waiting` polls, and `wire` sends.

This file is the door: other packages import only the names in its `__all__`.
"""

from nuvo_async.batches.fan_out import FanOut
from nuvo_async.batches.groups import together

__all__ = ["FanOut", "together"]

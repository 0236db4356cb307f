"""Many executions or pipelines at once, and the journal that records their progress.

This package does not poll or send requests: `waiting` polls, and `wire` sends.

Other packages import only the names in this file's `__all__`.
"""

from nuvo_async.batches.fan_out import FanOut
from nuvo_async.batches.groups import together

__all__ = ["FanOut", "together"]

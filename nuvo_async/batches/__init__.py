"""Many executions and many pipelines at once, and the journal of what was done.

Polling and HTTP never belong here.
"""

from nuvo_async.batches.fan_out import FanOut
from nuvo_async.batches.groups import together

__all__ = ["FanOut", "together"]

"""Waiting for executions to end: when to ask, what to ask, and what an answer means.

HTTP never belongs here, and what decides (`core` and below) uses no asyncio, clock or dice.

This file is the door: other packages import only the names in its `__all__`.
"""

from nuvo_async.waiting.policy import PollPolicy
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import Wait, WaitOptions

__all__ = ["PollPolicy", "Poller", "Wait", "WaitOptions"]

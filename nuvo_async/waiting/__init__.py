"""Waiting for executions to end: when to ask, what to ask, and what an answer means.

HTTP never belongs here.
"""

from nuvo_async.waiting.policy import PollPolicy
from nuvo_async.waiting.poller import Poller
from nuvo_async.waiting.wait import Wait, WaitOptions

__all__ = ["PollPolicy", "Poller", "Wait", "WaitOptions"]

"""Waiting for executions to end: when to ask, what to ask, and what an answer means.

HTTP never belongs here.
"""

"""Many executions and many pipelines at once, and the journal of what was done.

Polling and HTTP never belong here.
"""

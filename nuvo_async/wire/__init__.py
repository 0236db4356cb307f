"""One call of the Execution API: from arguments to a request, from an answer to a model or error.

Waiting for an execution never belongs here.
"""

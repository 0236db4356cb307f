"""JSON ⇄ models: `structure_execution` reads the API's JSON, `unstructure` writes it.

Unknown fields are ignored and unknown enum values kept. Nothing is coerced: a value of another
type than documented is an `InvalidResponseError` that names its place.
"""

from nuvo_async.models import structure_execution, unstructure

__all__ = ["structure_execution", "unstructure"]

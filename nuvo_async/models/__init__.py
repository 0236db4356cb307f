"""The shapes of the Execution API, its errors, and JSON ⇄ models.

This package does no I/O and does not use asyncio.

Other packages import only the names in this file's `__all__`, and the module `dates`.
"""

import sys

from nuvo_async.models import converter, decoder, errors, executions, shapes
from nuvo_async.models.converter import *  # noqa: F403
from nuvo_async.models.decoder import *  # noqa: F403
from nuvo_async.models.errors import *  # noqa: F403
from nuvo_async.models.errors import _restore  # noqa: F401 - pickles refer to it
from nuvo_async.models.executions import *  # noqa: F403
from nuvo_async.models.shapes import *  # noqa: F403

__all__: list[str] = []
__all__ += converter.__all__
__all__ += decoder.__all__
__all__ += errors.__all__
__all__ += executions.__all__
__all__ += shapes.__all__

# Pickles of version 0.1 refer to these modules, which defined errors and executions at that time.
sys.modules["nuvo_async.errors"] = sys.modules["nuvo_async.executions"] = sys.modules[__name__]

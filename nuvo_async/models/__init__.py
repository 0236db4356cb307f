"""The shapes of the Execution API, its errors, and JSON ⇄ models.

I/O and asyncio never belong here.

This file is the door: other packages import only the names in its `__all__`, and `dates`.
"""

import sys

from nuvo_async.models import converter, decoder, errors, executions, shapes
from nuvo_async.models.converter import *  # noqa: F403
from nuvo_async.models.decoder import *  # noqa: F403
from nuvo_async.models.errors import *  # noqa: F403
from nuvo_async.models.errors import _restore  # noqa: F401 - pickles name it
from nuvo_async.models.executions import *  # noqa: F403
from nuvo_async.models.shapes import *  # noqa: F403

__all__: list[str] = []
__all__ += converter.__all__
__all__ += decoder.__all__
__all__ += errors.__all__
__all__ += executions.__all__
__all__ += shapes.__all__

# Pickles of version 0.1 name these modules, in which errors and executions were defined.
sys.modules["nuvo_async.errors"] = sys.modules["nuvo_async.executions"] = sys.modules[__name__]

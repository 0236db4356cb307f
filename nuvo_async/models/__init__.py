"""The shapes of the Execution API, its errors, and JSON ⇄ models.

Nothing here does I/O or knows of asyncio.
"""

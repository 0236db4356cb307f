"""The command `nuvo-async`: needs the extra `cli`. What it prints is no API, its options are.

Logic that the library lacks never belongs here: the command is a face of `NuvoClient`.

No other package imports this one. `__main__` starts `commands`, once the extra is installed.
"""

__all__: list[str] = []

"""The command `nuvo-async`, which needs the extra `cli`.

Its options are a public interface, but its output is not.

The command is a front end of `NuvoClient`, and adds no logic that the library lacks.

No other package imports this one. `__main__` starts `commands` if the extra is installed.
"""

__all__: list[str] = []

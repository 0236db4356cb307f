"""The command `nuvo-async`: needs the extra `cli`. What it prints is no API, its options are."""

__all__: list[str] = []

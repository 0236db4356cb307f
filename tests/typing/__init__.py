"""The public face, as mypy and pyright see it: both are run over this folder, in strict mode."""

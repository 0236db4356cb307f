"""The shape of the package: layers, and the names that it exports."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nuvo_async

MODULES = [module.name for module in pkgutil.walk_packages(nuvo_async.__path__, "nuvo_async.")]


def test_imports_run_one_way_and_through_the_doors():
    """The layers and doors are in `pyproject.toml`; imports for types alone count as well."""
    # In a process of its own: it configures logging as it likes.
    code = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stdout


def test_everything_exported_is_there_sorted_and_documented():
    assert nuvo_async.__all__ == sorted(nuvo_async.__all__, key=str)
    for name in nuvo_async.__all__:
        exported = getattr(nuvo_async, name)
        if inspect.isclass(exported):
            assert exported.__module__.startswith("nuvo_async."), name
            assert inspect.getdoc(exported), name


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_exports(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for exported in getattr(module, "__all__", []):
        assert hasattr(module, exported)


def test_the_package_is_typed():
    assert (Path(nuvo_async.__file__).parent / "py.typed").exists()


def test_the_server_needs_nothing_of_the_client():
    """Neither hides a misunderstanding of the other."""
    loaded = "sorted(m for m in sys.modules if m.startswith('nuvo_async.'))"
    code = (
        f"import sys; sys.modules['nuvo_async'] = m = type(sys)('nuvo_async');"
        f" m.__path__ = {nuvo_async.__path__!r}; import nuvo_async.testing; print({loaded})"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert "nuvo_async.client" not in output.stdout
    assert all("testing" in name for name in eval(output.stdout))


def test_importing_the_package_imports_neither_asyncio_nor_aiohttp():
    """They take longer than all else, and whoever reads models only does without."""
    code = "import nuvo_async, sys; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert not {"asyncio", "aiohttp", "cattrs"} & set(output.stdout.split())


def test_the_changelog_begins_with_this_version():
    text = (Path(__file__).parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert newest is not None
    assert newest[1] in {nuvo_async.__version__, "Unreleased"}

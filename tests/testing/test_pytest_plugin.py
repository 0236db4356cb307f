"""The fixtures that come with the installed package, with each plugin that runs async tests."""

import pytest

ASYNC_TEST = """
    import pytest

    {mark}
    async def test_orders_are_loaded(nuvo_server, nuvo_client):
        nuvo_server.add_pipeline("orders", duration=0.05, rows=250)
        [execution] = await nuvo_client.create_execution("orders")
        finished = await nuvo_client.wait_for_completion(execution)
        assert finished.latest_run.data.total_rows == 250
"""
ASYNC_FIXTURE = """
    import pytest
    import pytest_asyncio

    pytestmark = pytest.mark.asyncio(loop_scope="{scope}")

    @pytest_asyncio.fixture(loop_scope="{scope}")
    async def started(nuvo_server, nuvo_client):
        nuvo_server.add_pipeline("orders", duration=0.05)
        yield await nuvo_client.create_execution("orders")
        assert (await nuvo_client.list_executions()).data

    class TestOrders:
        @pytest.mark.parametrize("number", [1, 2])
        async def test_a_wait_ends(self, started, nuvo_client, number):
            [finished] = await nuvo_client.wait_for_all(started)
            assert finished.succeeded
"""
SYNCHRONOUS_TESTS = """
    import os
    import subprocess
    import sys
    import threading
    import urllib.request

    def test_a_request(nuvo_server):
        headers = {"Authorization": f"Bearer {nuvo_server.access_token}"}
        request = urllib.request.Request(f"{nuvo_server.base_url}execution/", headers=headers)
        with urllib.request.urlopen(request) as response:
            assert response.status == 200

    def test_another_process(nuvo_server):
        nuvo_server.add_pipeline("orders")
        settings = {
            "NUVO_ACCESS_TOKEN": nuvo_server.access_token,
            "NUVO_BASE_URL": nuvo_server.base_url,
        }
        command = [sys.executable, "-m", "nuvo_async", "run", "orders"]
        subprocess.run(command, check=True, env={**os.environ, **settings})
        assert len(nuvo_server.executions) == 1

    def test_no_thread_is_left():
        assert "NuvoServer" not in [thread.name for thread in threading.enumerate()]
"""
ASYNCIO_BACKEND = """
    import pytest

    @pytest.fixture
    def anyio_backend():
        return "asyncio"
"""
PYTEST_ASYNCIO = "pytest_asyncio.plugin"
INI = """
    [pytest]
    asyncio_mode = {mode}
    asyncio_default_fixture_loop_scope = function
    asyncio_default_test_loop_scope = {scope}
"""
SCOPES = ["function", "class", "module", "package", "session"]


@pytest.fixture
def run(pytester, monkeypatch):
    """Run pytest with these plugins and no others, and with warnings as errors."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(*plugins):
        loaded = [f"-p{plugin}" for plugin in (*plugins, "nuvo_async.pytest_plugin")]
        return pytester.runpytest_subprocess("-Werror", *loaded)

    return run


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_a_users_test_is_three_lines(pytester, processes):
    pytester.makepyfile(ASYNC_TEST.format(mark="@pytest.mark.asyncio"))
    pytester.runpytest_subprocess(processes).assert_outcomes(passed=1)


def test_the_server_serves_synchronous_tests_and_other_processes(run, pytester):
    pytester.makepyfile(SYNCHRONOUS_TESTS)
    run().assert_outcomes(passed=3)


def test_the_client_is_on_the_loop_of_the_test_whatever_its_scope(run, pytester):
    pytester.makeini(INI.format(mode="strict", scope="function"))
    tests = {f"test_{scope}": ASYNC_FIXTURE.format(scope=scope) for scope in SCOPES}
    pytester.makepyfile(**tests)
    run(PYTEST_ASYNCIO).assert_outcomes(passed=2 * len(SCOPES))


@pytest.mark.parametrize("scope", ["function", "session"])
def test_without_a_mark_the_client_is_on_the_default_loop(run, pytester, scope):
    pytester.makeini(INI.format(mode="auto", scope=scope))
    pytester.makepyfile(ASYNC_TEST.format(mark=""))
    run(PYTEST_ASYNCIO).assert_outcomes(passed=1)


@pytest.mark.parametrize("plugins", [["anyio"], ["anyio", PYTEST_ASYNCIO]], ids=["alone", "both"])
def test_the_client_is_on_the_loop_of_anyio(run, pytester, plugins):
    pytester.makeini(
        INI.format(mode="strict", scope="function") if PYTEST_ASYNCIO in plugins else ""
    )
    pytester.makeconftest(ASYNCIO_BACKEND)
    pytester.makepyfile(ASYNC_TEST.format(mark="@pytest.mark.anyio"))
    run(*plugins).assert_outcomes(passed=1)


def test_another_backend_of_anyio_is_told_what_to_set(run, pytester):
    pytester.makeconftest(ASYNCIO_BACKEND.replace("asyncio", "trio"))
    pytester.makepyfile(ASYNC_TEST.format(mark="@pytest.mark.anyio"))
    result = run("anyio")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["nuvo_client needs asyncio: define a fixture anyio_backend*"])


def test_without_a_plugin_for_async_tests_it_is_said_which_to_install(run, pytester):
    pytester.makepyfile(ASYNC_TEST.format(mark=""))
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["nuvo_client needs a plugin*install pytest-asyncio*"])


@pytest.mark.parametrize(
    "module",
    ["raise ImportError", "def fixture(*, name): ..."],
    ids=["not installed", "too old for scopes of loops"],
)
def test_without_such_a_plugin_the_server_serves_all_the_same(run, pytester, monkeypatch, module):
    (pytester.mkdir("other") / "pytest_asyncio.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path / "other"))
    pytester.makepyfile(SYNCHRONOUS_TESTS)
    run().assert_outcomes(passed=3)

"""The fixtures that come with the installed package."""

TEST_OF_A_USER = """
    import pytest

    @pytest.mark.{mark}
    async def test_orders_are_loaded(nuvo_server, nuvo_client):
        nuvo_server.add_pipeline("orders", duration=0.05, rows=250)
        [execution] = await nuvo_client.create_execution("orders")
        finished = await nuvo_client.wait_for_completion(execution)
        assert finished.latest_run.data.total_rows == 250
"""


def test_a_users_test_is_three_lines(pytester):
    pytester.makepyfile(TEST_OF_A_USER.format(mark="asyncio"))
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_without_pytest_asyncio_the_fixtures_work_with_anyio(pytester, monkeypatch):
    """The plugin must not break the test runs of those who never asked for it."""
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
    """)
    pytester.makepyfile(TEST_OF_A_USER.format(mark="anyio"))
    blocked = pytester.mkdir("blocked")
    (blocked / "pytest_asyncio.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(blocked))
    plugins = ("-p", "anyio", "-p", "nuvo_async.pytest_plugin")
    pytester.runpytest_subprocess(*plugins).assert_outcomes(passed=1)

"""The keyword arguments that methods of the client share, in signatures and at run time."""

import inspect
from collections.abc import AsyncIterator
from typing import Any, get_type_hints

import pytest

from nuvo_async import NuvoClient
from nuvo_async.options import ClientKeywords, WaitKeywords, wait_options
from nuvo_async.wire.query import QueryKeywords, filter_query

QUERY = ["pipeline_id", "status", "trigger_type", "filters", "sort", "options"]
WAIT = ["timeout", "poll", "with_logs", "on_poll"]
CLIENT = ["base_url", "session", "request_timeout", "retry", "poll"]
CLIENT += ["max_concurrency", "max_body_size"]


@pytest.mark.parametrize(
    ("method", "positional", "options"),
    [
        ("__init__", ["self", "credentials"], CLIENT),
        ("from_env", ["environ"], CLIENT),
        ("list_executions", ["self"], ["limit", "offset", *QUERY]),
        ("iter_executions", ["self"], ["page_size", "max_items", *QUERY]),
        ("wait_for_completion", ["self", "execution"], ["raise_on_failure", *WAIT]),
        ("as_completed", ["self", "executions"], WAIT),
        ("wait_for_all", ["self", "executions"], ["raise_on_failure", *WAIT]),
        ("run_pipeline", ["self", "pipeline_id"], WAIT),
        (
            "run_pipelines",
            ["self", "pipeline_ids"],
            ["concurrency", "journal", "on_start", *WAIT],
        ),
    ],
)
def test_help_shows_each_option_by_name_and_with_its_default(method, positional, options):
    parameters = inspect.signature(getattr(NuvoClient, method)).parameters
    assert list(parameters) == positional + options
    for name in options:
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is not inspect.Parameter.empty


@pytest.mark.parametrize(
    ("keywords", "function"),
    [
        (ClientKeywords, NuvoClient.__init__),
        (QueryKeywords, filter_query),
        (WaitKeywords, wait_options),
    ],
)
def test_type_checkers_see_the_options_that_there_are(keywords, function):
    taken = [
        name
        for name, one in inspect.signature(function).parameters.items()
        if one.kind is one.KEYWORD_ONLY
    ]
    hints = get_type_hints(function)
    assert get_type_hints(keywords) == {name: hints[name] for name in taken}


@pytest.mark.parametrize(
    ("option", "call"),
    [
        ("state", lambda client: client.list_executions(state="FAILED")),
        ("limit", lambda client: client.iter_executions(limit=5)),
        ("timeuot", lambda client: client.wait_for_completion("1", timeuot=5)),
        ("raise_on_failure", lambda client: client.as_completed(["1"], raise_on_failure=False)),
        ("timeuot", lambda client: client.wait_for_all(["1"], timeuot=5)),
        ("timeuot", lambda client: client.run_pipeline("orders", timeuot=5)),
        ("timeuot", lambda client: client.run_pipelines(["orders"], timeuot=5)),
    ],
)
async def test_an_unknown_option_is_refused_before_anything_is_sent(
    nuvo_server, nuvo_client, option, call
):
    nuvo_server.add_pipeline("orders")
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        await _finished(call(nuvo_client))
    assert nuvo_server.requests == []


async def _finished(made: Any) -> None:
    if isinstance(made, AsyncIterator):
        async for _ in made:
            pass
    else:
        await made


def test_an_unknown_setting_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'retries'"):
        NuvoClient.from_env({"NUVO_ACCESS_TOKEN": "t0ken"}, retries=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

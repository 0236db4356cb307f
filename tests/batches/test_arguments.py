"""Bad arguments of what waits for many: all are refused before anything is sent."""

import pytest

BAD = [
    ({"timeout": -1}, ValueError, "timeout"),
    ({"poll": 5}, TypeError, "poll must be"),
    ({"on_poll": 5}, TypeError, "on_poll must be callable"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
async def test_bad_options_are_refused_at_once(nuvo_server, nuvo_client, options, error, message):
    for call in (nuvo_client.as_completed, nuvo_client.run_pipelines):
        with pytest.raises(error, match=message):
            call(["1"], **options)
    for call in (nuvo_client.wait_for_all, nuvo_client.run_pipeline):
        with pytest.raises(error, match=message):
            await call("1" if call == nuvo_client.run_pipeline else ["1"], **options)
    assert nuvo_server.requests == []


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ("65f0", TypeError, "must be an iterable of ids, not a single str"),
        (b"65f0", TypeError, "not a single bytes"),
        (5, TypeError, "must be an iterable"),
        (["1", ""], ValueError, r"\[1\] must not be empty"),
        (["1", 5], TypeError, r"\[1\] must be (a string|an Execution or its id), not int"),
        (["1", "a\nb"], ValueError, "control character"),
    ],
)
async def test_of_a_list_all_are_checked_first(nuvo_server, nuvo_client, ids, error, message):
    for call in (nuvo_client.as_completed, nuvo_client.run_pipelines):
        with pytest.raises(error, match=message):
            call(ids)
    with pytest.raises(error, match=message):
        await nuvo_client.wait_for_all(ids)
    assert nuvo_server.requests == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"concurrency": 0}, ValueError),
        ({"concurrency": 1.5}, TypeError),
        ({"journal": 5}, TypeError),
        ({"journal": ""}, ValueError),
        ({"journal": "a\0b"}, ValueError),
    ],
)
async def test_bad_options_of_run_pipelines(nuvo_client, options, error):
    with pytest.raises(error):
        nuvo_client.run_pipelines(["orders"], **options)

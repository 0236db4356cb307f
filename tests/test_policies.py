"""`RetryPolicy` and `PollPolicy`: what they refuse, and the delays that they give."""

import math
from itertools import islice
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuvo_async import PollPolicy, RetryPolicy

FIGURES = [
    *((RetryPolicy, name) for name in ("base_delay", "max_delay", "max_retry_after")),
    *(
        (PollPolicy, name)
        for name in (
            "min_interval",
            "growth",
            "max_interval",
            "jitter",
            "max_outage",
            "not_found_grace",
        )
    ),
]


@pytest.mark.parametrize(("policy", "name"), FIGURES)
@pytest.mark.parametrize("value", [-1, -0.001, math.nan, math.inf, 10**400])
def test_a_negative_or_endless_figure_is_refused_by_name(policy, name, value):
    with pytest.raises(ValueError, match=name):
        policy(**{name: value})


@pytest.mark.parametrize(("policy", "name"), FIGURES)
@pytest.mark.parametrize("value", ["1", None, True])
def test_a_figure_that_is_no_number_is_refused_by_name(policy, name, value):
    with pytest.raises(TypeError, match=name):
        policy(**{name: value})


@pytest.mark.parametrize(
    ("policy", "options", "message"),
    [
        (RetryPolicy, {"max_attempts": 0}, "max_attempts must be 1 or more"),
        (RetryPolicy, {"base_delay": 2, "max_delay": 1}, "must not be below base_delay"),
        (PollPolicy, {"min_interval": 2, "max_interval": 1}, "must not be below min_interval"),
        (PollPolicy, {"jitter": 1.1}, "jitter must be a share"),
    ],
)
def test_figures_that_contradict_are_refused(policy, options, message):
    with pytest.raises(ValueError, match=message):
        policy(**options)


def test_attempts_are_whole():
    half: Any = 2.5
    with pytest.raises(TypeError, match="max_attempts must be an integer"):
        RetryPolicy(max_attempts=half)


def test_policies_are_frozen_and_keyword_only():
    policies: list[Any] = [RetryPolicy, PollPolicy]
    for policy in policies:
        with pytest.raises(TypeError):
            policy(1)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            policy().jitter = 1
        assert policy() == policy()


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 30))
def test_retries_have_full_jitter_on_a_doubling_delay(base, more, retries):
    policy = RetryPolicy(base_delay=base, max_delay=base + more)
    for n, delay in enumerate(islice(policy.delays(), retries)):
        assert 0 <= delay <= min(base * 2**n, base + more)


@given(st.floats(0, 1e6), st.floats(0, 1))
def test_polls_grow_with_the_time_waited_within_bounds(waited, jitter):
    policy = PollPolicy(min_interval=0.5, growth=0.2, max_interval=30, jitter=jitter)
    nominal = min(max(0.2 * waited, 0.5), 30)
    assert nominal * (1 - jitter) <= policy.delay(waited) <= nominal * (1 + jitter)


def test_there_are_delays_for_any_number_of_retries():
    for base_delay in (0, 0.0, 0.5):
        delays = RetryPolicy(base_delay=base_delay, max_delay=1).delays()
        assert 0 <= max(next(delays) for _ in range(3000)) <= 1

"""The keyword arguments that methods of `NuvoClient` share, and the waits made from them.

A method takes them as `**options: Unpack[WaitKeywords]`, for type checkers and editors. It passes
them on to one function, which declares their names and defaults. `passes_to` copies these into the
signature of the method, for `help()`, shells and the API reference.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypedDict, TypeVar

import aiohttp
from yarl import URL

from nuvo_async import arguments
from nuvo_async.models import Execution
from nuvo_async.waiting import PollPolicy, Wait, WaitOptions
from nuvo_async.wire import RetryPolicy

__all__ = ["ClientKeywords", "WaitKeywords", "passes_to", "wait_for", "wait_options", "waits_for"]

Method = TypeVar("Method", bound=Callable[..., object])


class ClientKeywords(TypedDict, total=False):
    """The keyword arguments of `NuvoClient`."""

    base_url: str | URL
    session: aiohttp.ClientSession | None
    request_timeout: float
    retry: RetryPolicy
    poll: PollPolicy
    max_concurrency: int
    max_body_size: int


class WaitKeywords(TypedDict, total=False):
    """The keyword arguments of `wait_options`."""

    timeout: float | None
    poll: PollPolicy | None
    with_logs: bool
    on_poll: Callable[[Execution], object] | None


def wait_options(
    default: PollPolicy,
    *,
    timeout: float | None = None,
    poll: PollPolicy | None = None,
    with_logs: bool = True,
    on_poll: Callable[[Execution], object] | None = None,
) -> WaitOptions:
    """Check the options of a caller's waits. Without `poll`, the client's `default` is used."""
    return WaitOptions(
        policy=default if poll is None else arguments.instance("poll", poll, PollPolicy),
        timeout=None if timeout is None else arguments.number("timeout", timeout),
        with_logs=with_logs,
        on_poll=arguments.callback("on_poll", on_poll),
    )


def wait_for(execution: Execution | str, options: WaitOptions) -> Wait:
    """Check an execution or an id, and make the wait for it."""
    return options.wait_for(_checked("execution", execution))


def waits_for(executions: Iterable[Execution | str], options: WaitOptions) -> list[Wait]:
    """Check several executions or ids, and make the waits for them."""
    listed = arguments.listed("executions", executions)
    checked = [_checked(f"executions[{n}]", one) for n, one in enumerate(listed)]
    return [options.wait_for(one) for one in checked]


def _checked(name: str, execution: Execution | str) -> Execution | str:
    if isinstance(execution, Execution):
        arguments.path_segment(f"{name}.id", execution.id)
        if execution.updated_at is not None and execution.updated_at.tzinfo is None:
            raise ValueError(f"{name}.updated_at must be an aware datetime, with a time zone")
        return execution
    if not isinstance(execution, str):
        raise TypeError(f"{name} must be an Execution or its id, not {type(execution).__name__}")
    return arguments.path_segment(name, execution)


def passes_to(function: Callable[..., Any]) -> Callable[[Method], Method]:
    """Show the keyword arguments of `function` in the signature of a method that passes them on."""
    shared = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.kind is one.KEYWORD_ONLY
    ]

    def show(method: Method) -> Method:
        signature = inspect.signature(method)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        shown = signature.replace(parameters=[*own, *shared])
        method.__signature__ = shown  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
        return method

    return show

"""Mistakes that type checkers refuse: were one accepted, its comment would be reported as unused."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import nuvo_async
from nuvo_async import AccessToken, Execution, ExecutionStatus, NuvoClient, PollPolicy
from nuvo_async.testing import faults


def make_clients() -> None:
    NuvoClient()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NuvoClient(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    NuvoClient("token", "url")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NuvoClient("token", retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NuvoClient.from_env(retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NuvoClient.from_env(retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PollPolicy(0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def call(client: NuvoClient) -> None:
    await client.create_execution(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.list_executions(sort={"a": "up"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await client.list_executions(10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.list_executions(state="FAILED")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.list_executions(status=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.iter_executions(limit=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.iter_executions(filters=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.wait_for_completion(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.wait_for_completion("x", on_poll=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.wait_for_completion("x", timeuot=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.as_completed(["x"], timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.as_completed(["x"], raise_on_failure=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.wait_for_all(["x"], poll=0.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.run_pipeline("orders", journal="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.run_pipelines(["orders"], with_logs=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async for run in client.run_pipelines(["orders"]):
        print(run.id)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    with client:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


def change(execution: Execution, token: AccessToken) -> None:
    execution.id = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    token.token = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    print(execution.latest_run.status)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    print(ExecutionStatus.DONE)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(faults.status("503"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    nuvo_async.NuvoServer()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

"""A process that is forked from one with a client: it is told so, and disturbs nobody."""

import asyncio
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")

PRELUDE = """
    import asyncio, gc, multiprocessing, os, sys
    import aiohttp
    from nuvo_async import NuvoClient, RetryPolicy

    base_url, token = sys.argv[1:]
    once = RetryPolicy(max_attempts=1)

    def make(**options):
        return NuvoClient(token, base_url=base_url, request_timeout=20, retry=once, **options)

    def in_a_child(work, leave=os._exit):
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
            return
        try:
            work()
        except RuntimeError as error:
            print("child:", error)
        sys.stdout.flush()
        leave(0)
"""
TOLD = "child: this NuvoClient belongs to process"


@pytest.fixture
def output_of(nuvo_server):
    """What a process prints that runs this code with a pipeline `orders`."""
    nuvo_server.add_pipeline("orders", duration=0.2)

    async def run(code):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(code)),
            *(nuvo_server.base_url, nuvo_server.access_token),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode().splitlines()

    return run


async def test_a_forked_process_is_told_that_the_client_is_its_parents(nuvo_server, output_of):
    """Also with the very loop of the parent, where nothing else would tell them apart."""
    lines = await output_of("""
        loop, client = asyncio.new_event_loop(), make()
        loop.run_until_complete(client.list_executions())
        in_a_child(lambda: loop.run_until_complete(client.list_executions()))
        in_a_child(lambda: asyncio.run(client.list_executions()))
        in_a_child(lambda: asyncio.run(client.wait_for_completion("1")))
        print(loop.run_until_complete(client.create_execution("orders"))[0].status)
        loop.run_until_complete(client.close())
        loop.close()
    """)
    assert [line.startswith(TOLD) for line in lines] == [True, True, True, False]
    assert lines[-1] == "PROCESSING"
    assert [request.call for request in nuvo_server.requests] == ["list", "create"]


async def test_a_fork_in_the_middle_of_a_run_does_not_disturb_it(nuvo_server, output_of):
    lines = await output_of("""
        async def main():
            async with make() as client:
                run = asyncio.create_task(client.run_pipeline("orders"))
                await asyncio.sleep(0.05)
                in_a_child(lambda: asyncio.run(client.list_executions()))
                process = multiprocessing.get_context("fork").Process(
                    target=in_a_child, args=(lambda: asyncio.run(client.list_executions()),)
                )
                process.start()
                await asyncio.to_thread(process.join)
                [execution] = await run
                print(execution.status)

        asyncio.run(main())
    """)
    assert [line.startswith(TOLD) for line in lines] == [True, True, False]
    assert lines[-1] == "SUCCESSFUL"
    assert len(nuvo_server.executions) == 1


@pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
async def test_a_forked_process_may_drop_and_close_the_client_and_leave(
    nuvo_server, output_of, leave
):
    """The parent's connections stay in use: each of its calls is sent, and answered, once."""
    lines = await output_of(f"""
        loop, client = asyncio.new_event_loop(), make()
        loop.run_until_complete(client.list_executions())

        def drop():
            global client
            loop.run_until_complete(client.close())
            del client
            gc.collect()

        in_a_child(drop, {leave})
        for _ in range(2):
            print(loop.run_until_complete(client.create_execution("orders"))[0].status)
        loop.run_until_complete(client.close())
        loop.close()
    """)
    assert lines == ["PROCESSING"] * 2
    assert [request.call for request in nuvo_server.requests] == ["list", "create", "create"]


async def test_a_client_that_was_not_used_before_a_fork_serves_both(nuvo_server, output_of):
    lines = await output_of("""
        client = make()

        async def use():
            async with client:
                [execution] = await client.run_pipeline("orders")
                print(execution.status, flush=True)

        in_a_child(lambda: asyncio.run(use()))
        asyncio.run(use())
    """)
    assert lines == ["SUCCESSFUL"] * 2


async def test_a_session_of_the_callers_is_not_shared_with_a_forked_process(nuvo_server, output_of):
    """It has connections, though the client was not used yet."""
    lines = await output_of("""
        async def open_session():
            return aiohttp.ClientSession()

        loop = asyncio.new_event_loop()
        session = loop.run_until_complete(open_session())
        client = make(session=session)
        in_a_child(lambda: loop.run_until_complete(client.list_executions()))
        loop.run_until_complete(client.list_executions())
        loop.run_until_complete(session.close())
        loop.close()
    """)
    assert [line.startswith(TOLD) for line in lines] == [True]
    assert [request.call for request in nuvo_server.requests] == ["list"]

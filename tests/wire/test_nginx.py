"""A real reverse proxy in front of the API, which limits the rate, is reloaded, and goes away.

Without nginx it is skipped; `apt-get install nginx-light`, as `.ci/run` does, brings it.
"""

import asyncio
import logging
import os
import pwd
import random
import shutil
import signal
import socket
from asyncio import subprocess
from contextlib import asynccontextmanager

import pytest

from nuvo_async import CreateOutcomeUnknownError, PollPolicy, RetryPolicy
from tests.wire.test_tls import port_of

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = """
user {user};
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/a;
    proxy_temp_path {folder}/b;
    fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d;
    scgi_temp_path {folder}/e;
    limit_req_zone $server_port zone=all:1m rate=400r/s;
    limit_req_status 429;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            limit_req zone=all burst=20 nodelay;
            proxy_pass http://127.0.0.1:{upstream};
            proxy_next_upstream off;
        }}
    }}
}}
"""


class Nginx:
    """One nginx, which can be started, reloaded and stopped."""

    def __init__(self, folder, upstream):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.file = folder / "nginx.conf"
        user = pwd.getpwuid(os.getuid()).pw_name
        self.file.write_text(
            CONFIGURATION.format(user=user, folder=folder, port=self.port, upstream=upstream)
        )

    async def start(self):
        assert NGINX is not None
        self.process = await asyncio.create_subprocess_exec(
            *(NGINX, "-c", str(self.file), "-e", str(self.file.parent / "error.log")),
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    return

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    async def stop(self):
        self.process.send_signal(signal.SIGTERM)
        await self.process.wait()


@asynccontextmanager
async def running(nginx):
    await nginx.start()
    try:
        yield
    finally:
        await nginx.stop()


async def disturb(nginx, moments):
    for _ in range(moments):
        await asyncio.sleep(random.uniform(0.2, 0.5))
        nginx.reload()
        await asyncio.sleep(random.uniform(0.2, 0.5))
        await nginx.stop()
        await asyncio.sleep(random.uniform(0, 0.3))
        await nginx.start()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
async def test_500_waits_and_500_triggers_behind_an_nginx_that_comes_and_goes(
    nuvo_server, make_client, tmp_path, caplog
):
    waited: dict[str, bool] = {}
    for number in range(500):
        nuvo_server.add_pipeline(
            f"w{number}",
            duration=random.uniform(0, 3),
            error=None if number % 5 else "PARSING_FAILURE",
        )
        [execution_id] = nuvo_server.start(f"w{number}")
        waited[execution_id] = bool(number % 5)
    triggered = [f"t{number}" for number in range(500)]
    for pipeline_id in triggered:
        nuvo_server.add_pipeline(pipeline_id, duration=random.uniform(0, 1))

    nginx = Nginx(tmp_path, port_of(nuvo_server))
    client = make_client(
        base_url=f"http://127.0.0.1:{nginx.port}/dp/api/v1/",
        retry=RetryPolicy(max_attempts=40, base_delay=0.05, max_delay=0.5),
        poll=PollPolicy(min_interval=0.1, max_interval=1),
    )
    caplog.set_level(logging.INFO, logger="nuvo_async")
    runs = []

    async def trigger():
        batch = client.run_pipelines(triggered, concurrency=100, timeout=60)
        runs.extend([run async for run in batch])

    async with running(nginx), asyncio.TaskGroup() as group:
        group.create_task(trigger())
        waits = [
            group.create_task(client.wait_for_completion(one, raise_on_failure=False, timeout=60))
            for one in waited
        ]
        group.create_task(disturb(nginx, 3))

    assert {wait.result().id: wait.result().succeeded for wait in waits} == waited
    started: dict[str, list[str]] = {pipeline_id: [] for pipeline_id in triggered}
    for execution in nuvo_server.executions:
        if execution["pipeline"] in started:
            started[execution["pipeline"]].append(execution["id"])
    assert sorted(run.pipeline_id for run in runs) == sorted(triggered)
    for run in runs:
        ids = started[run.pipeline_id]
        assert len(ids) <= 1, "started twice"
        if run.succeeded:
            assert [one.id for one in run.executions] == ids
        else:
            assert isinstance(run.error, CreateOutcomeUnknownError), run.error
            assert [one.id for one in run.error.candidates] == ids
    assert "the server asks for less" in caplog.text  # The limit was met.

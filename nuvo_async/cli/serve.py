"""Runs only the embedded server, for trying other clients."""

import asyncio
import json

from nuvo_async.cli.demo import SCENES, add_scenes
from nuvo_async.cli.display import Display
from nuvo_async.models import ConfigurationError
from nuvo_async.testing import NuvoServer

__all__ = ["serve"]

_FORGETS_EVERY = 60.0


async def serve(display: Display, port: int) -> None:
    """Serve until cancelled."""
    try:
        async with NuvoServer(port=port) as server:
            add_scenes(server)
            _introduce(display, server)
            while True:
                await asyncio.sleep(_FORGETS_EVERY)
                server.requests.clear()  # They are not used here.
    except OSError as error:
        raise ConfigurationError(f"cannot listen on port {port}: {error.strerror}") from error


def _introduce(display: Display, server: NuvoServer) -> None:
    names = ("base_url", "access_token", "license_key", "identifier")
    facts = {name: getattr(server, name) for name in names}
    if display.output.json:
        display.write(json.dumps(facts))
    else:
        display.write("\n".join(f"{name}={value}" for name, value in facts.items()))
    display.note(f"pipelines: {', '.join(scene.pipeline for scene in SCENES)}; Ctrl-C ends it")

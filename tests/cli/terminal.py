"""A command on a pseudo-terminal of its own, and the screen that a person sees."""

import asyncio
import fcntl
import os
import re
import struct
import termios
from asyncio import subprocess
from collections.abc import Sequence

import pyte
from attrs import define, field

from tests.cli.command import COMMAND, heed_ctrl_c

__all__ = ["Terminal"]

_MOST_LINES = 5000


@define
class Terminal:
    """`screen` is what was drawn, and `seen` what a person sees of it, or can scroll up to."""

    process: subprocess.Process
    controller: int
    columns: int
    rows: int
    screen: bytearray = field(factory=bytearray)

    @classmethod
    async def start(
        cls,
        *arguments: str,
        env: dict[str, str],
        program: Sequence[str] = COMMAND,
        columns: int = 80,
        rows: int = 24,
    ) -> "Terminal":
        controller, terminal = os.openpty()

        def prepare() -> None:
            heed_ctrl_c()
            os.login_tty(terminal)

        _resize(controller, columns, rows)
        process = await asyncio.create_subprocess_exec(
            *(*program, *arguments),
            env={**env, "TERM": "xterm-256color"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            preexec_fn=prepare,
        )
        os.close(terminal)
        os.set_blocking(controller, False)
        self = cls(process, controller, columns, rows)
        asyncio.get_running_loop().add_reader(controller, self._read)
        return self

    def _read(self) -> None:
        try:
            self.screen.extend(os.read(self.controller, 65536))
        except OSError:  # The other end is closed.
            asyncio.get_running_loop().remove_reader(self.controller)

    def resize(self, rows: int) -> None:
        _resize(self.controller, self.columns, rows)

    def press(self, keys: bytes) -> None:
        os.write(self.controller, keys)

    async def shows(self, text: str) -> None:
        async with asyncio.timeout(20):
            while text.encode() not in self.screen:  # noqa: ASYNC110 - nor does a screen
                await asyncio.sleep(0.01)

    async def end(self) -> int:
        async with asyncio.timeout(30):
            code = await self.process.wait()
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().remove_reader(self.controller)
        os.close(self.controller)
        return code

    async def hang_up(self) -> int:
        """Close the terminal, as a window or a connection that is lost."""
        asyncio.get_running_loop().remove_reader(self.controller)
        os.close(self.controller)
        async with asyncio.timeout(30):
            return await self.process.wait()

    @property
    def seen(self) -> list[str]:
        """The lines on the screen now, below those that have scrolled off."""
        screen = pyte.HistoryScreen(self.columns, self.rows, history=_MOST_LINES)
        pyte.ByteStream(screen).feed(bytes(self.screen))
        above = [
            "".join(line[column].data for column in range(self.columns))
            for line in screen.history.top
        ]
        return [line.rstrip() for line in [*above, *screen.display]]

    @property
    def text(self) -> str:
        """The same as one text, in which it does not matter where lines were wrapped."""
        return " ".join(" ".join(self.seen).split())

    def tallest(self, start: int = 0) -> int:
        """The most lines that were drawn over at once."""
        jumps = re.findall(rb"(?:\x1b\[1A\x1b\[2K)+", bytes(self.screen[start:]))
        return max((len(jump) // len(b"\x1b[1A\x1b[2K") for jump in jumps), default=0) + 1


def _resize(controller: int, columns: int, rows: int) -> None:
    fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

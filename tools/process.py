"""Commands as child processes: bounded output, time limit, cancellation, and no process left behind.

It does not decide what may run (``agent.permissions`` does), and knows no tool.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tools.errors import ToolError
from tools.terminal_text import plain
from tools.truncate import HeadTail

MAX_OUTPUT_BYTES = 100_000_000  # a command that writes more is stopped: nobody reads it
_EMIT_EVERY_S = 0.1
_EMIT_BYTES = 4_000
_POLL_S = 0.05
_KILL_GRACE_S = 5.0
_LAUNCHER = Path(__file__).with_name("launcher.py")


class End(StrEnum):
    """How a command ended."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    FLOODED = "flooded"  # more output than MAX_OUTPUT_BYTES


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished command. ``code`` is its exit code (128 + n after signal n); ``output`` head and tail of both
    streams as plain text.
    """

    end: End
    code: int
    output: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What to run and where; ``environment`` is complete."""

    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def shell_line(command: str, folder: Path, environment: Mapping[str, str]) -> CommandLine:
    """A line for bash, or for sh where there is no bash. Raises ToolError for one that no shell can take."""
    if "\0" in command or len(command) > 100_000:
        raise ToolError("The command has NUL characters or is too long; write a script file and run that.")
    try:
        os.fsencode(command)
    except UnicodeEncodeError as error:
        raise ToolError("The command holds characters that are no text; write it otherwise.") from error
    shell = shutil.which("bash", path=environment.get("PATH")) or shutil.which("bash") or "/bin/sh"
    return CommandLine([shell, "-c", command], folder, environment)


async def run_command(
    line: CommandLine,
    timeout_s: float,
    emit: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Completed:
    """Run a command to its end, its time limit or cancellation; afterwards none of its processes is alive.

    Raises ToolError when it cannot be started. A cancelled task kills the command before CancelledError goes on.
    """
    command = await Command.start(line, emit)
    return await command.finish(timeout_s, cancelled)


class Command:
    """One started command; owns its process and collects its output until ``kill`` or the end."""

    def __init__(self, process: asyncio.subprocess.Process, emit: Callable[[str], None] | None) -> None:
        self._process = process
        self._collected = HeadTail()
        self._live = _LiveOutput(emit) if emit else None
        self._started = time.monotonic()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, line: CommandLine, emit: Callable[[str], None] | None = None) -> Command:
        """Start through the launcher, in a session of its own."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(_LAUNCHER), *line.argv,
                cwd=line.folder,
                env=dict(line.environment),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise ToolError(f"The command could not be started ({error}); check it and try again.") from error
        return cls(process, emit)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.returncode

    def output(self) -> str:
        """Head and tail of the output so far, without terminal control sequences."""
        return plain(self._collected.text())

    async def finish(self, timeout_s: float, cancelled: Callable[[], bool] | None = None) -> Completed:
        """Wait for the end and enforce the limits; the command is over when this returns or raises."""
        end = End.EXITED
        deadline = self._started + timeout_s
        try:
            while not await self.wait(_POLL_S):
                if cancelled is not None and cancelled():
                    end = End.CANCELLED
                elif time.monotonic() >= deadline:
                    end = End.TIMED_OUT
                elif self._collected.total > MAX_OUTPUT_BYTES:
                    end = End.FLOODED
                if end is not End.EXITED:
                    break
        finally:
            await asyncio.shield(self.kill())
        return Completed(end, self._process.returncode or 0, self.output(), time.monotonic() - self._started)

    async def wait(self, seconds: float) -> bool:
        """Whether it ended within ``seconds``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), seconds)
        return not self.running

    async def kill(self) -> None:
        """End it with all its descendants (nothing happens when it has ended) and collect the last output."""
        if self._process.stdin is not None:
            self._process.stdin.close()  # the launcher ends everything below it
        if not await self.wait(_KILL_GRACE_S):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self._reader, 1.0)

    async def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while piece := await stream.read(65_536):
            self._collected.add(piece)
            if self._live is not None:
                self._live.add(piece)


class _LiveOutput:
    """Passes output on as text, at most so much of it that a screen can follow."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._next = 0.0
        self._room = _EMIT_BYTES

    def add(self, piece: bytes) -> None:
        """Emit the piece, or what of its end there is room for in this tenth of a second."""
        now = time.monotonic()
        if now >= self._next:
            self._next, self._room = now + _EMIT_EVERY_S, _EMIT_BYTES
        if self._room > 0:
            text = self._decoder.decode(piece[-self._room :])
            self._room -= len(piece)
            if text:
                self._emit(text)

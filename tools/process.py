"""Commands as child processes: bounded output, time limit, cancellation, and no process left behind.

It does not decide what may run (``agent.permissions`` does), and knows no tool.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from tools.errors import ToolError
from tools.launch import Launch, Started
from tools.limits import Limits, Lookout, threads_on_the_machine
from tools.terminal_text import plain
from tools.truncate import HeadTail

MAX_OUTPUT_BYTES = 100_000_000  # a command that writes more is stopped: nobody reads it
_EMIT_EVERY_S = 0.1
_EMIT_BYTES = 4_000
_POLL_S = 0.05
_KILL_GRACE_S = 5.0
_LOOK_EVERY_S = 0.5
_LOOKOUT = Lookout()


class End(StrEnum):
    """How a command ended."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    FLOODED = "flooded"  # more output than MAX_OUTPUT_BYTES
    OVERRUN = "overrun"  # more processes or memory than allowed


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished command. ``code`` is its exit code (128 + n after signal n); ``output`` head and tail of both
    streams as plain text; ``overrun`` says which limit ended it.
    """

    end: End
    code: int
    output: str
    seconds: float
    overrun: str = ""


_Emit = Callable[[str], None]


class Command:
    """One started command; owns its process and collects its output until ``kill`` or the end."""

    def __init__(self, process: Started, line: socket.socket, launch: Launch, emit: _Emit | None) -> None:
        self._process = process
        self._line = line
        self._launch = launch
        self._collected = HeadTail()
        self._live = _LiveOutput(emit) if emit else None
        self._started = time.monotonic()
        self._overrun = ""
        self._reader = asyncio.create_task(self._read())
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        launch: Launch,
        emit: Callable[[str], None] | None = None,
        limits: Limits | None = None,
        ready: Callable[[], Awaitable[object]] | None = None,
    ) -> Command:
        """Start it in a session of its own; from a thread that lives as long as the command shall.

        It begins only when ``ready`` is, which is called while the process comes up; what that raises is raised.
        Raises ToolError when it cannot be started, or what confines it cannot be set up.
        """
        try:
            process, line = await (launch.starter.start(launch) if launch.starter else _execute(launch))
        except (OSError, ValueError) as error:
            raise ToolError(f"The command could not be started ({error}); check it and try again.") from error
        finally:
            for descriptor in launch.descriptors:
                os.close(descriptor)
        line.setblocking(False)
        command = cls(process, line, launch, emit)
        try:
            await command._begin(None if ready is None else ready())
        except BaseException:
            await asyncio.shield(command.kill())
            raise
        if limits is not None:
            command._watch = asyncio.create_task(command._keep_within(limits))
        return command

    async def _begin(self, ready: Awaitable[object] | None) -> None:
        """Wait until it says that it is there, and let it go on."""
        loop = asyncio.get_running_loop()
        said = b""
        with contextlib.suppress(OSError):  # it has ended already
            said = await loop.sock_recv(self._line, 1)
        if said and ready is not None:
            await ready
        with contextlib.suppress(OSError):
            await loop.sock_sendall(self._line, b"go\n")
        if said:
            return
        await self.kill()
        raise ToolError(f"The command could not be started: {self.output().strip() or 'no reason was given'}.")

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
                elif self._overrun:
                    end = End.OVERRUN
                elif time.monotonic() >= deadline:
                    end = End.TIMED_OUT
                elif self._collected.total > MAX_OUTPUT_BYTES:
                    end = End.FLOODED
                if end is not End.EXITED:
                    break
        finally:
            await asyncio.shield(self.kill())
        if self._overrun:
            end = End.OVERRUN
        code = self._process.returncode or 0
        seconds = time.monotonic() - self._started
        return Completed(end, code if code >= 0 else 128 - code, self.output(), seconds, self._overrun)

    async def wait(self, seconds: float) -> bool:
        """Whether it ended within ``seconds``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), seconds)
        return not self.running

    async def kill(self) -> None:
        """End it with all its descendants (nothing happens when it has ended) and collect the last output."""
        if self._watch is not None:
            self._watch.cancel()
        if self._launch.asked_to_end:
            self._line.close()  # the launcher ends everything below it
        else:
            self._signal()
        if not await self.wait(_KILL_GRACE_S):
            self._signal()
            await self._process.wait()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self._reader, 1.0)
        self._line.close()

    def _signal(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _keep_within(self, limits: Limits) -> None:
        """Kill it when it has too many processes or too much memory.

        Looked at twice a second, and at once when the machine has many more threads than at the last look.
        """
        threads, looked = threads_on_the_machine(), time.monotonic()
        while self.running:
            await asyncio.sleep(_POLL_S)
            now = threads_on_the_machine()
            many_more = now - threads >= limits.processes / 4
            if time.monotonic() - looked < _LOOK_EVERY_S and not many_more:
                continue
            threads, looked = now, time.monotonic()
            since = looked - (0 if many_more else _LOOK_EVERY_S / 2)
            use = await asyncio.to_thread(_LOOKOUT.use_below, self._process.pid, since)
            self._overrun = limits.exceeded_by(use)
            if self._overrun:
                self._signal()
                return

    async def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while piece := await stream.read(65_536):
            self._collected.add(piece)
            if self._live is not None:
                self._live.add(piece)


async def _execute(launch: Launch) -> tuple[Started, socket.socket]:
    """Execute a program as a child of ours, and our side of its standard input; raises OSError or ValueError."""
    ours, theirs = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            *launch.argv,
            cwd="/",
            env=dict(launch.environment),
            stdin=theirs.fileno(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=launch.descriptors,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


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

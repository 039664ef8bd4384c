"""A bubblewrap that is executed before there is a command, and waits for its arguments.

Executing a program takes a third of what a short command waits for. It plans nothing and confines nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import Sequence

from tools.launch import Launch, Started, file_in_memory, reading
from tools.sandbox.seccomp import program


class EarlyBubblewrap:
    """One process, for one command: a Starter, to be made on a thread that lives as long as the command shall.

    ``seccomp`` is the descriptor of the filter and ``script`` that of an empty file; it inherits both. Until it has its
    arguments it has done nothing. Arguments cut short by our death run nothing either: the program that it was executed
    for is a script that only the last of them puts into the sandbox. Raises OSError when it cannot be executed.
    """

    def __init__(self, path: str, run: Sequence[str]) -> None:
        self.seccomp = file_in_memory(program(internet=True))
        self.script = file_in_memory(b"")
        self._told, told_end = socket.socketpair()
        self._line, line_end = socket.socketpair()
        with told_end, line_end:
            try:
                self._process = subprocess.Popen(
                    [path, "--args", str(told_end.fileno()), *run],
                    cwd="/",
                    env={},
                    stdin=line_end.fileno(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(told_end.fileno(), self.seccomp, self.script),
                )
            except BaseException:
                self._close()
                self._line.close()
                raise

    @property
    def waits(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None

    def write_script(self, text: str) -> None:
        """What the file shall hold; once."""
        os.write(self.script, os.fsencode(text))
        os.lseek(self.script, 0, os.SEEK_SET)  # the process shares the place

    async def start(self, launch: Launch) -> tuple[Started, socket.socket]:
        """Give it ``launch.argv`` as its arguments; raises OSError when it is gone."""
        try:
            assert self._process.stdout is not None
            started = _Attached(self._process, await reading(self._process.stdout))
            self._told.setblocking(False)
            words = b"".join(os.fsencode(word) + b"\0" for word in launch.argv)
            await asyncio.get_running_loop().sock_sendall(self._told, words)
        except BaseException:
            self._line.close()
            self._process.kill()
            raise
        finally:
            self._close()
        return started, self._line

    def abandon(self) -> None:
        """End it without a command."""
        self._close()  # it finds no arguments then
        self._line.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _close(self) -> None:
        self._told.close()
        for descriptor in (self.seccomp, self.script):
            os.close(descriptor)


class Waiting:
    """Keeps one bubblewrap ready, to be used on a thread that lives as long as the commands; ``close`` ends it."""

    def __init__(self, path: str, run: Sequence[str]) -> None:
        self._path = path
        self._run = run
        self._ready: EarlyBubblewrap | None = None
        self._closed = False

    def take(self) -> EarlyBubblewrap:
        """The one that waits, or a new one where it is gone; raises OSError."""
        ready, self._ready = self._ready, None
        if ready is not None and ready.waits:
            return ready
        if ready is not None:
            ready.abandon()
        return EarlyBubblewrap(self._path, self._run)

    def refill(self) -> None:
        """Let one wait for the next command."""
        if not self._closed and self._ready is None:
            with contextlib.suppress(OSError):  # the next command will tell
                self._ready = EarlyBubblewrap(self._path, self._run)

    def close(self) -> None:
        """End the one that waits; there will be none any more."""
        self._closed = True
        if self._ready is not None:
            self._ready.abandon()
            self._ready = None


class _Attached:
    """The process on an event loop, from when its command starts: asyncio can only start processes itself."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: asyncio.StreamReader) -> None:
        self.stdout = stdout
        self._process = process
        loop = asyncio.get_running_loop()
        try:
            self._descriptor = os.pidfd_open(process.pid)  # readable when it has ended
        except OSError:  # a kernel before 5.3
            self._ended: asyncio.Future[int] = asyncio.ensure_future(asyncio.to_thread(process.wait))
        else:
            self._ended = loop.create_future()
            loop.add_reader(self._descriptor, self._end)

    @property
    def pid(self) -> int:
        """It leads a process group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self._ended)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._ended.set_result(self._process.wait())

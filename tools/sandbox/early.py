"""A bubblewrap that is executed before there is a command, and waits for its arguments.

Executing a program takes a third of what a short command waits for. It plans nothing and confines nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Sequence

from tools.launch import Launch, Started, file_in_memory
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
            started = await _Attached.to(self._process)
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


class _Attached:
    """The process on an event loop, from when its command starts: asyncio can only start processes itself."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: asyncio.StreamReader) -> None:
        self.stdout = stdout
        self._process = process
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()
        try:
            self._descriptor = os.pidfd_open(process.pid)  # readable when it has ended
        except OSError:  # a kernel before 5.3
            self._ended = asyncio.ensure_future(asyncio.to_thread(process.wait))
        else:
            loop.add_reader(self._descriptor, self._end)

    @classmethod
    async def to(cls, process: subprocess.Popen[bytes]) -> _Attached:
        """Take over the process and its output."""
        loop = asyncio.get_running_loop()
        stdout = asyncio.StreamReader(limit=2**16, loop=loop)
        attached = cls(process, stdout)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdout, loop=loop), process.stdout)
        return attached

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

"""The agent's side of the launch server, and a command that was started by it.

What is done there is in ``tools.launch_server`` and ``tools.launcher``; it decides nothing.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import subprocess
import threading
from pathlib import Path

from tools.launch import Launch, Started, bundle, file_in_memory, interpreter, reading

_KILLED = 128 + 9
_HERE = Path(__file__).parent
SCRIPTS = (_HERE / "launcher.py", _HERE / "sandbox/supervisor.py", _HERE / "launch_server.py")


class LaunchServer:
    """Starts commands, each below a launcher that the server forks; ``close`` ends the server. A Starter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None

    def prepare(self) -> None:
        """Start the server unless it runs; takes some 20 ms then. Raises OSError."""
        with self._lock:
            if self._running is not None and self._running[0].poll() is not None:
                self._end()
            if self._running is None:
                self._running = _start_server()

    async def start(self, launch: Launch) -> tuple[Started, socket.socket]:
        """Start a command, and our side of its standard input; a server that was killed is started anew.

        Raises OSError when that does not help.
        """
        try:
            return await self._ask(launch)
        except OSError:
            # A killed process can be seen for a moment as one that runs. Nothing of the command has begun.
            if not self._forget_if_gone():
                raise
        self.prepare()
        return await self._ask(launch)

    async def _ask(self, launch: Launch) -> tuple[Started, socket.socket]:
        line, line_end = socket.socketpair()
        output, output_end = os.pipe()
        told, told_end = os.pipe()
        try:
            descriptors = array.array("i", [line_end.fileno(), output_end, told_end, *launch.descriptors])
            with self._lock:
                if self._running is None:
                    raise BrokenPipeError("there is no launch server")
                self._running[1].sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        except BaseException:
            line.close()
            os.close(output)
            os.close(told)
            raise
        finally:
            line_end.close()
            os.close(output_end)
            os.close(told_end)
        try:
            return await Served.watch(output, told), line
        except BaseException:
            line.close()
            raise

    def close(self) -> None:
        """End the server; commands that still run end with the agent's side of their line."""
        with self._lock:
            self._end()

    def _forget_if_gone(self) -> bool:
        """Whether the server has closed its end, which only its death does."""
        with self._lock:
            if self._running is None:
                return False
            try:
                gone = not self._running[1].recv(1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except OSError:
                gone = True
            if gone:
                self._end()
            return gone

    def _end(self) -> None:
        if self._running is not None:
            process, control = self._running
            self._running = None
            control.close()
            process.wait()


def _start_server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    number = file_in_memory(bundle(*SCRIPTS))
    run = (
        f"import marshal, os, socket; os.set_inheritable({number}, False); file = open({number}, 'rb')\n"
        "launcher, supervisor, server = {}, {}, {}\n"
        "for space in (launcher, supervisor, server): exec(marshal.load(file), space)\n"
        "file.close()\n"
        f"control = socket.socket(fileno={theirs.fileno()}); control.set_inheritable(False)\n"
        "server['serve'](control, lambda spec: launcher['main'](spec, supervisor['Supervisor']))"
    )
    try:
        process = subprocess.Popen(
            [interpreter(), "-I", "-S", "-c", run],
            cwd="/",
            env={"LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(number, theirs.fileno()),
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(number)
    return process, ours


class Served:
    """A started command; the launcher says its process id first and the exit code in the end."""

    def __init__(self, stdout: asyncio.StreamReader, told: int) -> None:
        loop = asyncio.get_running_loop()
        self.stdout = stdout
        self.pid = 0
        self.returncode: int | None = None
        self._told = told
        self._text = b""
        self._begun: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(told, self._hear)

    @classmethod
    async def watch(cls, output: int, told: int) -> Served:
        """Take over both descriptors; raises OSError when the launcher did not even begin."""
        served = cls(await reading(os.fdopen(output, "rb", buffering=0)), told)
        await served._begun
        if not served.pid:
            raise OSError("the launch server could not start a process")
        return served

    async def wait(self) -> int:
        """Wait for the end; the exit code."""
        await asyncio.shield(self._ended)
        assert self.returncode is not None
        return self.returncode

    def _hear(self) -> None:
        said = os.read(self._told, 64)
        self._text += said
        lines = self._text.split(b"\n")
        if lines[0] and len(lines) > 1 and not self._begun.done():
            self.pid = int(lines[0])
            self._begun.set_result(None)
        if said and len(lines) < 3:
            return
        asyncio.get_running_loop().remove_reader(self._told)
        os.close(self._told)
        self.returncode = int(lines[1]) if len(lines) > 2 else _KILLED
        self._ended.set_result(None)
        if not self._begun.done():
            self._begun.set_result(None)

"""Forks a launcher for each command, which is several times quicker than a new interpreter; a script of its own.

It ends when the agent closes its socket, or is killed; launchers see that by themselves. It imports nothing of ours.
"""

from __future__ import annotations

import array
import gc
import marshal
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

_DESCRIPTORS = 8  # more than any request has


def serve(control: socket.socket, launch: Callable[[dict[str, Any]], int]) -> None:
    """Fork a launcher for each request until the agent is gone.

    A request is one message with descriptors: the command's line to the agent, its output, where the launcher tells its
    process id and in the end the exit code, the specification, and then those that this names by their places.
    """
    gc.disable()
    gc.freeze()  # a fork copies what it touches: nothing needs to be looked at
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for launchers: the kernel clears them away
    while True:
        try:
            descriptors = _received(control)
        except OSError:
            return
        if not descriptors:
            return
        try:
            if os.fork() == 0:
                _launch(control, descriptors, launch)
        except OSError:  # no more processes: the agent sees that nothing begins
            pass
        for each in descriptors:
            os.close(each)


def _received(control: socket.socket) -> list[int]:
    """The descriptors of the next request; none at the end."""
    size = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
    _, messages, _, _ = control.recvmsg(1, size, socket.MSG_CMSG_CLOEXEC)
    found = array.array("i")
    for _level, _kind, data in messages:
        found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def _launch(control: socket.socket, descriptors: list[int], launch: Callable[[dict[str, Any]], int]) -> None:
    """Be the launcher; does not return."""
    code = 127
    try:
        control.close()
        line, output, told, specification, *others = descriptors
        os.setsid()
        for descriptor, place in ((line, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, place)
        os.close(line)
        os.close(output)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.write(told, b"%d\n" % os.getpid())
        with open(specification, "rb") as file:  # noqa: PTH123 - pathlib would cost its import
            spec: dict[str, Any] = marshal.load(file)  # noqa: S302 - from the agent
        confinement = spec["confinement"]
        if confinement is not None:
            confinement["ruleset"] = others[0]
        code = launch(spec)
        os.close(1)  # before the end is told: the output is complete
        os.close(2)
        os.write(told, b"%d\n" % code)
    finally:
        os._exit(code)

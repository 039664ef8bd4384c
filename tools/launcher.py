"""Runs one command and takes every descendant of it down when it ends or when the agent dies; a script of its own.

It reads nothing from its standard input but its end: the agent holds the other side of that pipe, so a kill -9 of the
agent ends it too. It imports nothing of ours, to start in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_GIVE_UP_S = 2.0
_NOT_STARTED = 127


def main(command: list[str]) -> int:
    """Run ``command`` with empty input; returns its exit code, 128 + signal number when a signal ended it."""
    _become_subreaper()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    child = _start(command)
    while True:
        status = _reap(child)
        if status is not None:
            left = _end_descendants(child)
            if left:
                message = f"\n({left} background process(es) were stopped with the command)\n"
                with contextlib.suppress(OSError):
                    os.write(2, message.encode())
            return status
        ready, _, _ = select.select([0, reader], [], [])
        if reader in ready:
            os.read(reader, 4096)
        if 0 in ready and not os.read(0, 4096):
            _end_descendants(child)
            return 128 + signal.SIGKILL


def _become_subreaper() -> None:
    """Orphans among the descendants become our children instead of init's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    """A setting of this process; nothing happens where there is no such call (only Linux has it)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _start(command: list[str]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # in case the command kills us; this thread lives as long as we do
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them; commands must not inherit that
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.execvp(command[0], command)  # noqa: S606 - the argument list is run as it is, without a shell
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(_NOT_STARTED)


def _reap(child: int) -> int | None:
    """Collect ended children; the exit code once ``child`` is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            result = os.waitstatus_to_exitcode(status)
            code = result if result >= 0 else 128 - result


def _end_descendants(child: int) -> int:
    """Kill all descendants; returns how many were alive at first."""
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    deadline = time.monotonic() + _GIVE_UP_S
    count = 0
    while time.monotonic() < deadline:
        _reap(-1)
        alive = _descendants()
        count = max(count, len(alive))
        if not alive:
            break
        for pid in alive:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    return count


def _descendants() -> list[int]:
    """Process ids of our children, theirs, and so on; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would cost its import
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                        fields = file.read().rpartition(b")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    pending = [os.getpid()]
    while pending:
        inner = children.get(pending.pop(), [])
        found += inner
        pending += inner
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

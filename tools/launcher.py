"""Runs one command and takes every descendant of it down when it ends or when the agent dies; a script of its own.

Its standard input is a socket whose other side the agent holds, so a kill -9 of the agent ends it too; all that comes
by it is the word to begin. It imports nothing of ours and is compiled by the agent, to start in a few milliseconds.
Where the agent says so, the command is confined by Landlock and seccomp, and the supervisor answers what these leave
open.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

# linux/prctl.h, linux/seccomp.h, linux/capability.h
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 24, 36, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL, _CAPABILITY_VERSION = 4, 0x20080522
_SET_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 1 << 3, 1 << 5  # only a fatal signal takes a call back
_RESTRICT_SELF = 446  # landlock_restrict_self, the same number on every architecture
_GIVE_UP_S = 2.0
_SOON_S = 0.25  # processes that were killed end within milliseconds, on a busy machine too
_NOT_STARTED = 127


def main(spec: dict[str, Any], supervisor: Any = None) -> int:
    """Run ``spec``'s command with empty input; returns its exit code, 128 + signal number when a signal ended it.

    ``spec`` is made by ``tools.launch.launcher``: command, folder, environment, and confinement or None. ``supervisor``
    is made with a listener, the calls and the places of the confinement; its ``answer`` answers one call.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans among the descendants become our children instead of init's
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    confinement = spec["confinement"]
    if confinement is not None:
        _drop_capabilities()  # ours too: a supervisor must not do more for a command than that could do itself
    child, listener = _start(spec)
    answers = None
    if confinement is not None and listener >= 0:
        answers = supervisor(listener, confinement["calls"], confinement["places"])
    poller = select.poll()
    poller.register(0, 0)  # for its end, which is always told; what comes by it is the command's
    poller.register(reader, select.POLLIN)
    if listener >= 0:
        poller.register(listener, select.POLLIN)
    while True:
        status = _reap(child)
        if status is not None:
            left = _end_descendants(child) if _has_children() else 0
            if left:
                _tell(f"\n({left} background process(es) were stopped with the command)\n")
            return status
        events = dict(poller.poll())
        if reader in events:
            os.read(reader, 4096)
        if listener in events:
            if not events[listener] & select.POLLIN:  # nobody is left who could call
                poller.unregister(listener)
            elif answers is not None:
                answers.answer()
        if 0 in events:
            _end_descendants(child)
            return 128 + signal.SIGKILL


def _tell(text: str) -> None:
    try:
        os.write(2, text.encode("utf-8", "replace"))
    except OSError:  # nobody reads it
        return


def _start(spec: dict[str, Any]) -> tuple[int, int]:
    """The command's process id, and the descriptor on which the kernel asks about its calls, or -1."""
    ours = theirs = None
    if spec["confinement"] is not None:
        ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        _become(spec, theirs)
    if ours is None or theirs is None:
        return child, -1
    theirs.close()
    with ours:
        # Not to be inherited: who holds it could answer.
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
    return child, descriptors[0] if descriptors else -1


def _become(spec: dict[str, Any], supervisor: socket.socket | None) -> NoReturn:
    """Turn this process into the command."""
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # in case the command kills us; this thread lives as long as we do
        for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them; commands must not inherit that
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.chdir(spec["folder"])
        started = os.dup(0)
        os.set_inheritable(started, False)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if supervisor is not None:
            _confine(spec["confinement"], supervisor)
        os.write(started, b".")
        if not os.read(started, 3):  # the word to begin
            os._exit(_NOT_STARTED)
        command: list[str] = spec["command"]
        os.execvpe(command[0], command, spec["environment"])  # noqa: S606 - run as it is, without a shell
    except OSError as error:
        _tell(f"{error.filename or spec['command'][0]}: {error.strerror}\n")
    finally:
        os._exit(_NOT_STARTED)


def _confine(confinement: dict[str, Any], supervisor: socket.socket) -> None:
    """Give up rights for good, from the widest to the one that forbids giving up more; raises OSError."""
    _limit(confinement["processes"])
    library = ctypes.CDLL(None, use_errno=True)
    _check(library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(library.syscall(_RESTRICT_SELF, ctypes.c_int(confinement["ruleset"]), ctypes.c_uint32(0)))
    os.close(confinement["ruleset"])
    filters: bytes = confinement["seccomp"]
    buffer = ctypes.create_string_buffer(filters, len(filters))

    class Program(ctypes.Structure):  # struct sock_fprog of linux/filter.h
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program = Program(len(filters) // 8, ctypes.addressof(buffer))
    flags = ctypes.c_uint(_NEW_LISTENER | _WAIT_KILLABLE)
    listener: int = library.syscall(confinement["seccomp_call"], _SET_FILTER, flags, ctypes.byref(program))
    _check(min(listener, 0))
    socket.send_fds(supervisor, [b"."], [listener])
    os.close(listener)


def _limit(processes: int) -> None:
    """No core dumps, no more than so many processes of this user; out of memory, this ends first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    wanted = processes if most == resource.RLIM_INFINITY else min(processes, most)
    resource.setrlimit(resource.RLIMIT_NPROC, (wanted, wanted))
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - memory that runs out hits this first
            file.write("1000")
    except OSError:
        return


def _drop_capabilities() -> None:
    """For good: what the command starts cannot regain them either."""
    library = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        library.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those who have none to drop
    library.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _check(library.capset(header, (ctypes.c_uint32 * 6)()))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "the sandbox")


def _prctl(option: int, value: int) -> None:
    """A setting of this process; nothing happens where there is no such call (only Linux has it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


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


def _has_children() -> bool:
    """Whether anything below us is alive: whoever lost its parent has become our child."""
    if sys.platform != "linux":
        return True
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _end_descendants(child: int) -> int:
    """Kill all descendants; returns how many were alive at first.

    One look is mostly enough, and many launchers that look at every process at once take seconds. Where it was not, all
    are stopped before they are killed: whoever forks faster than we look would go on for ever.
    """
    deadline = time.monotonic() + _GIVE_UP_S
    _signal(os.killpg, child, signal.SIGSTOP)
    stopped = set(_descendants())
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in stopped:
            _signal(os.kill, pid, number)
    if _none_left_within(_SOON_S):
        return len(stopped)
    while new := set(_descendants()) - stopped:
        for pid in new:
            _signal(os.kill, pid, signal.SIGSTOP)
        stopped |= new
        if time.monotonic() > deadline:
            break
    while alive := _descendants():
        for pid in alive:
            _signal(os.kill, pid, signal.SIGKILL)
        _reap(-1)
        if time.monotonic() > deadline + _GIVE_UP_S:
            break
        time.sleep(0.002)
    return len(stopped)


def _none_left_within(seconds: float) -> bool:
    """Whether all descendants end soon: whoever loses its parent becomes our child, so without children there are none.

    Never known where that is not so: only Linux has it.
    """
    until = time.monotonic() + seconds
    while sys.platform == "linux" and time.monotonic() < until:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not ended:
            time.sleep(0.002)
    return False


def _signal(how: Any, pid: int, number: int) -> None:
    try:
        how(pid, number)
    except OSError:  # it has ended
        return


def _descendants() -> list[int]:
    """Process ids of our children, theirs, and so on; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib would cost its import
    except OSError:
        names = []
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    fields = file.read().rpartition(b")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(name))
            except (OSError, ValueError, IndexError):
                continue
    found: list[int] = []
    pending = [os.getpid()]
    while pending:
        inner = children.get(pending.pop(), [])
        found += inner
        pending += inner
    return found

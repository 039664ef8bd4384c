"""Answers system calls of a confined command that Landlock knows nothing of; a script of its own, beside the launcher.

They change rights, owners, times and extended attributes of files, or reach other processes. The kernel stops the
caller until it is answered (seccomp_unotify(2)). A call on a file of the command's own places is carried out here, on
the very file that was looked at: what it names could be exchanged by then. It imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import struct
from collections.abc import Callable, Mapping, Sequence

# linux/seccomp.h: struct seccomp_notif, seccomp_notif_resp, and the requests on a listener.
_REQUEST, _RESPONSE = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_RECEIVE, _SEND, _STILL_VALID = 0xC0502100, 0xC0182101, 0x40082102
_CONTINUE = 1
_AT_FDCWD, _AT_EMPTY_PATH, _AT_SYMLINK_NOFOLLOW = -100, 0x1000, 0x100
_OPENAT2, _NO_MAGIC_LINKS = 437, 0x02  # linux/openat2.h; the number is the same on every architecture
_LONGEST_PATH, _LARGEST_ATTRIBUTE = 4096, 65_536  # linux/limits.h
_OF_ITSELF = re.compile(rb"/(?:proc/(?:self|thread-self)|dev)/fd/(\d+)")
_NO_FILE = re.compile(r"(pipe|socket|anon_inode):")


class _Call:
    """One call that waits: who made it, what it is called, and its arguments as unsigned numbers."""

    def __init__(self, listener: int, names: Mapping[int, str]) -> None:
        request = bytearray(_REQUEST.size)
        fcntl.ioctl(listener, _RECEIVE, request, True)
        self.id, self.caller, _flags, number, _arch, _pointer, *self.arguments = _REQUEST.unpack(request)
        self.name = names.get(number, "")
        self._listener = listener

    def require_waiting(self) -> None:
        """Raise OSError when the caller is gone: its number may be another process's by now."""
        fcntl.ioctl(self._listener, _STILL_VALID, struct.pack("=Q", self.id))

    def answer(self, error: int, flags: int = 0) -> None:
        fcntl.ioctl(self._listener, _SEND, _RESPONSE.pack(self.id, 0, -error, flags))

    def signed(self, index: int) -> int:
        return ctypes.c_int32(self.arguments[index] & 0xFFFFFFFF).value

    def memory(self, address: int, size: int) -> bytes:
        """So many bytes of the caller's memory, fewer where it ends."""
        descriptor = os.open(f"/proc/{self.caller}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, size, address)
        except OverflowError:
            raise OSError(errno.EFAULT, "no such address") from None
        finally:
            os.close(descriptor)

    def text(self, index: int) -> bytes:
        """The string that an argument points at."""
        found, ended, _ = self.memory(self.arguments[index], _LONGEST_PATH).partition(b"\0")
        if not ended:
            raise OSError(errno.ENAMETOOLONG, "too long")
        return found


class Supervisor:
    """``calls`` names the system calls that come (number -> name); ``places`` are where a command may change files."""

    def __init__(self, listener: int, calls: Mapping[int, str], places: Sequence[str]) -> None:
        self._listener = listener
        self._names = dict(calls)
        self._numbers = {name: number for number, name in calls.items()}
        self._places = tuple(places)
        self._library = ctypes.CDLL(None, use_errno=True)

    def answer(self) -> None:
        """Answer the call that waits; nothing happens when it is gone. Blocks when none waits."""
        try:
            call = _Call(self._listener, self._names)
        except OSError:
            return
        error, flags = 0, 0
        try:
            if call.name in _PROCESSES:
                flags = _CONTINUE if self._is_own_process(call) else 0
                error = 0 if flags else errno.EPERM
            else:
                self._change(call)
        except OSError as problem:
            error = problem.errno or errno.EPERM
        try:
            call.answer(error, flags)
        except OSError:  # it is gone
            return

    def _is_own_process(self, call: _Call) -> bool:
        """Whether a call to a process is to one below us; its arguments are numbers, which nobody can exchange."""
        wanted = call.signed(_PROCESSES[call.name])
        if call.name == "ioprio_set" and call.signed(0) != 1:  # IOPRIO_WHO_PROCESS
            return False
        if call.name == "kill" and wanted in (0, -1):
            return wanted == 0
        return _descends_from(abs(wanted), os.getpid())

    def _change(self, call: _Call) -> None:
        if call.name not in _CHANGES:
            raise OSError(errno.EPERM, "unknown")
        act, target = _CHANGES[call.name](self, call)
        try:
            call.require_waiting()
            if not self._is_own(target):
                raise OSError(errno.EPERM, "outside")
            act(target)
        finally:
            os.close(target)

    def _is_own(self, descriptor: int) -> bool:
        """Whether a file lies where the command may write; what has no name any more can do no harm."""
        name = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - pathlib would cost its import
        if _NO_FILE.match(name) or os.fstat(descriptor).st_nlink == 0:
            return True
        return any(name == place or name.startswith(f"{place}/") for place in self._places)

    def by_descriptor(self, call: _Call, index: int) -> int:
        """The file behind one of the caller's descriptors."""
        number = call.signed(index)
        if number == _AT_FDCWD:
            return os.open(f"/proc/{call.caller}/cwd", os.O_PATH | os.O_CLOEXEC)
        if number < 0:
            raise OSError(errno.EBADF, "no descriptor")
        try:
            return os.open(f"/proc/{call.caller}/fd/{number}", os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            raise OSError(errno.EBADF, "no descriptor") from None

    def by_path(self, call: _Call, index: int, folder: int | None = None, flags: int = 0) -> int:
        """The file that a path of the caller names, from its own folder or from that of a descriptor."""
        path = call.text(index)
        if not path and flags & _AT_EMPTY_PATH and folder is not None:
            return self.by_descriptor(call, folder)
        if not path:
            raise OSError(errno.ENOENT, "no path")
        itself = _OF_ITSELF.fullmatch(path)
        if itself:  # it means the caller's, and would be ours; the C library goes this way
            return os.open(f"/proc/{call.caller}/fd/{int(itself[1])}", os.O_PATH | os.O_CLOEXEC)
        if path.startswith(b"/") or folder is None:
            start = os.open(f"/proc/{call.caller}/cwd", os.O_PATH | os.O_CLOEXEC)
        else:
            start = self.by_descriptor(call, folder)
        try:
            link = os.O_NOFOLLOW if flags & _AT_SYMLINK_NOFOLLOW else 0
            how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC | link, 0, _NO_MAGIC_LINKS)
            return self.do(_OPENAT2, start, path, how, len(how))
        finally:
            os.close(start)

    def do(self, number: int, *arguments: int | bytes | None) -> int:
        """Make a system call ourselves; raises OSError."""
        plain = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
        result: int = self._library.syscall(ctypes.c_long(number), *plain)
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    def mode(self, value: int) -> Callable[[int], object]:
        """How to give a file these rights."""
        number = self._numbers["fchmodat"]
        return lambda file: self.do(number, _AT_FDCWD, b"/proc/self/fd/%d" % file, value & 0o7777)

    def owner(self, user: int, group: int) -> Callable[[int], object]:
        """How to give a file to somebody."""
        number = self._numbers["fchownat"]
        return lambda file: self.do(number, file, b"", user, group, _AT_EMPTY_PATH)

    def times(self, packed: bytes | None) -> Callable[[int], object]:
        """How to set a file's times: two of struct timespec, or now."""
        number = self._numbers["utimensat"]
        return lambda file: self.do(number, file, b"", packed, _AT_EMPTY_PATH)

    def attribute(self, call: _Call) -> Callable[[int], object]:
        """How to set an extended attribute: arguments 1 to 4 are its name, value, size, and flags."""
        name, size = call.text(1), call.arguments[3]
        if size > _LARGEST_ATTRIBUTE:
            raise OSError(errno.E2BIG, "too large")
        value = call.memory(call.arguments[2], size) if size else b""
        if len(value) < size:
            raise OSError(errno.EFAULT, "no such address")
        number, flags = self._numbers["setxattr"], call.signed(4)
        return lambda file: self.do(number, b"/proc/self/fd/%d" % file, name, value, size, flags)

    def no_attribute(self, call: _Call) -> Callable[[int], object]:
        """How to remove an extended attribute."""
        number, name = self._numbers["removexattr"], call.text(1)
        return lambda file: self.do(number, b"/proc/self/fd/%d" % file, name)


_Change = tuple[Callable[[int], object], int]  # what to do, and with which file (a descriptor)


def _utimensat(self: Supervisor, call: _Call) -> _Change:
    address, flags = call.arguments[2], call.signed(3)
    act = self.times(_exactly(call, address, 32) if address else None)
    if call.arguments[1] == 0:  # no path: the descriptor itself
        return act, self.by_descriptor(call, 0)
    return act, self.by_path(call, 1, 0, flags)


def _old_times(self: Supervisor, call: _Call, index: int) -> Callable[[int], object]:
    """``utime`` has seconds, ``utimes`` and ``futimesat`` microseconds."""
    address = call.arguments[index]
    if not address:
        return self.times(None)
    if call.name == "utime":
        read, changed = struct.unpack("=qq", _exactly(call, address, 16))
        return self.times(struct.pack("=qqqq", read, 0, changed, 0))
    read, read_us, changed, changed_us = struct.unpack("=qqqq", _exactly(call, address, 32))
    if not (0 <= read_us < 1_000_000 and 0 <= changed_us < 1_000_000):
        raise OSError(errno.EINVAL, "no time")
    return self.times(struct.pack("=qqqq", read, 1000 * read_us, changed, 1000 * changed_us))


def _exactly(call: _Call, address: int, size: int) -> bytes:
    found = call.memory(address, size)
    if len(found) < size:
        raise OSError(errno.EFAULT, "no such address")
    return found


_LINK = _AT_SYMLINK_NOFOLLOW
_CHANGES: Mapping[str, Callable[[Supervisor, _Call], _Change]] = {
    "chmod": lambda s, c: (s.mode(c.signed(1)), s.by_path(c, 0)),
    "fchmod": lambda s, c: (s.mode(c.signed(1)), s.by_descriptor(c, 0)),
    "fchmodat": lambda s, c: (s.mode(c.signed(2)), s.by_path(c, 1, 0)),
    "fchmodat2": lambda s, c: (s.mode(c.signed(2)), s.by_path(c, 1, 0, c.signed(3))),
    "chown": lambda s, c: (s.owner(c.signed(1), c.signed(2)), s.by_path(c, 0)),
    "lchown": lambda s, c: (s.owner(c.signed(1), c.signed(2)), s.by_path(c, 0, flags=_LINK)),
    "fchown": lambda s, c: (s.owner(c.signed(1), c.signed(2)), s.by_descriptor(c, 0)),
    "fchownat": lambda s, c: (s.owner(c.signed(2), c.signed(3)), s.by_path(c, 1, 0, c.signed(4))),
    "utime": lambda s, c: (_old_times(s, c, 1), s.by_path(c, 0)),
    "utimes": lambda s, c: (_old_times(s, c, 1), s.by_path(c, 0)),
    "futimesat": lambda s, c: (_old_times(s, c, 2), s.by_path(c, 1, 0)),
    "utimensat": _utimensat,
    "setxattr": lambda s, c: (s.attribute(c), s.by_path(c, 0)),
    "lsetxattr": lambda s, c: (s.attribute(c), s.by_path(c, 0, flags=_LINK)),
    "fsetxattr": lambda s, c: (s.attribute(c), s.by_descriptor(c, 0)),
    "removexattr": lambda s, c: (s.no_attribute(c), s.by_path(c, 0)),
    "lremovexattr": lambda s, c: (s.no_attribute(c), s.by_path(c, 0, flags=_LINK)),
    "fremovexattr": lambda s, c: (s.no_attribute(c), s.by_descriptor(c, 0)),
}
# Which argument names the process.
_PROCESSES = {
    "sched_setaffinity": 0, "sched_setscheduler": 0, "sched_setparam": 0, "sched_setattr": 0, "ioprio_set": 1,
    "kill": 0, "tkill": 0, "tgkill": 0, "rt_sigqueueinfo": 0, "rt_tgsigqueueinfo": 0,
}  # fmt: skip


def _descends_from(process: int, ancestor: int) -> bool:
    """Whether a process (or thread) is below another one; who lost its parent is a child of the launcher's."""
    while process > 1 and process != ancestor:
        try:
            with open(f"/proc/{process}/stat", "rb") as file:  # noqa: PTH123 - pathlib would cost its import
                process = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return process == ancestor

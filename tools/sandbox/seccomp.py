"""The seccomp program of a sandboxed command: which system calls it must not make, as the kernel's filter bytes.

It installs nothing; bubblewrap and the launcher do.
"""

from __future__ import annotations

import errno
import functools
import platform
import struct
from dataclasses import dataclass

# Filter opcodes of linux/bpf_common.h and return values of linux/seccomp.h.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
# struct seccomp_data: nr, arch, instruction pointer, six 64-bit arguments (little endian on all we know).
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16

_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # both put characters into a terminal's input
_AF_INET, _AF_INET6, _AF_NETLINK = 2, 10, 16
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; NEWTIME is one of unshare's only.
_NEW_NAMESPACE = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_NEW_TIME = 0x00000080
_X32 = 0x40000000  # x86-64 also takes these numbers, for another calling convention

# name: (x86-64, generic table of arm64 and riscv64); -1 where there is none. Newer calls have one number everywhere.
_DENIED = {
    # look into or steer other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    # large kernel surfaces that commands of a repository do not need, or that go past other rules
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    # mounts and namespaces
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    # the machine
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266), "syslog": (103, 116),
    "vhangup": (153, 58), "iopl": (172, -1), "ioperm": (173, -1), "lookup_dcookie": (212, 18),
}  # fmt: skip
_PRLIMIT, _SETPRIORITY = (302, 261), (141, 140)
_SOCKET, _IOCTL, _UNSHARE, _CLONE, _CLONE3 = (41, 198), (16, 29), (272, 97), (56, 220), (435, 435)
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "riscv64": (0xC00000F3, 1)}  # linux/audit.h


class UnknownProcessor(Exception):
    """There is no table of system calls for this processor."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction; ``then`` and ``otherwise`` are how many instructions to skip."""

    code: int
    value: int
    then: int = 0
    otherwise: int = 0

    def pack(self) -> bytes:
        return struct.pack("=HBBI", self.code, self.then, self.otherwise, self.value)


@functools.cache
def program(internet: bool, machine: str | None = None) -> bytes:
    """An array of ``struct sock_filter`` for this processor (or ``machine``); raises UnknownProcessor.

    ``internet`` lets sockets of the Internet families be made (in a network namespace of its own that is harmless).
    Everything forbidden fails with EPERM, so that programs can tell; calls of another architecture kill.
    """
    machine = machine or platform.machine()
    if machine not in _MACHINES:
        raise UnknownProcessor(f"there is no system call table for {machine}")
    arch, column = _MACHINES[machine]
    steps = [
        _Step(_LOAD, _ARCH),
        _Step(_EQUAL, arch, then=1),
        _Step(_RETURN, _KILL),
        _Step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        steps += [_Step(_AT_LEAST, _X32, otherwise=1), _Step(_RETURN, _KILL)]
    for numbers in _DENIED.values():
        if numbers[column] >= 0:
            steps += [_Step(_EQUAL, numbers[column], otherwise=1), _Step(_RETURN, _ERRNO | errno.EPERM)]
    # Without it glibc uses clone, whose flags can be seen here; clone3 hides them in memory.
    steps += [_Step(_EQUAL, _CLONE3[column], otherwise=1), _Step(_RETURN, _ERRNO | errno.ENOSYS)]
    families = (_AF_NETLINK, _AF_INET, _AF_INET6) if internet else (_AF_NETLINK,)
    steps += _argument(_SOCKET[column], 0, _only(families))
    steps += _argument(_IOCTL[column], 1, _except((_TIOCSTI, _TIOCLINUX)))
    steps += _argument(_CLONE[column], 0, _without_bits(_NEW_NAMESPACE))
    steps += _argument(_UNSHARE[column], 0, _without_bits(_NEW_NAMESPACE | _NEW_TIME))
    steps += _argument(_PRLIMIT[column], 0, _only((0,)))  # of itself only
    steps += _argument(_SETPRIORITY[column], 1, _only((0,)))
    steps.append(_Step(_RETURN, _ALLOW))
    return b"".join(step.pack() for step in steps)


def _argument(number: int, index: int, checks: list[_Step]) -> list[_Step]:
    """Run ``checks`` on the low half of one argument (all the kernel looks at) of system call ``number``."""
    load = _Step(_LOAD, _FIRST_ARGUMENT + 8 * index)
    return [_Step(_EQUAL, number, otherwise=len(checks) + 1), load, *checks]


def _only(values: tuple[int, ...]) -> list[_Step]:
    left = len(values)
    tests = [_Step(_EQUAL, value, then=left - place) for place, value in enumerate(values)]
    return [*tests, _Step(_RETURN, _ERRNO | errno.EPERM), _Step(_RETURN, _ALLOW)]


def _except(values: tuple[int, ...]) -> list[_Step]:
    left = len(values)
    tests = [_Step(_EQUAL, value, then=left - place) for place, value in enumerate(values)]
    return [*tests, _Step(_RETURN, _ALLOW), _Step(_RETURN, _ERRNO | errno.EPERM)]


def _without_bits(bits: int) -> list[_Step]:
    return [_Step(_ANY_BIT, bits, then=1), _Step(_RETURN, _ALLOW), _Step(_RETURN, _ERRNO | errno.EPERM)]

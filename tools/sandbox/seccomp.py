"""The seccomp program of a sandboxed command: which system calls it must not make, as the kernel's filter bytes.

It installs nothing; bubblewrap and the launcher do.
"""

from __future__ import annotations

import errno
import functools
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass

# Filter opcodes of linux/bpf_common.h and return values of linux/seccomp.h.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _ERRNO, _NOTIFY = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
# struct seccomp_data: nr, arch, instruction pointer, six 64-bit arguments (little endian on all we know).
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16

_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # both put characters into a terminal's input
# What an owner may do to a file that is open for reading only (linux/fs.h, fsverity.h, fscrypt.h): FS_IOC_SETFLAGS,
# SETVERSION (and both as 32-bit programs say them), FSSETXATTR, ENABLE_VERITY, SET_ENCRYPTION_POLICY.
_FILE_IOCTLS = (0x40086602, 0x40046602, 0x40087602, 0x40047602, 0x401C5820, 0x40806685, 0x800C6613)
# btrfs makes and deletes subvolumes in any folder that is open (linux/btrfs.h): SNAP_CREATE, SUBVOL_CREATE, the second
# versions of both, SNAP_DESTROY (two of it), SUBVOL_SETFLAGS.
_BTRFS_IOCTLS = (0x50009401, 0x5000940E, 0x50009417, 0x50009418, 0x5000940F, 0x5000943F, 0x4008941A)
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
# The kinds of socket that stay with their peer; a pair of datagram sockets can send to any socket in the file system.
_SOCK_STREAM, _SOCK_SEQPACKET, _KIND = 1, 5, 0x0F
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
# Where there are no namespaces these reach what other programs of the user share among themselves.
_SHARED = {
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
}  # fmt: skip
# Rights, owners, times and extended attributes of a file: Landlock knows none of them.
_ATTRIBUTES = {
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, -1),
    "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "utime": (132, -1), "utimes": (235, -1),
    "futimesat": (261, -1), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
# Newer ways to do the same; whoever finds them missing takes the older ones.
_MISSING = {"setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469)}
# Another process's turn on the processors and disks: the first argument names the process, or the second one.
_SCHEDULING = {
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30),
}  # fmt: skip
# Before its sixth version Landlock lets signals go to any process of the user.
_SIGNALS = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip
_SIGNALS_BY_DESCRIPTOR = {"pidfd_send_signal": (424, 424)}
_FCNTL, _F_SETOWN, _F_SETOWN_EX = (72, 25), 8, 15  # who gets SIGIO, or any other signal
_OWNER_IOCTLS = (0x8901, 0x8902)  # FIOSETOWN and SIOCSPGRP do the same
_PRLIMIT, _SETPRIORITY = (302, 261), (141, 140)
_SOCKET, _IOCTL, _UNSHARE, _CLONE, _CLONE3 = (41, 198), (16, 29), (272, 97), (56, 220), (435, 435)
_SOCKETPAIR, _SECCOMP = (53, 199), (317, 277)
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
def program(internet: bool, machine: str | None = None, *, supervised: bool = False, signals: bool = False) -> bytes:
    """An array of ``struct sock_filter`` for this processor (or ``machine``); raises UnknownProcessor.

    ``internet`` lets sockets of the Internet families be made (in a network namespace of its own that is harmless).
    Everything forbidden fails with EPERM, so that programs can tell; calls of another architecture kill.
    ``supervised`` is for where there are no namespaces: ``supervised_calls`` wait for the supervisor's answer, with
    ``signals`` those to other processes too; what programs share in memory is out of reach.
    """
    machine = _known(machine)
    arch, column = _MACHINES[machine]
    steps = [
        _Step(_LOAD, _ARCH),
        _Step(_EQUAL, arch, then=1),
        _Step(_RETURN, _KILL),
        _Step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        steps += [_Step(_AT_LEAST, _X32, otherwise=1), _Step(_RETURN, _KILL)]
    steps += _each(_DENIED, column, _ERRNO | errno.EPERM)
    # Without it glibc uses clone, whose flags can be seen here; clone3 hides them in memory.
    steps += _each({"clone3": _CLONE3}, column, _ERRNO | errno.ENOSYS)
    families = (_AF_NETLINK, _AF_INET, _AF_INET6) if internet else (_AF_NETLINK,)
    steps += _argument(_SOCKET[column], 0, _only(families))
    steps += _argument(_SOCKETPAIR[column], 0, _only_pairs_that_stay())
    ioctls = (_TIOCSTI, _TIOCLINUX, *_FILE_IOCTLS, *_BTRFS_IOCTLS, *(_OWNER_IOCTLS if signals else ()))
    steps += _argument(_IOCTL[column], 1, _except(ioctls))
    steps += _argument(_CLONE[column], 0, _without_bits(_NEW_NAMESPACE))
    steps += _argument(_UNSHARE[column], 0, _without_bits(_NEW_NAMESPACE | _NEW_TIME))
    steps += _argument(_PRLIMIT[column], 0, _only((0,)))  # of itself only
    steps += _argument(_SETPRIORITY[column], 1, _only((0,)))
    if supervised:
        steps += _where_nothing_is_apart(column, signals=signals)
    steps.append(_Step(_RETURN, _ALLOW))
    return b"".join(step.pack() for step in steps)


def supervised_calls(machine: str | None = None) -> dict[int, str]:
    """The system calls that a supervised program's supervisor answers: number -> name."""
    column = _MACHINES[_known(machine)][1]
    tables = (_ATTRIBUTES, _SCHEDULING, _SIGNALS)
    return {numbers[column]: name for table in tables for name, numbers in table.items() if numbers[column] >= 0}


def seccomp_call(machine: str | None = None) -> int:
    """The number of the system call that installs a program."""
    return _SECCOMP[_MACHINES[_known(machine)][1]]


def _where_nothing_is_apart(column: int, *, signals: bool) -> list[_Step]:
    """What namespaces would keep away from a command."""
    steps = _each(_SHARED, column, _ERRNO | errno.EPERM)
    steps += _each(_MISSING, column, _ERRNO | errno.ENOSYS)
    steps += _each(_ATTRIBUTES, column, _NOTIFY)
    for name, numbers in _SCHEDULING.items():
        steps += _argument(numbers[column], name == "ioprio_set", _only((0,), _NOTIFY))  # 0 is itself
    if signals:
        steps += _each(_SIGNALS, column, _NOTIFY)
        steps += _each(_SIGNALS_BY_DESCRIPTOR, column, _ERRNO | errno.EPERM)
        steps += _argument(_FCNTL[column], 1, _except((_F_SETOWN, _F_SETOWN_EX)))
    return steps


def _known(machine: str | None) -> str:
    machine = machine or platform.machine()
    if machine not in _MACHINES:
        raise UnknownProcessor(f"there is no system call table for {machine}")
    return machine


def _each(calls: Mapping[str, tuple[int, int]], column: int, what: int) -> list[_Step]:
    """The same answer to each of these system calls."""
    steps: list[_Step] = []
    for numbers in calls.values():
        if numbers[column] >= 0:
            steps += [_Step(_EQUAL, numbers[column], otherwise=1), _Step(_RETURN, what)]
    return steps


def _argument(number: int, index: int, checks: list[_Step]) -> list[_Step]:
    """Run ``checks`` on the low half of one argument (all the kernel looks at) of system call ``number``."""
    load = _Step(_LOAD, _FIRST_ARGUMENT + 8 * index)
    return [_Step(_EQUAL, number, otherwise=len(checks) + 1), load, *checks]


def _only(values: tuple[int, ...], otherwise: int = _ERRNO | errno.EPERM) -> list[_Step]:
    left = len(values)
    tests = [_Step(_EQUAL, value, then=left - place) for place, value in enumerate(values)]
    return [*tests, _Step(_RETURN, otherwise), _Step(_RETURN, _ALLOW)]


def _only_pairs_that_stay() -> list[_Step]:
    """Unix sockets that are connected for good; the kind has flags beside it."""
    kind = [_Step(_LOAD, _FIRST_ARGUMENT + 8), _Step(_AND, _KIND), *_only((_SOCK_STREAM, _SOCK_SEQPACKET))]
    return [_Step(_EQUAL, _AF_UNIX, then=1), _Step(_RETURN, _ERRNO | errno.EPERM), *kind]


def _except(values: tuple[int, ...]) -> list[_Step]:
    left = len(values)
    tests = [_Step(_EQUAL, value, then=left - place) for place, value in enumerate(values)]
    return [*tests, _Step(_RETURN, _ALLOW), _Step(_RETURN, _ERRNO | errno.EPERM)]


def _without_bits(bits: int) -> list[_Step]:
    return [_Step(_ANY_BIT, bits, then=1), _Step(_RETURN, _ALLOW), _Step(_RETURN, _ERRNO | errno.EPERM)]

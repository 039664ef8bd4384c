"""A policy as a Landlock ruleset: what the kernel lets a process open, where there are no namespaces.

It builds the ruleset, once for many commands; ``tools.launcher`` enters it. Landlock only allows: what is inside an
allowed folder cannot be taken out of it again.
"""

from __future__ import annotations

import ctypes
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from tools.sandbox.policy import Policy, inside_any, is_within

# linux/landlock.h; the system call numbers are the same on every architecture.
_CREATE, _ADD_RULE = 444, 445
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL_DEV = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_ALL_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_SIGNAL, _ABSTRACT_SOCKET = 1 << 1, 1 << 0  # scopes
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts")
# Not readable as a whole: raw disks, sockets and secrets of services, other programs' temporary files.
_CLOSED = tuple(map(Path, ("/dev", "/run", "/tmp", "/var/tmp", "/var/run", "/lost+found")))  # noqa: S108
# Version 3 (kernel 6.2) is the first that knows of truncating; before it any readable file could be emptied.
NEEDED_VERSION = 3
_SCOPING_VERSION = 6
_KEEP_S = 30.0


class LandlockUnavailable(OSError):
    """The kernel has no Landlock, or one that is too old."""


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_version() -> int:
    """The kernel's Landlock version; 0 without one."""
    try:
        found: int = ctypes.CDLL(None, use_errno=True).syscall(
            _CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)
        )
    except (OSError, AttributeError):
        return 0
    return max(found, 0)


def scopes_signals() -> bool:
    """Whether this kernel's Landlock keeps signals among the command's own processes (Linux 6.12)."""
    return landlock_version() >= _SCOPING_VERSION


class Rulesets:
    """The rulesets of a session, made again when a policy changed or has become old: new folders need new rules."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[int, float]] = {}

    def get(self, policy: Policy) -> int:
        """A descriptor of the policy's ruleset, for the caller to close."""
        # Rules are of the folders themselves, not of their names: one that was made anew needs a new ruleset.
        folders = [_identity(path) for path in (policy.workspace, *policy.writable, *policy.hidden)]
        key = (
            policy.writable,
            policy.hidden,
            policy.visible,
            policy.temporary,
            policy.shared,
            policy.network,
            *folders,
        )
        now = time.monotonic()
        for old in [each for each, (_, until) in self._made.items() if now > until]:
            os.close(self._made.pop(old)[0])
        if key not in self._made:
            self._made[key] = (ruleset(policy), now + _KEEP_S)
        return os.dup(self._made[key][0])

    def close(self) -> None:
        """Close them all."""
        for descriptor, _ in self._made.values():
            os.close(descriptor)
        self._made.clear()


def _identity(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:
        return (0, 0)
    return (facts.st_dev, facts.st_ino)


def ruleset(policy: Policy) -> int:
    """A descriptor of the ruleset; the caller closes it. Raises LandlockUnavailable, or OSError."""
    version = landlock_version()
    if version < NEEDED_VERSION:
        raise LandlockUnavailable(f"Landlock version {version} is too old, {NEEDED_VERSION} is needed (Linux 6.2)")
    everything = _ALL_BY_VERSION[min(version, max(_ALL_BY_VERSION))]
    scoped = _SIGNAL | _ABSTRACT_SOCKET if version >= _SCOPING_VERSION else 0
    attributes = _RulesetAttributes(everything, 0, scoped)
    size = ctypes.sizeof(attributes) if version >= _SCOPING_VERSION else 16 if version >= 4 else 8
    descriptor = _call(_CREATE, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in readable(policy):
            _allow(descriptor, path, _READ & everything)
        for path in changeable(policy):
            _allow(descriptor, path, everything)
        for name in _DEVICES:
            _allow(descriptor, Path(name), (_FILE | _READ_DIR) & everything)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def changeable(policy: Policy) -> tuple[Path, ...]:
    """Where a command may change files."""
    return (*policy.writable, policy.temporary, *policy.shared)


def readable(policy: Policy) -> list[Path]:
    """The fewest places that together are everything but the hidden ones."""
    found = [Path(os.path.realpath("/etc/resolv.conf"))] if policy.network else []
    hidden = (*policy.hidden, *_CLOSED)
    pending = [Path("/")]
    while pending:
        path = pending.pop()
        if path in hidden:
            # What must be visible in a hidden place is given by name.
            found += [each for each in (*policy.visible, policy.workspace) if each.is_relative_to(path)]
        elif not any(is_within(str(each), str(path)) for each in hidden):
            found.append(path)
        else:
            pending += _inside(path)
    return [path for path in found if not inside_any(path, policy.writable)]


def _inside(path: Path) -> Iterable[Path]:
    """The entries of a folder; symbolic links lead to what is allowed by its own name, or is not."""
    try:
        return [each for each in path.iterdir() if not each.is_symlink()]
    except OSError:
        return []


def _allow(ruleset_descriptor: int, path: Path, rights: int) -> None:
    """Allow ``rights`` on a file or on everything below a folder; nothing happens when it is gone."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _FILE
        rule = _PathBeneath(rights, descriptor)
        _call(_ADD_RULE, ruleset_descriptor, ctypes.c_int(_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    result: int = library.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise LandlockUnavailable(code, f"Landlock refused ({os.strerror(code)})")
    return result

"""Atomic writes: a file is the old one or the new one, whatever happens in between, kill -9 and power loss included.

It checks that the old content is still the expected one; which files may be written is decided by its callers.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import stat
import sys
from pathlib import Path

from tools.beneath import Found, NotRegular, TooLarge, read_entry

TEMPORARY_PREFIX = ".agent-write-"
_RENAME_NOREPLACE = 1  # linux/fs.h


class Changed(Exception):
    """The file on disk is not what the caller had read; nothing was written."""


def write_entry(folder: int, name: str, content: bytes, before: bytes | None, mode: int | None = None) -> None:
    """Make ``content`` the file ``name`` of an open folder; ``before`` is what it must hold now (None: not exist).

    Permission bits, owner and extended attributes stay; a new file gets the bits ``mode`` where given. Raises Changed,
    or OSError (disk full, no permission); the old file is then as it was and the temporary one is gone.
    """
    old = _current(folder, name, before)
    temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600 if old else 0o666, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # says that somebody is at work here
            file.write(content)
            file.flush()
            if old:
                _copy_attributes(folder, name, descriptor, old)
            elif mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        _current(folder, name, before)  # once more: writing took a while
        _rename(folder, temporary, name, replace=before is not None)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        os.fsync(folder)


def remove_entry(folder: int, name: str, before: bytes) -> None:
    """Delete the file ``name`` of an open folder; raises Changed when it does not hold ``before``, or OSError."""
    _current(folder, name, before)
    os.unlink(name, dir_fd=folder)
    with contextlib.suppress(OSError):
        os.fsync(folder)


def leftovers(root: Path) -> list[Path]:
    """Temporary files below ``root`` that a killed process left; safe to delete when no session is writing."""
    return sorted(path for path in root.rglob(f"{TEMPORARY_PREFIX}*") if path.is_file() and not path.is_symlink())


def remove_leftovers(folder: int) -> int:
    """Delete the temporary files that killed processes left in an open folder; how many. Those in use stay."""
    count = 0
    for name in os.listdir(folder):
        if not name.startswith(TEMPORARY_PREFIX):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=folder)
                    count += 1
            finally:
                os.close(descriptor)
    return count


def _current(folder: int, name: str, before: bytes | None) -> Found | None:
    """The file as it is; raises Changed when that is not ``before``."""
    try:
        found = read_entry(folder, name, limit=len(before or b""))
    except FileNotFoundError:
        if before is None:
            return None
        raise Changed from None
    except (NotRegular, TooLarge):
        raise Changed from None
    if before is None or found.content != before:
        raise Changed
    return found


def _copy_attributes(folder: int, name: str, descriptor: int, old: Found) -> None:
    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    mine = os.fstat(descriptor)
    if (facts.st_uid, facts.st_gid) != (mine.st_uid, mine.st_gid):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, facts.st_uid, facts.st_gid)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(source, "rb"):
                for key in os.listxattr(source):
                    with contextlib.suppress(OSError):  # some belong to the system
                        os.setxattr(descriptor, key, os.getxattr(source, key))
    os.fchmod(descriptor, old.mode)


def _rename(folder: int, temporary: str, name: str, replace: bool) -> None:
    if not replace and sys.platform == "linux" and _rename_new(folder, temporary, name):
        return
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _rename_new(folder: int, temporary: str, name: str) -> bool:
    """Rename that fails with Changed when ``name`` exists; False where the system has no such rename."""
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "renameat2", None)
    if function is None:
        return False
    result: int = function(folder, os.fsencode(temporary), folder, os.fsencode(name), _RENAME_NOREPLACE)
    if result == 0:
        return True
    code = ctypes.get_errno()
    if code == errno.EEXIST:
        raise Changed
    if code in {errno.ENOSYS, errno.EINVAL}:
        return False
    raise OSError(code, os.strerror(code), name)

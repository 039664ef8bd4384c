"""Opening files below a folder so that no symbolic link, however swapped in, can lead out of it.

Each component is opened from its parent's descriptor with O_NOFOLLOW: the guarantee of openat2's RESOLVE_BENEATH
with RESOLVE_NO_SYMLINKS, on every POSIX system. It decides nothing about names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO that is put in the file's place between the two looks must not block us.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class NotRegular(OSError):
    """The path names something other than a regular file: a folder, FIFO, socket or device."""


class TooLarge(OSError):
    """The file is larger than the caller wants."""


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file: its content, permission bits and number of hard links."""

    content: bytes
    mode: int
    links: int


@contextmanager
def open_folder(root: Path, parts: Sequence[str], create: bool = False) -> Generator[int, None, None]:
    """A descriptor of the folder ``root/parts``, closed on exit; ``create`` makes missing folders.

    ``parts`` hold no ``..`` and no separator. Raises OSError (NotADirectoryError or ELOOP for a symbolic link).
    """
    current = os.open(root, _FOLDER)
    try:
        for part in parts:
            try:
                inner = os.open(part, _FOLDER, dir_fd=current)
            except FileNotFoundError:
                if not create:
                    raise
                os.mkdir(part, dir_fd=current)
                inner = os.open(part, _FOLDER, dir_fd=current)
            os.close(current)
            current = inner
        yield current
    finally:
        os.close(current)


def read_entry(folder: int, name: str, limit: int) -> Found:
    """The regular file ``name`` in an open folder; raises NotRegular, TooLarge (over ``limit`` bytes) or OSError."""
    _require_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), limit)
    descriptor = os.open(name, _FILE, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        _require_regular(facts, limit)
        content = file.read(limit + 1)
        if len(content) > limit:
            raise TooLarge
        return Found(content, stat.S_IMODE(facts.st_mode), facts.st_nlink)


def set_mode(folder: int, name: str, mode: int) -> None:
    """Give the regular file ``name`` in an open folder these permission bits; raises NotRegular or OSError."""
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegular
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _require_regular(facts: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NotRegular
    if facts.st_size > limit:
        raise TooLarge

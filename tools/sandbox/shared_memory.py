"""Shared memory where there are no namespaces: commands need it for semaphores, and other programs share data there.

It decides whether commands get it, and clears away what they left; Landlock does the rest.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - semaphores of multiprocessing are made there and nowhere else


class SharedMemory:
    """Of one session; ``begin`` and ``end`` come in pairs around commands, which may overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active = 0
        self._granted = False

    def begin(self) -> bool:
        """Whether a command may have it: not while another program keeps something there that it could change."""
        with self._lock:
            if self._active == 0:
                self._granted = not any(_is_writable(path) for path in _files())
            self._active += 1
            return self._granted

    def end(self) -> None:
        """After the last command: what is there now and nobody uses was left by them, for there was nothing before."""
        with self._lock:
            self._active -= 1
            if self._active or not self._granted:
                return
            left = [path for path in _files() if _is_writable(path)]
            used = _in_use() if left else frozenset[str]()
            for path in left:
                if str(path) not in used:
                    with contextlib.suppress(OSError):
                        path.unlink()


def _files() -> list[Path]:
    """Everything below it but folders."""
    try:
        return [Path(place, name) for place, _, names in os.walk(SHARED_MEMORY) for name in names]
    except OSError:
        return []


def _is_writable(path: Path) -> bool:
    """Whether a command, which has no capabilities, could change a file."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    if facts.st_uid == os.geteuid():
        return True
    group = facts.st_gid in (os.getegid(), *os.getgroups())
    return bool(facts.st_mode & (stat.S_IWGRP if group else stat.S_IWOTH))


def _in_use() -> frozenset[str]:
    """Paths below it that a process has mapped or open."""
    found: set[str] = set()
    start = f"{SHARED_MEMORY}/"
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for line in (process / "maps").read_text("utf-8", "replace").splitlines():
                found.add(line.split(maxsplit=5)[-1])
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    found.add(str(descriptor.readlink()))
    return frozenset(name for name in found if name.startswith(start))

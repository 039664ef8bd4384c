"""The private folder of one session: its commands' /tmp, masks for hidden files, and what a crash must put right.

It lies in the system's temporary folder, for its owner only, and goes with the session; what a killed one left is
cleared away at the next start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PREFIX = "gemma-agent-"
_LOCK, PENDING, KEPT = "lock", "pending", "kept"
_EXPLANATION = b"# hidden: this file may hold secrets\n"


class PrivateFolder:
    """``temporary`` stands for /tmp in commands; ``kept`` takes what was moved out of the workspace, and stays if it
    holds something; ``discarded`` takes what stood in the place of what was put back.
    """

    def __init__(self, not_in: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_temporary_place(not_in)))
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.temporary = self.path / "tmp"
        self.kept = self.path / KEPT
        self.discarded = self.path / "discarded"
        self._masks = self.path / "masks"
        for folder in (self.temporary, self.kept, self._masks, self.temporary / ".cache"):
            folder.mkdir(mode=0o700)
        self._made: dict[tuple[Path, int, int], Path] = {}

    def mask(self, path: Path) -> Path:
        """A read-only file that says that ``path`` is hidden, and looks unchanged to git: same size and time."""
        facts = path.stat()
        key = (path, facts.st_size, facts.st_mtime_ns)
        if key not in self._made:
            mask = self._masks / str(len(self._made))
            mask.write_bytes(_EXPLANATION[: facts.st_size].ljust(min(facts.st_size, 1_000_000), b"\n"))
            mask.chmod(0o444)
            os.utime(mask, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            self._made[key] = mask
        return self._made[key]

    def close(self) -> None:
        """Remove it, except for what was kept."""
        _remove_but_kept(self.path)
        with contextlib.suppress(OSError):
            os.close(self._lock)


def clear_stale(not_in: Path, put_right: Callable[[Path], Any]) -> None:
    """Remove the folders of sessions that were killed; ``put_right`` is called with each one's pending file."""
    place = _temporary_place(not_in)
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
                continue  # not ours: nobody else's word counts
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (folder / PENDING).is_file():
                    put_right(folder / PENDING)
                _remove_but_kept(folder)
            finally:
                os.close(lock)


def _temporary_place(not_in: Path) -> Path:
    place = Path(os.path.realpath(tempfile.gettempdir()))
    return Path("/tmp") if place.is_relative_to(not_in) else place  # noqa: S108


def _remove_but_kept(folder: Path) -> None:
    """Without a lock in it the folder is nobody's; it goes with the system's temporary files."""
    with contextlib.suppress(OSError):
        (folder / KEPT).rmdir()
    for entry in list(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            if entry.name != KEPT:
                _remove(entry)
        else:
            entry.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _remove(folder: Path) -> None:
    def open_up(_function: Any, path: str, _error: Any) -> None:
        with contextlib.suppress(OSError):  # a command may leave folders without rights
            Path(path).parent.chmod(0o700)
            Path(path).chmod(0o700)
            shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()

    shutil.rmtree(folder, onerror=open_up)

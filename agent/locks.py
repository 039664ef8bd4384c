"""One lock per session, held by the process that has it open; the kernel lets go when that process dies.

It knows nothing of what a session holds.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from agent.errors import StoreError


class SessionLocks:
    """Lock files in ``folder``; None locks nothing, for sessions that only this process can see."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def hold(self, session_id: str) -> bool:
        """Take the lock, or keep it; False when another process has it. Raises StoreError."""
        if self._folder is None or session_id in self._held:
            return True
        descriptor = self._lock(self._folder / session_id)
        if descriptor is not None:
            self._held[session_id] = descriptor
        return descriptor is not None

    def held_elsewhere(self, session_id: str) -> bool:
        """Whether another process has the lock; raises StoreError."""
        if self._folder is None or session_id in self._held:
            return False
        descriptor = self._lock(self._folder / session_id)
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def release(self, session_id: str) -> None:
        """Give the lock back, if it is held."""
        descriptor = self._held.pop(session_id, None)
        if descriptor is not None:
            os.close(descriptor)

    def remove(self, session_id: str) -> None:
        """Give the lock of a session that is no more back, with its file."""
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / session_id).unlink()
        self.release(session_id)

    def release_all(self) -> None:
        """Give every lock back."""
        for session_id in tuple(self._held):
            self.release(session_id)

    @staticmethod
    def _lock(path: Path) -> int | None:
        """An open, locked file; None when another process has it."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"The lock {path} cannot be made: {error.strerror}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
        return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the file was not removed between its opening and its locking; raises OSError."""
    mine, there = os.fstat(descriptor), path.stat()
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

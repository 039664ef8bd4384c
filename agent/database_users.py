"""Who has a database open: shared by all who use it, held alone by one that rebuilds it.

The kernel lets go when a process dies. It opens no database.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class DatabaseUsers:
    """A lock file beside the database; ``path`` None: nobody else can see it."""

    def __init__(self, path: Path | None) -> None:
        self._path = None if path is None else path.with_name(f"{path.name}.lock")
        self._descriptor: int | None = None

    def enter(self) -> None:
        """Be one of several; waits while somebody rebuilds. Raises OSError."""
        self._lock(fcntl.LOCK_SH)

    def alone(self) -> bool:
        """Be the only one, if nobody else is there."""
        try:
            self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock(fcntl.LOCK_SH)  # a failed change of a lock may have lost it
            return False
        return True

    def leave(self) -> None:
        """Let go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _lock(self, how: int) -> None:
        if self._path is None:
            return
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, how)

"""Is there room on the disk, and is another program writing the same file: asked before bytes are fetched.

It writes nothing.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from agent.errors import DownloadError

SPARE_BYTES = 64 << 20  # left for everybody else on the disk


def free_bytes(folder: Path) -> int:
    """Free bytes where ``folder`` is, or will be: the nearest folder above that exists is asked."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raises DownloadError when ``needed`` bytes and a little more are not free in ``folder``."""
    free = free_bytes(folder)
    if needed > 0 and free < needed + SPARE_BYTES:
        raise DownloadError(
            f"{what} needs {size_text(needed)} and {folder} has {size_text(free)} free; "
            "make room, or set GEMMA_AGENT_MODELS (HF_HOME for the hub's files) to a larger disk."
        )


def disk_full(folder: Path, what: str) -> DownloadError:
    """The error for a disk that filled up while writing."""
    return DownloadError(
        f"The disk of {folder} became full while fetching {what}; make room and run the same command again, "
        "what is there is kept."
    )


def size_text(count: int) -> str:
    """Bytes for people, in the decimal units that download pages use."""
    if count >= 10**9:
        return f"{count / 10**9:.1f} GB"
    return f"{count / 10**6:.0f} MB" if count >= 10**6 else f"{max(0, count) / 10**3:.0f} kB"


@contextmanager
def only_one(file: BinaryIO, what: str) -> Generator[None]:
    """Hold the lock on ``file`` (released when it is closed); raises DownloadError when another program has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise DownloadError(f"Another program is fetching {what} right now; wait for it, then start again.") from None
    yield

"""Where a host and its clients meet: a folder that only this user can enter, with a socket and two locks for each host.

It speaks to nobody: frames are ``inference.wire``'s.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
import struct
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inference.errors import HostUnreachable
from inference.memory import available_bytes, process_bytes

_LOCK_POLL_S = 0.02
_CREDENTIALS = struct.Struct("3i")  # struct ucred of Linux: pid, uid, gid
_MAC_CREDENTIALS = struct.Struct("II")  # the beginning of macOS's struct xucred: version, uid
_MAC_SOL_LOCAL, _MAC_PEERCRED, _MAC_SIZE = 0, 1, 76


@dataclass(frozen=True, slots=True)
class HostFiles:
    """The files of the host for one ``key``: what settings and files make it the same host."""

    folder: Path
    key: str

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / f"{self.key}.sock"

    @property
    def starting(self) -> Path:
        """The lock of a client that starts a host, so that two do not."""
        return self.folder / f"{self.key}.lock"

    @property
    def running(self) -> Path:
        """The lock of the host that has the model, with its process id: the next one waits until the memory is free."""
        return self.folder / f"{self.key}.pid"


def socket_folder() -> Path:
    """Where hosts are met: the user's runtime folder where there is one, else one of the user's own among the temporary
    ones (the path of a socket has to be short)."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and runtime.is_dir():
        return runtime / "gemma-agent"
    return Path(tempfile.gettempdir()) / f"gemma-agent-{os.getuid()}"


def all_hosts(folder: Path) -> list[HostFiles]:
    """The hosts whose sockets or locks are in ``folder``, dead ones included."""
    with suppress(OSError):
        keys = {path.stem for path in folder.iterdir() if path.suffix in (".sock", ".pid")}
        return [HostFiles(folder, key) for key in sorted(keys)]
    return []


def open_folder(folder: Path) -> None:
    """Make the folder, or see that it is ours alone; raises HostUnreachable where it is not."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise HostUnreachable(
            f"The folder {folder} for the engine's socket cannot be made: {error.strerror}."
        ) from error
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    if not ours:
        raise HostUnreachable(f"{folder} is not a folder of yours alone; remove it, or use --in-process.")


def listen(files: HostFiles) -> socket.socket:
    """A listening socket in the place of one that nobody listens at any more; raises OSError.

    The caller holds the lock ``starting``: nobody else may be binding.
    """
    files.socket.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            listener.bind(str(files.socket))
        finally:
            os.umask(before)
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    return listener


def connect(files: HostFiles, timeout: float | None = None) -> socket.socket | None:
    """A connection to the host, whose owner was checked; None where nobody listens. Raises HostUnreachable."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(str(files.socket))
        require_own(connection)
    except (FileNotFoundError, ConnectionError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise HostUnreachable(f"The engine at {files.socket} cannot be reached: {error}.") from error
    except BaseException:
        connection.close()
        raise
    return connection


def require_own(connection: socket.socket) -> None:
    """Raise HostUnreachable unless the other side is a process of this user; OSError when the kernel cannot tell."""
    if sys.platform == "darwin":
        raw = connection.getsockopt(_MAC_SOL_LOCAL, _MAC_PEERCRED, _MAC_SIZE)
        _, owner = _MAC_CREDENTIALS.unpack_from(raw)
    elif hasattr(socket, "SO_PEERCRED"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, owner, _ = _CREDENTIALS.unpack(raw)
    else:  # the folder alone keeps others out
        return
    if owner != os.getuid():
        raise HostUnreachable(f"The engine's socket belongs to user {owner}, not to you; use --in-process.")


async def acquire(path: Path, patience: float) -> int | None:
    """A descriptor that holds the lock file until it is closed; None when others held it for ``patience`` seconds.

    Raises OSError. The kernel lets go when the process ends, however it does.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    try:
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            await asyncio.sleep(_LOCK_POLL_S)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def running_pid(files: HostFiles) -> int | None:
    """The process id of the host that has the model now; None when none has."""
    try:
        descriptor = os.open(files.running, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0)
        return int(text) if text.isdigit() else None
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def running_pids() -> list[int]:
    """The process ids of this user's hosts that have their models."""
    if not hasattr(socket, "AF_UNIX"):
        return []
    pids = [running_pid(files) for files in all_hosts(socket_folder())]
    return [pid for pid in pids if pid is not None]


def obtainable_bytes() -> int:
    """Memory in bytes that a model may take: what is free, and what hosts hold.

    They go when another one needs theirs, or are the one that is wanted: in the free memory alone, a wish would find
    less room as soon as it is fulfilled.
    """
    return available_bytes() + sum(process_bytes(pid)[1] for pid in running_pids())

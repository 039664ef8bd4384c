"""How much memory this window takes, model included: where it runs in a process of its own, that one too."""

from __future__ import annotations

import os

from inference.host_files import running_pids
from inference.memory import process_bytes


def resident_bytes() -> int:
    """Bytes in memory now; 0 where the system does not tell."""
    return sum(process_bytes(pid)[0] for pid in (os.getpid(), *running_pids()))

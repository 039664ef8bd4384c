"""What this machine offers to the engine: processor cores.

It measures nothing and looks at no GPU; llama.cpp finds those itself.
"""

from __future__ import annotations

import os
from pathlib import Path


def physical_cores(root: Path = Path("/")) -> int:
    """How many physical cores this process may use: hyper-threads count once, affinity and cgroup quota are honoured.

    llama.cpp's threads wait for each other by spinning, so one thread more than there are cores is a collapse, not
    a slowdown. ``root`` stands before ``sys`` (tests build their own).
    """
    usable = _affinity()
    cores = {_siblings(root, cpu) for cpu in usable}
    return max(1, min(len(cores), _quota(root, len(usable))))


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _siblings(root: Path, cpu: int) -> str:
    """The hyper-threads that share a core with ``cpu``, as Linux lists them; the cpu itself where nothing is known."""
    try:
        return (root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota(root: Path, default: int) -> int:
    """Whole cores that a cgroup v2 quota allows (``cpu.max`` holds microseconds per period)."""
    try:
        limit, period = (root / "sys/fs/cgroup/cpu.max").read_text().split()
        return int(limit) // int(period) if limit != "max" else default
    except (OSError, ValueError, ZeroDivisionError):
        return default

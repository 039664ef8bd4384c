"""How many processes a command may have and how much memory they may use, and how much that is now.

It ends nothing; ``tools.process`` does.
"""

from __future__ import annotations

import math
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SHARE_OF_MEMORY = 0.75  # the rest is for the model and everybody else


@dataclass(frozen=True, slots=True)
class Use:
    """What a command uses with all its processes; memory in bytes, pages that several share counted for each."""

    processes: int
    memory: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one command with all its processes; ``memory`` in bytes."""

    processes: int = 2_000
    memory: int = field(default_factory=lambda: int(_PAGE * os.sysconf("SC_PHYS_PAGES") * _SHARE_OF_MEMORY))

    def exceeded_by(self, use: Use) -> str:
        """Half a sentence naming the limit; empty when ``use`` is within."""
        if use.processes > self.processes:
            return f"it had more than {self.processes} processes"
        if use.memory > self.memory:
            return f"it used more than {self.memory / 1e9:.1f} GB of memory"
        return ""


def threads_on_the_machine() -> int:
    """How many threads there are in all, at the price of one small file; zero where there is no /proc."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])  # proc(5)
    except (OSError, ValueError, IndexError):
        return 0


class Lookout:
    """Looks at the machine's processes, once for all commands that want to know at about the same time.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked = -math.inf
        self._children: dict[int, list[int]] = {}
        self._memory: dict[int, int] = {}

    def use_below(self, pid: int, since: float) -> Use:
        """What the descendants of a process use, itself included, at a moment not before ``since`` (seconds of
        ``time.monotonic``); zero where there is no /proc."""
        with self._lock:
            if self._looked < since:
                self._looked = time.monotonic()
                self._look()
            found: list[int] = []
            pending = [pid]
            while pending:
                each = pending.pop()
                found.append(each)
                pending += self._children.get(each, [])
            return Use(len(found), sum(self._memory.get(each, 0) for each in found))

    def _look(self) -> None:
        self._children, self._memory = {}, {}
        try:
            entries = os.listdir("/proc")  # noqa: PTH208 - called often
        except OSError:
            return
        for name in entries:
            if not name.isdigit():
                continue
            try:
                fields = Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()
                self._children.setdefault(int(fields[1]), []).append(int(name))
                self._memory[int(name)] = int(fields[21]) * _PAGE  # proc(5): rss
            except (OSError, ValueError, IndexError):
                continue  # it has ended meanwhile

"""How much of the processors other programs took during a measurement (Linux; elsewhere nothing is known).

It ends no program and waits for none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time in seconds since the machine started: of all programs, and of those that are measured."""

    everybody: float
    measured: float


def usage(measured: int) -> Usage | None:
    """Now, for the process ``measured`` and this one; None where the system does not tell."""
    try:
        fields = [int(word) for word in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
        own = _process(measured) + _process(os.getpid())
    except (OSError, ValueError, IndexError):
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = fields
    # Time that the hypervisor gave to another machine is lost as well.
    return Usage((user + nice + system + interrupts + soft_interrupts + stolen) / _TICKS, own / _TICKS)


def share(before: Usage | None, after: Usage | None, seconds: float) -> float:
    """Processors that others kept busy between two moments: 1.0 is one whole processor all the time."""
    if before is None or after is None or seconds <= 0:
        return 0.0
    return max(0.0, (after.everybody - before.everybody) - (after.measured - before.measured)) / seconds


def _process(pid: int) -> int:
    """Ticks that a process and the children it has waited for have used."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return sum(int(word) for word in fields[11:15])

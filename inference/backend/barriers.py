"""How long llama.cpp's threads spin at barriers before they sleep: long on an idle machine, hardly on a crowded one.

It starts no computation, and does nothing where threads are not GNU OpenMP's or the system does not tell its load.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

RUNTIME = "libgomp.so.1"
_SEMAPHORE_BYTES = 64  # sem_t has 32 on 64-bit Linux


@dataclass(frozen=True, slots=True)
class BarrierLimits:
    """When the threads change over. ``crowded`` and ``calm`` are processors wanted beyond those that there are.

    Measured with two threads on two cores: beside a program that takes a tenth of a core, spinning threads decode 28
    tokens/s and sleeping ones 23; beside one that takes a whole core, 2 to 5 and 14 to 17.
    """

    interval: float = 0.25  # seconds of decoding that are judged at once; the kernel counts in hundredths
    crowded: float = 0.3
    calm: float = 0.2
    patience: float = 0.5  # seconds of calm before threads spin again
    pause: float = 0.1  # seconds between two decodes that are more than the work around a decode


class Throttle(Protocol):
    """Can make the threads sleep at once instead of spinning, and let them spin again."""

    def on(self) -> None:
        """Let them sleep; doing it twice does nothing."""
        ...

    def off(self) -> None:
        """Let them spin; doing it twice does nothing."""
        ...


class ExtraTeam:
    """Throttles GNU OpenMP by what it offers itself: with more threads than processors it spins 100 times, not 300,000.

    So a second team of sleeping threads is all it takes; the runtime looks at its count at every wait. The team's
    threads stand in ``sem_wait`` and need neither processor nor Python. ``cpus`` are the processors that it knows of.
    """

    def __init__(self, runtime: Any, cpus: int) -> None:
        self._runtime = runtime
        self._libc: Any = ctypes.CDLL(None)
        self._size = cpus + 1
        self._semaphore: ctypes.Array[ctypes.c_char] | None = None
        self._thread: threading.Thread | None = None

    def on(self) -> None:
        """Let the team stand; doing it twice does nothing."""
        if self._thread is not None:
            return
        self._semaphore = ctypes.create_string_buffer(_SEMAPHORE_BYTES)
        self._libc.sem_init(self._semaphore, 0, 0)
        arguments = (self._libc.sem_wait, self._semaphore, self._size, 0)
        # The runtime forgets the team when the thread that made it ends, so each gets one of its own.
        self._thread = threading.Thread(target=self._runtime.GOMP_parallel, args=arguments, daemon=True)
        self._thread.start()

    def off(self) -> None:
        """Let the team go; doing it twice does nothing."""
        if self._thread is None:
            return
        for _ in range(self._size):
            self._libc.sem_post(self._semaphore)
        self._thread.join()
        self._thread = None


@dataclass(frozen=True, slots=True)
class Load:
    """Processor seconds since some moment: used by everybody, and by this process."""

    everybody: float
    own: float


class Barriers:
    """Watches the machine while decodes go on and has the threads spin or sleep; safe to share between models.

    ``n_cpus`` may be used; ``load`` is what they did so far, None when the system does not tell; ``alone`` tells
    whether nobody else wants one at this moment.
    """

    def __init__(
        self,
        throttle: Throttle,
        n_cpus: int,
        load: Callable[[], Load | None],
        limits: BarrierLimits | None = None,
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._throttle = throttle
        self._n_cpus = n_cpus
        self._load = load
        self._limits = limits or BarrierLimits()
        self._alone = alone
        self._lock = threading.Lock()
        self._throttled = False
        self._begin: tuple[float, Load] | None = None  # of the time that is judged next
        self._left: float | None = None
        self._calm_since: float | None = None

    def enter(self, now: float) -> None:
        """A decode begins, at ``now`` in seconds; what the machine did in a pause before it does not count.

        Short answers are over before anything is judged, so that others have gone is seen when one begins.
        """
        with self._lock:
            if self._left is None or now - self._left > self._limits.pause:
                self._begin = self._measure(now)
                if self._throttled and self._alone():
                    self._throttled = False
                    self._throttle.off()

    def leave(self, n_threads: int, now: float) -> None:
        """A decode by ``n_threads`` threads has ended: change over if the load says so."""
        with self._lock:
            self._left, begin = now, self._begin
            if begin is None or now - begin[0] < self._limits.interval:
                return
            self._begin = end = self._measure(now)
            if end is not None:
                foreign = (end[1].everybody - begin[1].everybody) - (end[1].own - begin[1].own)
                self._decide(foreign / (now - begin[0]) + n_threads - self._n_cpus, now)

    def _measure(self, now: float) -> tuple[float, Load] | None:
        load = self._load()
        return None if load is None else (now, load)

    def _decide(self, crowding: float, now: float) -> None:
        if crowding > self._limits.calm:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        if not self._throttled and crowding > self._limits.crowded:
            self._throttled = True
            self._throttle.on()
        elif self._throttled and self._calm_since is not None and now - self._calm_since >= self._limits.patience:
            self._throttled = False
            self._throttle.off()


def read_load(cpus: frozenset[int], stat: Path = Path("/proc/stat")) -> Load | None:
    """What ``cpus`` have done since the machine started, and this process since it did; None where it is not told."""
    names = {f"cpu{cpu}" for cpu in cpus}
    try:
        rows = [line.split() for line in stat.read_text(encoding="ascii").splitlines() if line.startswith("cpu")]
        # user, nice, system, idle, waiting for a disk, interrupts (two kinds), taken by the hypervisor
        busy = sum(int(row[column]) for row in rows if row[0] in names for column in (1, 2, 3, 6, 7, 8))
    except (OSError, ValueError, IndexError):
        return None
    return Load(busy / os.sysconf("SC_CLK_TCK"), time.process_time())


def is_alone(loadavg: Path = Path("/proc/loadavg")) -> bool:
    """Whether the thread that asks is the only one on the machine that runs or could; False where it is not told."""
    try:
        return loadavg.read_text(encoding="ascii").split()[3].split("/")[0] == "1"
    except (OSError, ValueError, IndexError):
        return False


@functools.cache
def open_barriers() -> Barriers | None:
    """Those of this process, whose models share a runtime; None when that is not GNU OpenMP, or nothing can be seen.

    To be called when llama.cpp has been loaded.
    """
    if not hasattr(os, "sched_getaffinity") or not hasattr(os, "RTLD_NOLOAD"):
        return None
    try:
        runtime = ctypes.CDLL(RUNTIME, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return None
    cpus = frozenset(os.sched_getaffinity(0))
    if read_load(cpus) is None:
        return None
    return Barriers(ExtraTeam(runtime, len(cpus)), len(cpus), lambda: read_load(cpus), alone=is_alone)

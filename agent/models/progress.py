"""How far a long transfer is: bytes, rate and the time left, as plain values for whoever shows them.

It draws nothing; ``agent.models.display`` does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 20.0  # the rate is that of the last seconds, so that a resumed or slowed transfer shows the truth
REPORT_SECONDS = 0.1
LONGEST_SECONDS = 86_400.0  # a time left beyond a day is a transfer that has not really begun


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` bytes of ``what``; ``rate`` in bytes a second; ``seconds_left`` is None while unknown."""

    what: str
    done: int
    total: int
    rate: float
    seconds_left: float | None


ProgressCallback = Callable[[Progress], None]


class Meter:
    """Turns "so many bytes are here" into Progress values, at most ten a second; the first and the last always."""

    def __init__(self, what: str, total: int, report: ProgressCallback, clock: Callable[[], float] = time.monotonic):
        self._what = what
        self._total = total
        self._report = report
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._reported = float("-inf")

    def update(self, done: int) -> None:
        """``done`` bytes of the total are here now."""
        now = self._clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()
        if done < self._total and now - self._reported < REPORT_SECONDS:
            return
        self._reported = now
        then, before = self._seen[0]
        rate = (done - before) / (now - then) if now > then else 0.0
        left = (self._total - done) / rate if rate > 0 else LONGEST_SECONDS
        self._report(Progress(self._what, done, self._total, rate, left if left < LONGEST_SECONDS else None))


def no_progress(_: Progress) -> None:
    """For callers who show nothing."""

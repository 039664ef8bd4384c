"""How often a stream is drawn: as often as its drawing leaves the processors to the model.

A model on two cores waits at each step for the slower of its threads, so that what the screen takes it loses whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 0.02  # of one core, for all that the window's thread does while a model writes
LONGEST = 0.8  # seconds between two pictures, whatever they cost


class Pace:
    """``wait`` says how long another picture has to wait, ``drawn`` is told of each that was waited for.

    ``clock`` and ``spent`` give seconds, of the wall's clock and of this thread's work.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spent: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock = clock
        self._spent = spent
        self._drawn = float("-inf")
        self._spent_then = 0.0

    def wait(self) -> float:
        """Seconds until what was done since the last picture has been paid for by waiting; 0 when it has."""
        now, spent = self._clock(), self._spent()
        return max(0.0, self._drawn + min(LONGEST, (spent - self._spent_then) / SHARE) - now)

    def drawn(self) -> None:
        """A picture is drawn now."""
        self._drawn, self._spent_then = self._clock(), self._spent()

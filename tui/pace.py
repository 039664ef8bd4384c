"""How often a stream is drawn: as often as its drawing leaves the processors to the model.

A model on two cores waits at each step for the slower of its threads, so that what the screen takes it loses whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 0.02  # of one core, for all that the window's thread does while a model writes
LONGEST = 0.8  # seconds between two pictures, whatever they cost


class Pace:
    """``due`` says whether it is time for another picture.

    ``clock`` and ``spent`` give seconds, of the wall's clock and of this thread's work.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spent: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock = clock
        self._spent = spent
        self._drawn = float("-inf")
        self._spent_then = 0.0

    def due(self) -> bool:
        """Whether what was done since the last picture that was due has been paid for by waiting."""
        now, spent = self._clock(), self._spent()
        if now - self._drawn < min(LONGEST, (spent - self._spent_then) / SHARE):
            return False
        self._drawn, self._spent_then = now, spent
        return True

"""When Python looks for reference cycles: while nobody types, instead of between a key and its echo.

What is freed by counting references (nearly everything) is freed at once, as always.
"""

from __future__ import annotations

import gc
import sys
from time import monotonic

_QUIET_SECONDS = 2.0  # without a key
_WORTH_IT = 20  # looks at the young objects since the last whole look; Python itself takes 10
_NEVER = 1_000_000
_WHOLE_EVERY = 20  # whole looks, of which the others leave out what outlived the one before


class QuietCollector:
    """Takes the whole looks of Python's collector upon itself; a whole look at a few 100,000 objects takes 100 ms."""

    def __init__(self) -> None:
        self._key = float("-inf")
        self._looks = 0
        self._thresholds = gc.get_threshold()

    def begin(self) -> None:
        """From now on: what has been imported stays unlooked at, and whole looks happen in ``rest`` only."""
        gc.freeze()
        if sys.version_info < (3, 14):  # from there on, looks are small by themselves
            gc.set_threshold(*self._thresholds[:2], _NEVER)

    def key(self) -> None:
        """Somebody is here."""
        self._key = monotonic()

    def rest(self) -> bool:
        """To be called now and then: looks at everything if that is worth it and nobody types; whether it did."""
        quiet = monotonic() - self._key >= _QUIET_SECONDS
        if not quiet or gc.get_count()[2] < _WORTH_IT:
            return False
        self._looks += 1
        if self._looks % _WHOLE_EVERY == 0:
            gc.unfreeze()
        gc.collect()
        gc.freeze()  # what is still here stays for long: the next look is short
        return True

    def end(self) -> None:
        """As it was."""
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

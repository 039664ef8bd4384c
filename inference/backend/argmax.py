"""Where rows of logits are largest: as the kernels found it on the way, or else looked for.

It decodes nothing; whoever does says when it begins.
"""

from __future__ import annotations

from inference.backend.native import RowViews
from inference.kernels import open_kernels


class Argmax:
    """For the decodes of one context, in the thread that makes them."""

    def __init__(self, views: RowViews) -> None:
        self._views = views
        self._kernels = open_kernels()
        self._decode = self._rows = 0

    def begin(self, rows: int) -> None:
        """A decode begins that has ``rows`` rows, all of one sequence and with logits; 0 for any other decode."""
        if self._kernels:
            self._decode, self._rows = self._kernels.begin(), rows

    def of(self, row: int, address: int) -> int:
        """The id with the highest logit in a row of that decode, which is at ``address``; the first of equals."""
        if self._kernels and self._rows:
            found = self._kernels.argmax(self._decode, self._rows, row, address)
            if found is not None:
                return found
        return int(self._views.at(address).argmax())

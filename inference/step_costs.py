"""What one decode costs by its number of rows: probed when a model is loaded, then corrected by every step.

It decides nothing. How much a wider decode costs differs between machines by a factor of ten, and has cliffs.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from inference.backend import Backend, Batch

WIDTHS: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Numbers of rows that are told apart: close together where kernels change (CUDA's at 8), up to the widest decode."""

PROBE_ORDER: tuple[int, ...] = (1, 2, 4, 16, 8, 32, 3, 6, 64, 12, 24, 48)
"""What is probed first, when there is not the time for all: the rest is interpolated until it is used."""

PROBE_SECONDS = 1.5
"""A model's first start on a machine may take so much longer; 1.5 s reach 16 rows of a 1.5B model on two cores."""

_LEARNED = 0.25  # the weight of one step against what was known of its width
_FOLLOWED = 0.1  # the weight of one step against the present pace
_OUTLIER = 2.0  # a step that took longer, or shorter, by more than this counts as by this


class StepCosts:
    """Milliseconds by rows. ``measured`` is what an earlier start found; without any, nothing is worth drafting.

    The pace, by which all widths go slower with a longer context or beside another program, is told by plain steps and
    followed apart from how the widths compare.
    """

    def __init__(self, measured: Mapping[int, float] | None = None) -> None:
        self._ms = {rows: ms for rows, ms in sorted((measured or {}).items()) if rows in WIDTHS and ms > 0}
        self._rows = list(self._ms)
        self._pace = 1.0

    @property
    def known(self) -> bool:
        """Whether a plain decode and a wider one were measured."""
        return len(self._ms) > 1 and self._rows[0] == 1

    def measured(self) -> dict[int, float]:
        """What to keep for the next start."""
        return dict(self._ms)

    def expected(self, rows: int) -> float:
        """Milliseconds that a decode of ``rows`` rows will take now; only when ``known``."""
        return self._pace * self._at(rows)

    def note(self, rows: int, ms: float) -> None:
        """A decode of so many rows took ``ms``."""
        if not self.known or ms <= 0:
            return
        ratio = min(max(ms / self.expected(rows), 1 / _OUTLIER), _OUTLIER)
        if rows == 1:
            self._pace *= ratio**_FOLLOWED
            return
        place = bisect_left(self._rows, rows)
        if rows not in self._ms and rows in WIDTHS:
            self._ms[rows] = self._at(rows)
            self._ms = dict(sorted(self._ms.items()))
            self._rows = list(self._ms)
        # A width between two known ones tells something of both.
        for near in {self._rows[min(place, len(self._rows) - 1)], self._rows[max(0, place - 1)]}:
            if near == rows or (near > 1 and rows not in self._ms):
                self._ms[near] *= ratio**_LEARNED
        self._pace *= ratio ** (_FOLLOWED / 4)

    def probe(
        self, backend: Backend, seconds: float = PROBE_SECONDS, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Measure the widths that are not known, as many as ``seconds`` allow; the memory must be, and is left, empty.

        The first decode only warms up: it reads the weights from disk and lays out llama.cpp's buffers. Of two decodes
        the faster one counts: a width that another program made look slow would never be used, and so not corrected.
        """
        began = clock()
        widest = min(backend.info.n_logit_rows, backend.info.n_batch, backend.info.n_ctx)
        wanted = [rows for rows in PROBE_ORDER if rows <= widest and rows not in self._ms]
        per_row = _timed(backend, 1, clock) if wanted else 0.0
        for rows in wanted:
            if rows > 1 and clock() - began + 2 * rows * per_row > seconds:
                continue
            taken = min(_timed(backend, rows, clock), _timed(backend, rows, clock))
            per_row = taken / rows
            self._ms[rows] = 1000 * taken
        self._ms = dict(sorted(self._ms.items()))
        self._rows = list(self._ms)

    def _at(self, rows: int) -> float:
        """Interpolated between measured widths; beyond the last one each row costs as much as between the last two."""
        if rows in self._ms:
            return self._ms[rows]
        place = min(max(bisect_left(self._rows, rows), 1), len(self._rows) - 1)
        low, high = self._rows[place - 1], self._rows[place]
        slope = max(0.0, (self._ms[high] - self._ms[low]) / (high - low))
        return self._ms[low] + slope * (rows - low)


def _timed(backend: Backend, rows: int, clock: Callable[[], float]) -> float:
    """Seconds for one decode of ``rows`` tokens with all logits."""
    tokens: Sequence[int] = [1] * rows
    began = clock()
    backend.decode(Batch(tokens, range(rows), [0] * rows, [True] * rows))
    backend.logits(rows - 1)  # a GPU is waited for here
    taken = clock() - began
    backend.seq_rm(0, 0, -1)
    return taken

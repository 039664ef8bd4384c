"""The saved sliding windows of all sequences, within a budget of bytes: which are there, and which go first.

It moves no memory: ``inference.prefix_cache`` saves windows and restores them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

DEFAULT_CHECKPOINT_BYTES = 1 << 30
"""Memory for checkpoints, in bytes: 170 of Gemma 4 E2B, 50 of E4B, 3 of 12B (6, 20 and 320 MiB each with f16 KV)."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The sliding-window state of a sequence behind its first ``position`` tokens; valid there and nowhere else.

    ``requested`` ones were asked for by the request, the others are the worker's own.
    """

    position: int
    requested: bool
    data: bytes = field(repr=False)


class Checkpoints:
    """By sequence id, ascending by position; forks share theirs. ``budget`` bounds the bytes of all together."""

    def __init__(self, sequences: Iterable[int], budget: int) -> None:
        self._budget = budget
        self._saved: dict[int, list[Checkpoint]] = {sequence: [] for sequence in sequences}

    def of(self, sequence: int) -> Sequence[Checkpoint]:
        """Those of one sequence; not to be changed by the caller."""
        return self._saved[sequence]

    def nearest(self, sequence: int, length: int) -> Checkpoint | None:
        """The last one at or before ``length``."""
        return next((c for c in reversed(self._saved[sequence]) if c.position <= length), None)

    def has(self, sequence: int, position: int) -> bool:
        """Whether there is one at exactly this position."""
        return any(c.position == position for c in self._saved[sequence])

    def add(self, sequence: int, checkpoint: Checkpoint) -> None:
        """One more; the budget is kept by ``evict``."""
        self._saved[sequence].append(checkpoint)
        self._saved[sequence].sort(key=lambda c: c.position)

    def replace(self, sequence: int, checkpoints: Iterable[Checkpoint]) -> None:
        """The sequence has these now, ascending."""
        self._saved[sequence] = list(checkpoints)

    def forget_beyond(self, sequence: int, length: int) -> None:
        """Only the first ``length`` tokens of the sequence are left."""
        self._saved[sequence] = [c for c in self._saved[sequence] if c.position <= length]

    def evict(self, oldest_first: Sequence[int]) -> None:
        """Free checkpoints until the budget holds, those of the sequences used least recently first."""
        while sum(len(c.data) for c in self._distinct()) > self._budget:
            victim = self._least_useful(oldest_first)
            for saved in self._saved.values():
                if victim in saved:
                    saved.remove(victim)

    def _distinct(self) -> set[Checkpoint]:
        return {c for saved in self._saved.values() for c in saved}

    def _least_useful(self, oldest_first: Sequence[int]) -> Checkpoint:
        """What to free first: the worker's own, then others; oldest sequences first.

        The first (the system prompt's) and the last checkpoint of each sequence are spared while there is any other.
        Among the rest that one goes that stands close to its neighbours and far from the end: rewinds go back a turn or
        two far more often than twenty.
        """
        for requested in (False, True):
            for sequence in oldest_first:
                saved = self._saved[sequence]
                spacing = {
                    c: (after.position - before.position) / (saved[-1].position - c.position)
                    for before, c, after in zip(saved, saved[1:], saved[2:], strict=False)
                    if c.requested is requested
                }
                if spacing:
                    return min(spacing, key=lambda c: spacing[c])
        return next(self._saved[s] for s in oldest_first if self._saved[s])[-1]

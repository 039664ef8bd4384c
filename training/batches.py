"""Batches of training data: which samples come in which step is decided by the seed and the step's number alone.

So a run that goes on from a checkpoint sees what it would have seen, and nothing of the order has to be kept. Plain
arrays; no PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.samples import Sample

PROMPT_WEIGHT = 0.1
"""What a token of the prompt counts beside one that the model says: it should learn how code reads, too."""

_POOL = 8  # batches' worth of samples that are sorted by length, so that little is padded


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of equal length: ``ids`` (rows, tokens), 0 behind the end; ``weights`` says what guessing an id counts.

    The first ``shared`` ids are the same in all rows and count nothing.
    """

    ids: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    shared: int = 0

    @property
    def tokens(self) -> int:
        """How many ids are no padding."""
        return int(np.count_nonzero(self.ids))


@dataclass(frozen=True, slots=True)
class Stage:
    """Up to the share ``until`` of all steps, samples come from these groups in these proportions."""

    until: float
    mix: Mapping[str, float]


CURRICULUM = (
    Stage(0.15, {"text": 0.7, "drill": 0.3}),
    Stage(0.45, {"text": 0.2, "drill": 0.6, "session": 0.2}),
    Stage(1.0, {"text": 0.05, "drill": 0.2, "session": 0.75}),
)
"""First how code reads and how to copy, then how to change a line, then whole sessions."""


class Batches:
    """Batches over ``groups`` of samples by name, ``tokens`` in each (one sample at the least)."""

    def __init__(self, groups: Mapping[str, Sequence[Sample]], tokens: int, steps: int, seed: int) -> None:
        self._groups = {name: samples for name, samples in groups.items() if samples}
        self._tokens = tokens
        self._steps = steps
        self._seed = seed

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        pool, number = divmod(step, _POOL)
        chance = np.random.default_rng((self._seed, pool))
        batches = self._pool(chance, pool * _POOL / max(1, self._steps))
        return make_batch(batches[number % len(batches)])

    def _pool(self, chance: np.random.Generator, progress: float) -> list[list[Sample]]:
        """Samples for the next ``_POOL`` steps, those of like length together."""
        stage = next((each for each in CURRICULUM if progress < each.until), CURRICULUM[-1])
        mix = {name: share for name, share in stage.mix.items() if name in self._groups}
        names = list(mix) or list(self._groups)
        shares = np.array([mix.get(name, 1.0) for name in names])
        # Shares are of tokens: a group of short samples gives more of them.
        shares = shares / np.array([np.mean([len(s.ids) for s in self._groups[name][:200]]) for name in names])
        drawn: list[Sample] = []
        while sum(len(sample.ids) for sample in drawn) < _POOL * self._tokens:
            group = self._groups[names[chance.choice(len(names), p=shares / shares.sum())]]
            drawn.append(group[int(chance.integers(len(group)))])
        batches: list[list[Sample]] = [[]]
        for sample in sorted(drawn, key=lambda sample: len(sample.ids)):
            if batches[-1] and (len(batches[-1]) + 1) * _padded(len(sample.ids)) > self._tokens:
                batches.append([])
            batches[-1].append(sample)
        chance.shuffle(batches)  # pyright: ignore[reportArgumentType]
        return batches


def make_batch(samples: Sequence[Sample]) -> Batch:
    """Samples one below the other."""
    longest = _padded(max(len(sample.ids) for sample in samples))
    ids = np.zeros((len(samples), longest), np.int64)
    weights = np.zeros((len(samples), longest), np.float32)
    for row, sample in enumerate(samples):
        size = len(sample.ids)
        ids[row, :size] = sample.ids
        weights[row, :size] = np.where(sample.mask, 1.0, PROMPT_WEIGHT)
        # The beginning that all sessions share would be learned by heart and say nothing.
        weights[row, : max(1, sample.static)] = 0.0
    shared = min(sample.static for sample in samples)
    return Batch(ids, weights, shared if (ids[:, :shared] == ids[0, :shared]).all() else 0)


def _padded(size: int) -> int:
    """Few different lengths, so that little is compiled anew."""
    return -(-size // 64) * 64

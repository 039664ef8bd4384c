"""Batches of training data: which samples come in which step is decided by the seed, the step's number, and how far the
training is.

So a run that goes on from a checkpoint sees what it would have seen, and nothing of the order has to be kept. Plain
arrays; no PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from training.quotations import common_ends
from training.samples import Sample

CHANGED_WEIGHT = 6.0
"""What a token counts where a replacement differs from what it replaces: one or two stand among dozens of copied ones.

Without it the small target finds the place and copies it unchanged.
"""

QUOTED_WEIGHT = 3.0
"""What the first and the last token of a quotation count: one says which line is changed, the other where in it; what
stands between them is copied."""

READ_WEIGHT = 0.2
"""What a token counts that is only read, of the share of them that is guessed, too: what code looks like, and what is
said again, is learnt from all of a sample instead of from the tenth that the model says."""

READ_SHARE = 0.15
"""Such tokens go through the last layers, which takes time."""

_QUOTE = 52  # around every text in a call
_POOL = 8  # batches' worth of samples that are sorted by length, so that little is padded


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of equal length: ``ids`` (rows, tokens), 0 behind the end; ``weights`` says what guessing an id counts:
    nothing where the model only reads it.

    The first ``shared`` ids are the same in all rows.
    """

    ids: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    shared: int = 0

    @property
    def tokens(self) -> int:
        """How many ids are no padding."""
        return int(np.count_nonzero(self.ids))

    def counted(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Places of ids that count, (rows, most of them in a row); False where one only fills a row up."""
        counts = self.weights > 0
        some = counts.sum(1)
        inside = np.arange(_padded(int(some.max())))[None] < some[:, None]
        places = np.full(inside.shape, self.shared + 1, np.int64)
        places[inside] = np.nonzero(counts)[1]
        return places, inside


@dataclass(frozen=True, slots=True)
class Stage:
    """Up to the share ``until`` of all steps, samples come from these groups in these proportions.

    ``whole`` ones have the beginning that all sessions share; without it a session costs half as much.
    """

    until: float
    mix: Mapping[str, float]
    whole: bool = False


CURRICULUM = (
    Stage(0.03, {"repeat": 0.7, "drill": 0.3}),
    Stage(0.05, {"repeat": 0.3, "drill": 0.6, "text": 0.1}),
    Stage(0.38, {"repeat": 0.05, "drill": 0.95}),
    Stage(0.8, {"drill": 0.55, "session": 0.45}),
    Stage(1.0, {"drill": 0.2, "session": 0.8}, whole=True),
)
"""First how to copy, then how code reads and how to change a line, then whole sessions."""


GOING_ON = (
    Stage(0.4, {"drill": 0.5, "session": 0.5}),
    Stage(0.75, {"drill": 0.3, "session": 0.7}),
    Stage(1.0, {"drill": 0.1, "session": 0.9}, whole=True),
)
"""The same for weights that have been through it once."""


def stage_at(curriculum: Sequence[Stage], progress: float) -> Stage:
    """The stage of a share of all steps."""
    return next((each for each in curriculum if progress < each.until), curriculum[-1])


class Batches:
    """Batches over ``groups`` of samples by name, ``tokens`` in each (one sample at the least).

    What all samples of a batch share counts as none: it is read once.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[Sample]],
        tokens: int,
        seed: int,
        curriculum: Sequence[Stage] = CURRICULUM,
    ) -> None:
        self._groups = {name: samples for name, samples in groups.items() if samples}
        self._tokens = tokens
        self._seed = seed
        self._curriculum = curriculum

    def at(self, step: int, progress: float) -> Batch:
        """The batch of a step, counted from 0; ``progress`` is the share of the training that is done."""
        pool, number = divmod(step, _POOL)
        chance = np.random.default_rng((self._seed, pool))
        batches = self._pool(chance, progress)
        return make_batch(batches[number % len(batches)], np.random.default_rng((self._seed, step, pool)))

    def _pool(self, chance: np.random.Generator, progress: float) -> list[list[Sample]]:
        """Samples for the next ``_POOL`` steps, those of like length together."""
        stage = stage_at(self._curriculum, progress)
        mix = {name: share for name, share in stage.mix.items() if name in self._groups}
        names = list(mix) or list(self._groups)
        shares = np.array([mix.get(name, 1.0) for name in names])
        # Shares are of tokens: a group of short samples gives more of them.
        shares = shares / np.array([np.mean([_own(s) for s in self._groups[name][:200]]) for name in names])
        drawn: list[Sample] = []
        while sum(map(_own, drawn)) < _POOL * self._tokens:
            group = self._groups[names[chance.choice(len(names), p=shares / shares.sum())]]
            sample = group[int(chance.integers(len(group)))]
            drawn.append(sample if stage.whole else bare(sample))
        batches: list[list[Sample]] = []
        drawn.sort(key=lambda sample: (sample.static, len(sample.ids)))
        for static, some in groupby(drawn, lambda sample: sample.static):
            batches.append([])
            for sample in some:
                if batches[-1] and (len(batches[-1]) + 1) * _padded(len(sample.ids) - static) > self._tokens:
                    batches.append([])
                batches[-1].append(sample)
        full = [some for some in batches if 2 * sum(map(_own, some)) >= self._tokens] or batches  # steps have a price
        chance.shuffle(full)  # pyright: ignore[reportArgumentType]
        return full


def _own(sample: Sample) -> int:
    """How many ids a sample has behind those that all share."""
    return len(sample.ids) - sample.static


def bare(sample: Sample) -> Sample:
    """The sample without what all share but for the first id, which every sequence begins with."""
    cut = max(0, sample.static - 1)
    said = tuple((start - cut, end - cut) for start, end in sample.said)
    return replace(sample, ids=(*sample.ids[:1], *sample.ids[cut + 1 :]), said=said, static=0)


def make_batch(samples: Sequence[Sample], chance: np.random.Generator | None = None) -> Batch:
    """Samples one below the other; with ``chance`` a part of what is only read counts, too."""
    longest = _padded(max(len(sample.ids) for sample in samples))
    ids = np.zeros((len(samples), longest), np.int64)
    weights = np.zeros((len(samples), longest), np.float32)
    for row, sample in enumerate(samples):
        size = len(sample.ids)
        ids[row, :size] = sample.ids
        weights[row, :size] = sample.mask
        weights[row, quoted(sample)] = QUOTED_WEIGHT
        weights[row, changed(sample)] = CHANGED_WEIGHT
    shared = min(sample.static for sample in samples)
    shared = shared if (ids[:, :shared] == ids[0, :shared]).all() else 0
    if chance is not None:
        read = (ids > 0) & (weights == 0) & (chance.random(ids.shape) < READ_SHARE)
        read[:, : shared + 1] = False
        weights[read] = READ_WEIGHT
    return Batch(ids, weights, shared)


def quoted(sample: Sample) -> list[int]:
    """Where in the sample a quotation of what is changed begins, and where it ends."""
    return [place for old, _ in _edits(sample) for place in (old[0], old[-1])]


def changed(sample: Sample) -> list[int]:
    """Where in the sample an edit's new text is not the old one: behind what both begin, before what both end with.

    Where something is only left out, that is the id behind the gap.
    """
    found: list[int] = []
    for old_places, new_places in _edits(sample):
        old, new = ([sample.ids[place] for place in places] for places in (old_places, new_places))
        before, behind = common_ends(old, new)
        found += new_places[before : max(before + 1, len(new) - behind)]
    return found


def _edits(sample: Sample) -> Iterator[tuple[range, range]]:
    """Of each edit the places of what is found and of what replaces it, with the quotation marks behind them."""
    for start, end in sample.said:
        quotes = [place for place in range(start, end) if sample.ids[place] == _QUOTE]
        # The path comes first, then what is found and what replaces it, for each edit.
        for first in range(2, len(quotes) - 3, 4):
            marks = quotes[first : first + 4]
            yield range(marks[0] + 1, marks[1] + 1), range(marks[2] + 1, marks[3] + 1)


def _padded(size: int) -> int:
    """Few different lengths, so that little is compiled anew."""
    return -(-size // 64) * 64

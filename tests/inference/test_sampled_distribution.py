"""At temperature 1 drafting leaves the distribution of the output as it is: chi-square against exact probabilities.

Each drafter drafts from a target whose draws are uncertain, so that drafts are accepted and rejected all the time.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from contextlib import closing

import numpy as np
import numpy.typing as npt
import pytest

from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend
from inference.request import Request, SamplingParams
from tests.constructed_gemma4 import Shape, drafter, target
from tests.inference.padded import PROMPT, MakeDrafter, drafting_worker, from_file, serve

SHAPE = Shape(context_gain=0.4, sharpness=1.4)
DRAFTERS = {
    "mtp": from_file(lambda shape: drafter(shape, knows=0.7)),
    "draft model": from_file(lambda shape: target(dataclasses.replace(shape, layers=2))),
}
LIKELY = 1e-4  # first tokens below this are followed together
Probabilities = npt.NDArray[np.float64]


def softmax(logits: npt.NDArray[np.float32]) -> Probabilities:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()


def exact() -> tuple[Probabilities, Probabilities]:
    """The probabilities of the first and of the second token behind PROMPT, shapes (n_vocab,)."""
    with closing(LlamaCppBackend.load(target(SHAPE), n_ctx=512, n_batch=128, n_threads=1)) as backend:
        length = len(PROMPT)
        backend.decode(Batch(PROMPT, range(length), [0] * length, [False] * (length - 1) + [True]))
        first = softmax(backend.logits(length - 1))
        second = np.zeros_like(first)
        likely = np.flatnonzero(first > LIKELY)
        for token in likely.tolist():
            # Two rows, as in a decode that verifies a draft.
            backend.decode(Batch([token, 5], [length, length + 1], [0, 0], [True, True]))
            second += first[token] * softmax(backend.logits(0))
            backend.seq_rm(0, length, -1)
    return first, second / first[likely].sum()


def p_value(counts: Counter[int], probabilities: Probabilities) -> float:
    """How likely a deviation as large as this is, when the draws have these probabilities; rare ids are one bin."""
    draws = counts.total()
    common = np.flatnonzero(draws * probabilities >= 10)
    observed = np.array([*(counts[i] for i in common.tolist()), 0])
    observed[-1] = draws - observed.sum()
    expected = draws * np.append(probabilities[common], 1 - probabilities[common].sum())
    statistic = float(((observed - expected) ** 2 / expected).sum())
    # Wilson and Hilferty: the cube root of chi-square over its degrees of freedom is nearly normal.
    freedom = len(common)
    z = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    return 0.5 * math.erfc(z / math.sqrt(2))


def drawn(make: MakeDrafter, draws: int) -> tuple[Counter[int], Counter[int], float]:
    """How often each id came first and second, and the share of drafted tokens that were accepted."""
    first, second = Counter[int](), Counter[int]()
    accepted = drafted = 0
    with drafting_worker(SHAPE, make, k=3) as worker:
        for seed in range(draws):
            # The draft for the second token is made and verified; a third one is asked for so that there is room.
            sampling = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, seed=1 + seed)
            got = serve(worker, Request(str(seed), PROMPT, 4, sampling))
            first[got.ids[0]] += 1
            second[got.ids[1]] += 1
            accepted += got.stats.accepted_tokens
            drafted += got.stats.drafted_tokens
    return first, second, accepted / drafted


def check(make: MakeDrafter, draws: int) -> None:
    exact_first, exact_second = exact()
    first, second, acceptance = drawn(make, draws)
    assert 0.1 < acceptance < 0.9, "drafts that are always or never accepted show nothing"
    assert p_value(first, exact_first) > 1e-3
    assert p_value(second, exact_second) > 1e-3


@pytest.mark.parametrize("make", DRAFTERS.values(), ids=list(DRAFTERS))
def test_the_distribution_is_unchanged(make: MakeDrafter) -> None:
    check(make, 400)


@pytest.mark.slow
@pytest.mark.parametrize("make", DRAFTERS.values(), ids=list(DRAFTERS))
def test_the_distribution_is_unchanged_over_many_draws(make: MakeDrafter) -> None:
    check(make, 6000)


def test_the_test_notices_a_distribution_that_is_slightly_sharper() -> None:
    _, probabilities = exact()
    sharper = probabilities**1.3 / (probabilities**1.3).sum()
    draws = np.random.default_rng(1).choice(sharper.size, 6000, p=sharper)
    assert p_value(Counter(draws.tolist()), probabilities) < 1e-6

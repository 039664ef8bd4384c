"""Batches: the same for the same seed and step, whatever came before."""

from __future__ import annotations

import numpy as np

from training.batches import CURRICULUM, PROMPT_WEIGHT, Batches, make_batch
from training.samples import Sample

GROUPS = {
    "text": [Sample((2, *range(500, 500 + n)), ((1, 1 + n),), "text") for n in range(20, 80)],
    "session": [Sample((2, *range(500, 700 + n)), ((100, 120),), "off_by_one", static=50) for n in range(40)],
}


def test_a_step_has_the_same_batch_whenever_it_is_asked_for() -> None:
    forwards = [Batches(GROUPS, 1024, 100, seed=3).at(step) for step in range(20)]
    one = Batches(GROUPS, 1024, 100, seed=3)
    for step in reversed(range(20)):
        assert np.array_equal(one.at(step).ids, forwards[step].ids)
    assert not np.array_equal(Batches(GROUPS, 1024, 100, seed=4).at(0).ids, forwards[0].ids)


def test_batches_keep_to_their_tokens_and_are_padded_little() -> None:
    for step in range(16):
        batch = Batches(GROUPS, 2048, 100, seed=0).at(step)
        assert batch.ids.size <= 2048
        assert batch.tokens > batch.ids.size / 3


def test_what_is_said_counts_most_and_what_all_sessions_share_not_at_all() -> None:
    batch = make_batch([GROUPS["session"][0]])
    assert not batch.weights[0, :50].any()
    assert (batch.weights[0, 50:100] == np.float32(PROMPT_WEIGHT)).all()
    assert (batch.weights[0, 100:120] == 1.0).all()
    assert not batch.weights[0, 201:].any()


def test_the_curriculum_ends_with_sessions() -> None:
    assert CURRICULUM[-1].until == 1.0
    kinds = [Batches(GROUPS, 2048, 8000, seed=0).at(step).ids.shape[1] for step in (0, 1, 7990, 7991)]
    assert max(kinds[:2]) <= max(kinds[2:])

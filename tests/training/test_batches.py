"""Batches: the same for the same seed and step, whatever came before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from training.batches import (
    CHANGED_WEIGHT,
    CURRICULUM,
    GOING_ON,
    QUOTED_WEIGHT,
    READ_SHARE,
    READ_WEIGHT,
    Batches,
    Stage,
    changed,
    make_batch,
    quoted,
)  # fmt: skip
from training.samples import Sample

GROUPS = {
    "text": [Sample((2, *range(500, 500 + n)), ((1, 1 + n),), "text") for n in range(20, 80)],
    "session": [Sample((2, *range(500, 700 + n)), ((100, 120),), "off_by_one", static=50) for n in range(40)],
}


def test_a_step_has_the_same_batch_whenever_it_is_asked_for() -> None:
    forwards = [Batches(GROUPS, 1024, seed=3).at(step, step / 100) for step in range(20)]
    one = Batches(GROUPS, 1024, seed=3)
    for step in reversed(range(20)):
        assert np.array_equal(one.at(step, step / 100).ids, forwards[step].ids)
    assert not np.array_equal(Batches(GROUPS, 1024, seed=4).at(0, 0.0).ids, forwards[0].ids)


def test_batches_keep_to_their_tokens_and_are_padded_little() -> None:
    for step in range(16):
        batch = Batches(GROUPS, 2048, seed=0).at(step, step / 100)
        assert batch.ids.size <= 2048
        assert batch.tokens > batch.ids.size / 3


def test_what_is_said_counts_and_what_is_read_does_not() -> None:
    batch = make_batch([GROUPS["session"][0]])
    assert not batch.weights[0, :100].any()
    assert (batch.weights[0, 100:120] == 1.0).all()
    assert not batch.weights[0, 120:].any()


def test_places_that_count_are_found_and_rows_filled_up() -> None:
    batch = make_batch([GROUPS["session"][0], GROUPS["text"][0]])
    places, counted = batch.counted()
    assert places.shape == counted.shape == (2, 64)
    assert [places[row, counted[row]].tolist() for row in (0, 1)] == [[*range(100, 120)], [*range(1, 21)]]
    assert (places > batch.shared).all()


@pytest.mark.parametrize("curriculum", [CURRICULUM, GOING_ON])
def test_only_the_last_stage_has_what_all_sessions_share(curriculum: Sequence[Stage]) -> None:
    assert [stage.whole for stage in curriculum] == [False] * (len(curriculum) - 1) + [True]
    assert curriculum[-1].until == 1.0
    batches = Batches({"session": GROUPS["session"]}, 2048, seed=0, curriculum=curriculum)
    early, late = (batches.at(step, step / 8000) for step in (4000, 7990))
    assert (early.shared, late.shared) == (0, 50)
    # What was said stays said, and the first id is that of every sequence.
    assert (early.ids[:, 0] == 2).all()
    assert early.weights[0].tolist().count(1.0) == late.weights[0].tolist().count(1.0) == 20
    assert early.ids[0, early.weights[0] == 1.0].tolist() == late.ids[0, late.weights[0] == 1.0].tolist()


@pytest.mark.parametrize(
    ("new", "old", "differs"),
    [
        ((600, 601, 602), (600, 700, 602), (601,)),
        ((600, 601, 602), (600, 602), (601,)),
        ((600, 602), (600, 601, 602), (602,)),
        ((600, 601, 602, 603), (600, 603), (601, 602)),
        ((600, 600), (600,), (600,)),
        ((600,), (601,), (600,)),
    ],
)
def test_where_a_replacement_differs_counts_most(
    new: tuple[int, ...], old: tuple[int, ...], differs: tuple[int, ...]
) -> None:
    ids = (2, 510, 511, 52, 610, 52, 512, 52, *old, 52, 513, 52, *new, 52, 514)
    sample = Sample(ids, ((2, len(ids)),), "off_by_one")
    assert tuple(ids[place] for place in changed(sample)) == differs
    weights = make_batch([sample]).weights[0]
    assert (weights == np.float32(CHANGED_WEIGHT)).sum() == len(differs)
    assert tuple(ids[place] for place in quoted(sample)) == (old[0], 52)
    assert (weights == np.float32(QUOTED_WEIGHT)).sum() == 2


def test_a_share_of_what_is_read_counts_a_little() -> None:
    some = [GROUPS["session"][number] for number in range(8)]
    plain, batch = make_batch(some), make_batch(some, np.random.default_rng(0))
    assert np.array_equal(batch.weights[plain.weights > 0], plain.weights[plain.weights > 0])
    read = batch.weights == np.float32(READ_WEIGHT)
    assert not read[:, : batch.shared + 1].any()
    assert not read[batch.ids == 0].any()
    candidates = (batch.ids[:, batch.shared + 1 :] > 0).sum() - (plain.weights > 0).sum()
    assert READ_SHARE / 2 < read.sum() / candidates < READ_SHARE * 2


def test_what_a_batch_shares_counts_as_nothing() -> None:
    samples = [Sample((2, *range(500, 1600)), ((1050, 1060),), "off_by_one", static=1000) for _ in range(4)]
    batch = Batches({"session": samples}, 1024, seed=0).at(99, 0.99)
    assert len(batch.ids) == 8  # of 101 own ids each, in pieces of 64

"""The choice by memory: the best that fits, what is here first, and never what the machine cannot bear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TooBigForMemory
from agent.models.catalog import load_catalog
from agent.models.choose import choose, largest_context

GIB = 1 << 30
CATALOG = load_catalog()
NAMES = [entry.name for entry in CATALOG.model]


@pytest.mark.parametrize(
    ("gibibytes", "gpu", "name"),
    [
        (64, True, "gemma-4-31b"),
        (18, True, "gemma-4-26b-a4b"),
        (64, False, "gemma-4-26b-a4b"),
        (12, True, "gemma-4-12b"),
        (12, False, "gemma-4-e4b"),
        (4.5, False, "gemma-4-e2b"),
        (2.8, False, "qwen2.5-coder-1.5b"),
    ],
)
def test_the_best_model_that_fits_is_chosen(gibibytes: float, gpu: bool, name: str) -> None:
    choice = choose(CATALOG, int(gibibytes * GIB), 32_768, gpu=gpu)
    assert (choice.entry.name, choice.context) == (name, 32_768)
    assert choice.entry.title in choice.reason


def test_a_model_that_is_here_comes_before_a_better_one_that_is_not() -> None:
    choice = choose(CATALOG, 64 * GIB, 32_768, have={"qwen2.5-coder-1.5b"})
    assert choice.entry.name == "qwen2.5-coder-1.5b"


def test_a_last_resort_that_is_here_does_not_keep_a_real_model_away() -> None:
    assert choose(CATALOG, 64 * GIB, 32_768, have={"qwen2.5-coder-0.5b"}).entry.name == "gemma-4-26b-a4b"


def test_a_slow_model_that_somebody_fetched_is_wanted() -> None:
    assert choose(CATALOG, 64 * GIB, 32_768, have={"gemma-4-12b"}).entry.name == "gemma-4-12b"


def test_a_smaller_context_is_better_than_no_model() -> None:
    choice = choose(CATALOG, 2 * GIB, 32_768)
    assert choice.entry.name == "qwen2.5-coder-1.5b"
    assert choice.context < 32_768


def test_the_last_resort_is_taken_when_nothing_else_fits() -> None:
    assert choose(CATALOG, GIB + GIB // 4, 32_768).entry.name == "qwen2.5-coder-0.5b"


def test_nothing_fits_is_a_sentence_with_numbers() -> None:
    with pytest.raises(TooBigForMemory, match=r"0\.5 GiB of free memory \(even Qwen2\.5-Coder 0\.5B needs"):
        choose(CATALOG, GIB // 2, 32_768)


@given(
    available=st.integers(0, 80 * GIB),
    wanted=st.integers(1024, 1 << 18),
    have=st.sets(st.sampled_from(NAMES)),
    gpu=st.booleans(),
)
def test_whatever_is_chosen_fits(available: int, wanted: int, have: set[str], gpu: bool) -> None:
    try:
        choice = choose(CATALOG, available, wanted, have, gpu)
    except TooBigForMemory:
        return
    assert choice.entry.needed_bytes(choice.context) <= available
    assert choice.context <= min(wanted, choice.entry.context)
    assert gpu or not choice.entry.needs_gpu or choice.entry.name in have


@given(available=st.integers(0, 80 * GIB), name=st.sampled_from(NAMES))
def test_the_largest_context_fits_and_a_step_more_does_not(available: int, name: str) -> None:
    entry = CATALOG.find(name)
    context = largest_context(entry, available)
    if context:
        assert entry.needed_bytes(context) <= available
    if 0 < context < entry.context:
        assert entry.needed_bytes(context + 2048) > available

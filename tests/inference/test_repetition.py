"""A loop is stopped, and what only looks like one is not."""

from __future__ import annotations

import random

import pytest

from inference.repetition import RepetitionLimits, is_looping

LIMITS = RepetitionLimits()


def code(tokens: int) -> list[int]:
    generator = random.Random(3)
    return [generator.randrange(1000) for _ in range(tokens)]


@pytest.mark.parametrize("period", [1, 2, 7, 33, 64, 200])
def test_a_block_written_again_and_again_is_a_loop(period: int) -> None:
    block = code(period)
    repeats = -(-LIMITS.tail_length(period) // period)
    assert is_looping(code(100) + block * (repeats + 1), LIMITS)
    assert not is_looping(code(100) + block * (repeats - 2), LIMITS)


def test_a_loop_that_is_over_is_none() -> None:
    assert not is_looping([5] * 1000 + [6], LIMITS)


def test_a_block_longer_than_the_longest_period_is_left_alone() -> None:
    assert not is_looping(code(201) * 20, LIMITS)


@pytest.mark.parametrize(
    "legitimate",
    [
        pytest.param([10] * 120, id="blank lines or a ruler"),
        pytest.param([1, 2] * 64, id="eight rows of eight zeros"),
        pytest.param(([1, 2] * 13 + [3]) * 13, id="thirteen rows of thirteen zeros"),
        pytest.param([7, 8, 9] * 40, id="a table's separator"),
        pytest.param([n for i in range(300) for n in (20, 21, i)], id="lines that differ in a number"),
    ],
)
def test_tables_and_rulers_are_no_loop(legitimate: list[int]) -> None:
    text = code(50) + legitimate
    assert not any(is_looping(text[:end], LIMITS) for end in range(len(text)))


def test_a_few_tokens_are_no_loop_whatever_they_are() -> None:
    assert not is_looping([], LIMITS)
    assert not is_looping([1], LIMITS)
    assert is_looping([1, 1], RepetitionLimits(max_period=1, min_repeats=2, min_tokens=1))

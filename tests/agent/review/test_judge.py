"""What the scores of two versions say about a change."""

from __future__ import annotations

import pytest

from agent.model import TokenScore
from agent.review.judge import confidence, signals


def tokens(text: str, logprob: float) -> list[TokenScore]:
    return [TokenScore(word, logprob) for word in text.split()]


def test_a_small_edit_that_is_much_less_likely_is_a_mistake_and_a_harmless_one_is_none() -> None:
    old, rest = tokens("a >= b", -0.5), tokens("then c", -0.5)
    worse = [*tokens("a > b", -6.0), *tokens("then c", -3.0)]
    assert confidence(signals([*old, *rest], worse)) > 0.8
    assert confidence(signals(worse, [*old, *rest])) < 0.3
    assert confidence(signals([*old, *rest], [*tokens("a = b", -0.5), *rest])) < 0.5


@pytest.mark.parametrize("words", [10, 20, 80])
def test_the_more_is_written_anew_the_less_its_surprise_tells(words: int) -> None:
    def rewritten(count: int) -> float:
        old = [TokenScore(f"old {number}", -1.0) for number in range(count)]
        return confidence(signals(old, [TokenScore(f"new {number}", -3.0) for number in range(count)]))

    assert rewritten(words) < rewritten(4)
    assert rewritten(3) == rewritten(4), "an edit of a line is small, however many tokens it has"
    assert rewritten(2 * words) < rewritten(words)

"""How likely a change of code is a mistake, by comparing what a language model thinks of both versions.

A small model that is asked "is there a bug?" answers like a coin, and yet it knows which of two versions it would
rather have written: the correct one in nine cases of ten. So each passage is read once in its old and once in its new
version on the same context, which is prefill alone, and the probability of the old one against the new one is the
confidence.

It neither reads files nor words findings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.model import TokenScore
from agent.review.passages import Passage

# Natural logarithms of odds, fitted on the first half of bench.review's cases (bench/review.py --fit prints them).
_MIDPOINT = 3.0
_SLOPE = 0.45


class Scorer(Protocol):
    """Something that tells how likely texts are; a Model on an engine is one."""

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
        """For each text its tokens, as they would follow ``prefix``; the prefix is read once."""
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """``confidence`` that the passage brings in a mistake (0.0 to 1.0), and the line (from 1) that fits least."""

    confidence: float
    line: int


async def judge(passage: Passage, header: str, scorer: Scorer) -> Judgement:
    """Compare the two versions of a passage; ``header`` stands before its context (the file's imports, say).

    Code where there was nothing before has no other version to be compared with: its confidence is 0.
    """
    first = passage.changed[0] if passage.changed else passage.start
    if not passage.old:
        return Judgement(0.0, first)
    old, new = await scorer.score(header + passage.context, [passage.old, passage.new])
    odds = sum(token.logprob for token in old) - sum(token.logprob for token in new)
    return Judgement(_probability(odds), _least_likely(passage, new))


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, _SLOPE * (odds - _MIDPOINT)))))


def _least_likely(passage: Passage, tokens: Sequence[TokenScore]) -> int:
    """The changed line that is least likely; a line that stood there before is not the one."""
    regrets: dict[int, float] = {}
    line = passage.start
    for token in tokens:
        regrets[line] = regrets.get(line, 0.0) - token.logprob
        line += token.text.count("\n")
    known = {text.strip() for text in passage.old.splitlines()}
    lines = passage.new.splitlines()
    fresh = [
        n for n in passage.changed if n - passage.start < len(lines) and lines[n - passage.start].strip() not in known
    ]
    return max(fresh or passage.changed or (passage.start,), key=lambda number: regrets.get(number, 0.0))

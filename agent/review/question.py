"""Asks a model about each suspicion, yes or no, and takes the probability from its logits.

Only models that are not small are asked: small ones answer like a coin (docs/decisions/0008-review-by-likelihood.md).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from agent.model import Model
from agent.review.passages import Passage
from agent.review.wording import Suspicion, versions
from prompts import load

Confirm = Callable[[Sequence[Suspicion]], Awaitable[list[Suspicion]]]
ANSWERS = ("Yes", "No")
_LEAST = 1e-6  # a probability that a model could be wrong about


def confirmer(model: Model) -> Confirm:
    """Asks again about suspicions, all in one request; their confidence becomes the mean of both odds."""

    async def confirm(suspicions: Sequence[Suspicion]) -> list[Suspicion]:
        rows = await model.shares([asked(each.passage, each.header, each.tests) for each in suspicions], ANSWERS)
        return [
            replace(each, finding=replace(each.finding, confidence=mean(each.finding.confidence, row[0])))
            for each, row in zip(suspicions, rows, strict=True)
        ]

    return confirm


def asked(passage: Passage, header: str = "", tests: str = "") -> str:
    """The question about a passage, which "Yes" answers where the change is a mistake."""
    return load("review/question", **versions(passage, header, tests))


def mean(one: float, other: float) -> float:
    """The probability whose logarithmic odds lie in the middle of both."""
    odds = [math.log(p / (1 - p)) for p in (min(1 - _LEAST, max(_LEAST, each)) for each in (one, other))]
    return 1 / (1 + math.exp(-sum(odds) / 2))

"""How likely a change of code is a mistake, by comparing what a language model thinks of both versions.

A small model that is asked "is there a bug?" answers like a coin, and yet it knows which of two versions it would
rather have written: the correct one in nine cases of ten. So each passage is read once in its old and once in its new
version on the same context, which is prefill alone. It neither reads files nor words findings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Protocol

from agent.model import TokenScore
from agent.review.passages import Passage

# Fitted by logistic regression on one half of bench.review's cases (--fit prints them); the figures in docs/review.md
# are from the other half. The order is that of Signals; the last one is the constant.
_WEIGHTS = (0.45, 0.45, 0.0, 0.0, 0.0, -1.35)
_LIMIT = 40.0  # nats; beyond, a difference says nothing more


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


@dataclass(frozen=True, slots=True)
class Signals:
    """What the two versions tell, in natural logarithms; positive where the old one is the likelier.

    ``body`` compares the lines that changed, ``tail`` the same lines behind them: where a statement is missing, what
    follows comes as a surprise. ``longer`` is how many tokens more the new lines have (as a share of both), which
    makes them unlikelier without a fault. ``spike`` compares the greatest surprise in each, ``mean`` the average one.
    """

    body: float
    tail: float
    longer: float
    spike: float
    mean: float


@dataclass(frozen=True, slots=True)
class Compared:
    """The signals of a passage's two versions, and the line (from 1) that fits least."""

    signals: Signals
    line: int


async def judge(passage: Passage, header: str, scorer: Scorer) -> Judgement:
    """Compare the two versions of a passage; ``header`` stands before its context (the file's imports, say).

    Code where there was nothing before has no other version to be compared with: its confidence is 0.
    """
    found = await compare(passage, header, scorer)
    if found is None:
        return Judgement(0.0, passage.changed[0] if passage.changed else passage.start)
    return Judgement(confidence(found.signals), found.line)


async def compare(passage: Passage, header: str, scorer: Scorer) -> Compared | None:
    """What the two versions tell; None where there was nothing before."""
    if not passage.old:
        return None
    old, new = await scorer.score(header + passage.context, [passage.old, passage.new])
    return Compared(signals(passage, old, new), _least_likely(passage, new))


def signals(passage: Passage, old: Sequence[TokenScore], new: Sequence[TokenScore]) -> Signals:
    """What the tokens of both versions of a passage tell."""
    (old_body, old_tail), (new_body, new_tail) = _split(passage.old, passage.tail, old), _split(
        passage.new, passage.tail, new
    )  # fmt: skip
    count = len(old_body) + len(new_body)
    return Signals(
        body=_bounded(sum(old_body) - sum(new_body)),
        tail=_bounded(sum(old_tail) - sum(new_tail)),
        longer=(len(new_body) - len(old_body)) / max(1, count),
        spike=_bounded(min(old_body, default=0.0) - min(new_body, default=0.0)),
        mean=sum(old_body) / max(1, len(old_body)) - sum(new_body) / max(1, len(new_body)),
    )


def confidence(found: Signals) -> float:
    """The probability of a mistake, 0.0 to 1.0."""
    odds = sum(weight * value for weight, value in zip(_WEIGHTS, (*astuple(found), 1.0), strict=True))
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, odds))))


def _split(text: str, tail: str, tokens: Sequence[TokenScore]) -> tuple[list[float], list[float]]:
    """The log-probabilities of the tokens that begin before the tail, and of the others."""
    end, at = len(text) - len(tail), 0
    body: list[float] = []
    behind: list[float] = []
    for token in tokens:
        (body if at < end else behind).append(token.logprob)
        at += len(token.text)
    return body, behind


def _bounded(value: float) -> float:
    return max(-_LIMIT, min(_LIMIT, value))


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

"""How likely a change of code is a mistake, by comparing what a language model thinks of both versions.

A small model that is asked "is there a bug?" answers like a coin, and yet it knows which of two versions it would
rather have written: the correct one in nine cases of ten. So each passage is read once in its old and once in its new
version on the same context, which is prefill alone. It neither reads files nor words findings.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from difflib import SequenceMatcher
from typing import Protocol

from agent.model import TokenScore
from agent.review.passages import Passage

# The first five are rounded from logistic regressions on one half of bench.review's cases (--fit prints them); the
# figures in docs/review.md are from the other half. The order is that of Signals. The weight of ``size`` and the
# constant, the last one, were chosen by hand: without ``size``, half of the rewritings in real releases were findings.
_WEIGHTS = (0.24, 0.3, 0.27, -1.06, 0.0, -1.5, -0.88)
_READ = "context, then the changed lines"
MEASURE = hashlib.sha256(repr((_WEIGHTS, _READ)).encode()).hexdigest()[:8]  # judgements made otherwise do not count
_LIMIT = 30.0  # nats; beyond, a difference says nothing more
_EDIT = 8  # tokens that differ; nine of ten mistakes in bench.review's cases are no larger, and rewritings are


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

    ``change`` compares the average token of what differs, ``rest`` the sum over the tokens that both have: where
    something is missing or wrong, what follows comes as a surprise. ``first`` is the surprise at the first new token.
    ``longer`` is how many tokens more the new version has, as a share of what differs (mistakes seldom add code, and a
    sum over more tokens is lower without a fault); ``sum`` compares both versions as a whole. ``size`` is the logarithm
    of how many times larger than a small edit the change is: where much is written anew, much is unlikely.
    """

    change: float
    rest: float
    first: float
    longer: float
    sum: float
    size: float


@dataclass(frozen=True, slots=True)
class Compared:
    """The signals of a passage's two versions, and the line (from 1) that fits least."""

    signals: Signals
    line: int


async def judge(passage: Passage, scorer: Scorer) -> Judgement:
    """Compare the two versions of a passage.

    Code where there was nothing before has no other version to be compared with: its confidence is 0.
    """
    found = await compare(passage, scorer)
    if found is None:
        return Judgement(0.0, passage.changed[0] if passage.changed else passage.start)
    return Judgement(confidence(found.signals), found.line)


async def compare(passage: Passage, scorer: Scorer) -> Compared | None:
    """What the two versions tell; None where there was nothing before."""
    if not passage.old:
        return None
    old, new = await scorer.score(passage.context, passage.versions)
    return Compared(signals(old, new), _least_likely(passage, new))


def signals(old: Sequence[TokenScore], new: Sequence[TokenScore]) -> Signals:
    """What the tokens of both versions of a passage tell."""
    gone: list[float] = []
    came: list[float] = []
    rest = 0.0
    matcher = SequenceMatcher(None, [token.text for token in old], [token.text for token in new], autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        before = [token.logprob for token in old[old_from:old_to]]
        after = [token.logprob for token in new[new_from:new_to]]
        if tag == "equal":
            rest += sum(before) - sum(after)
        else:
            gone += before
            came += after
    return Signals(
        change=_bounded(_mean(gone) - _mean(came)),
        rest=_bounded(rest),
        first=_bounded(-came[0] if came else 0.0),
        longer=(len(came) - len(gone)) / max(1, len(came) + len(gone)),
        sum=_bounded(rest + sum(gone) - sum(came)),
        size=math.log(max(1.0, (len(came) + len(gone)) / _EDIT)),
    )


def confidence(found: Signals) -> float:
    """The probability of a mistake, 0.0 to 1.0."""
    odds = sum(weight * value for weight, value in zip(_WEIGHTS, (*astuple(found), 1.0), strict=True))
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, odds))))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


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

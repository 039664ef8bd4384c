"""How often drafted tokens prove right, counted by who drafted them, on what grounds, and in what kind of text.

It drafts nothing. Counting goes on where nothing is verified: what a lookup would have said is compared with what came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

PLACE = "place"
"""The source of tokens that were computed one after the other: there is none but their place in the draft."""

_STEPS = (1, 2, 3, 4, 6, 9, 16, 32, 64)  # agreements from which on tokens are counted together
_WEIGHT = 10.0  # what is known more generally counts as so many tokens
_LOCAL_WEIGHT = 6.0  # and before anything else what this output has shown so far
_MEMORY, _KIND_MEMORY, _LOCAL_MEMORY = 4000.0, 1000.0, 64.0  # tokens, after which older ones fade


class Grounds(NamedTuple):
    """What a drafted token rests on: its drafter, the kind of source, and how many tokens before it agreed."""

    drafter: str
    source: str
    agreed: int

    @classmethod
    def of(cls, drafter: str, source: str, agreed: int) -> Grounds:
        """With the agreement rounded down to the steps that are told apart."""
        step = bisect_right(_STEPS, agreed)
        return cls(drafter, source, _STEPS[step - 1] if step else 0)

    def place_before(self) -> Grounds | None:
        """For computed drafts, where ``agreed`` counts the places, the step before; None at the first."""
        if self.source != PLACE or not self.agreed:
            return None
        step = _STEPS.index(self.agreed)
        return Grounds(self.drafter, self.source, _STEPS[step - 1] if step else 0)

    @property
    def key(self) -> str:
        """A name for files."""
        return f"{self.drafter}/{self.source}/{self.agreed}"


def prior(grounds: Grounds) -> float:
    """What to expect before anything was counted.

    Guesses, of which only the shape of the second was measured: copies of Qwen 1.5B rewriting a source file broke off 1
    time in 2 behind 2 tokens and 1 time in 20 behind 32. A predicted token is put at 0.6, between a drafter that pays
    and one that must not be tried. They count like ``_WEIGHT`` tokens, so they are gone after the first answer;
    ``bench.speculation`` prints what they should have been.
    """
    if grounds.source == "forced":
        return 0.95
    if grounds.source == "match":
        return 1 - 1 / (1 + 0.6 * grounds.agreed)
    if grounds.source == "resumed":
        return 1 - 1 / (1 + 0.6 * (grounds.agreed + 1))
    return 0.6


@dataclass(slots=True)
class Tally:
    """``right`` of ``tried`` tokens; both fade when ``tried`` passes ``memory``."""

    right: float = 0.0
    tried: float = 0.0

    def note(self, right: bool, memory: float) -> None:
        """One more token."""
        if self.tried >= memory:
            keep = memory / (self.tried + 1)
            self.right *= keep
            self.tried *= keep
        self.right += right
        self.tried += 1

    def blended(self, expected: float, weight: float) -> float:
        """The share that proved right, where ``expected`` counts like ``weight`` tokens."""
        return (self.right + weight * expected) / (self.tried + weight)


@dataclass(slots=True)
class Acceptance:
    """What was counted over all outputs of a model, by ``Grounds.key``, and by kind of text before a slash."""

    tallies: dict[str, Tally] = field(default_factory=dict[str, Tally])

    @classmethod
    def load(cls, counts: Mapping[str, tuple[float, float]]) -> Acceptance:
        """From ``dump``; pairs that make no sense are left out."""
        return cls({key: Tally(right, tried) for key, (right, tried) in counts.items() if 0 <= right <= tried})

    def dump(self) -> dict[str, tuple[float, float]]:
        """What to keep for the next start."""
        return {key: (round(tally.right, 2), round(tally.tried, 2)) for key, tally in sorted(self.tallies.items())}

    def local(self) -> LocalAcceptance:
        """The view of one output, which counts for itself as well."""
        return LocalAcceptance(self)

    def expected(self, kind: str, grounds: Grounds) -> float:
        """How likely a token is right, from everything that was counted."""
        before = grounds.place_before()
        # Far places of a draft are seldom reached: they are taken to be like the one before until they are.
        chance = self.expected(kind, before) if before else prior(grounds)
        known = self.tallies.get(grounds.key)
        if known is not None:
            chance = known.blended(chance, _WEIGHT)
        here = self.tallies.get(f"{kind}:{grounds.key}")
        return chance if here is None else here.blended(chance, _WEIGHT)

    def note(self, kind: str, grounds: Grounds, right: bool) -> None:
        """A token was right or wrong."""
        self.tallies.setdefault(grounds.key, Tally()).note(right, _MEMORY)
        self.tallies.setdefault(f"{kind}:{grounds.key}", Tally()).note(right, _KIND_MEMORY)


class LocalAcceptance:
    """What is to be expected in one output: its own last tokens weigh most."""

    def __init__(self, shared: Acceptance) -> None:
        self._shared = shared
        self._own: dict[tuple[str, Grounds], Tally] = {}
        self._known: dict[tuple[str, Grounds], float] = {}  # forgotten with every note

    def expected(self, kind: str, grounds: Grounds) -> float:
        """How likely a token on these grounds is right."""
        key = (kind, grounds)
        chance = self._known.get(key)
        if chance is None:
            chance = self._shared.expected(kind, grounds)
            own = self._own.get(key)
            if own is not None:
                chance = own.blended(chance, _LOCAL_WEIGHT)
            self._known[key] = chance
        return chance

    def tried(self, kind: str, grounds: Grounds) -> float:
        """How many tokens the expectation rests on."""
        tally = self._shared.tallies.get(f"{kind}:{grounds.key}")
        return tally.tried if tally else 0.0

    def note(self, kind: str, grounds: Grounds, right: bool) -> None:
        """A token was right or wrong."""
        self._shared.note(kind, grounds, right)
        self._own.setdefault((kind, grounds), Tally()).note(right, _LOCAL_MEMORY)
        if grounds.source == PLACE:
            self._known.clear()  # other places may rest on this one
        else:
            self._known.pop((kind, grounds), None)

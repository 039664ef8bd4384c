"""What drafting itself costs, measured while it is done: milliseconds a call and a token, for each drafter.

It knows no drafter; lookups cost too little to be counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LONGEST = 16
"""The longest draft asked of a drafter that computes its tokens: behind that, errors have added up."""

_FADING = 0.95  # the weight of all earlier calls against the next


@dataclass(slots=True)
class _Line:
    """Fading sums for the line ms = fixed + each * tokens."""

    count: float = 0.0
    tokens: float = 0.0
    squares: float = 0.0
    ms: float = 0.0
    products: float = 0.0

    def note(self, tokens: int, ms: float) -> None:
        self.count = _FADING * self.count + 1
        self.tokens = _FADING * self.tokens + tokens
        self.squares = _FADING * self.squares + tokens * tokens
        self.ms = _FADING * self.ms + ms
        self.products = _FADING * self.products + tokens * ms

    def at(self, tokens: int) -> float:
        """Milliseconds for so many tokens; in proportion as long as all drafts were equally long."""
        spread = self.count * self.squares - self.tokens * self.tokens
        if spread <= 1e-6 * self.count * self.squares:
            return self.ms / max(self.tokens, 1e-9) * tokens
        each = max(0.0, (self.count * self.products - self.tokens * self.ms) / spread)
        fixed = max(0.0, (self.ms - each * self.tokens) / self.count)
        return fixed + each * tokens


@dataclass(slots=True)
class DraftCosts:
    """By drafter's name."""

    lines: dict[str, _Line] = field(default_factory=dict[str, _Line])

    def expected(self, drafter: str, tokens: int) -> float:
        """Milliseconds for a draft of so many tokens; 0 before any was measured: the first one finds out."""
        line = self.lines.get(drafter)
        return line.at(tokens) if line else 0.0

    def longest(self, drafter: str) -> int:
        """How long a draft may be; one token as long as its cost is unknown."""
        return LONGEST if drafter in self.lines else 1

    def note(self, drafter: str, tokens: int, wanted: int, ms: float) -> None:
        """A call gave ``tokens`` of ``wanted`` tokens."""
        self.lines.setdefault(drafter, _Line()).note(max(tokens, min(1, wanted)), ms)

    def dump(self) -> dict[str, tuple[float, float]]:
        """Milliseconds for one and for four tokens, for the next start."""
        return {name: (round(line.at(1), 4), round(line.at(4), 4)) for name, line in sorted(self.lines.items())}

    @classmethod
    def load(cls, known: Mapping[str, tuple[float, float]]) -> DraftCosts:
        """From ``dump``."""
        costs = cls()
        for name, (one, four) in known.items():
            costs.note(name, 1, 1, one)
            costs.note(name, 4, 4, four)
        return costs

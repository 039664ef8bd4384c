"""Finds where the end of a growing text of token ids stood before: the longest match, by hashed n-grams.

It proposes nothing; what follows a match is read by ``inference.drafters.copy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

LEAST = 2
"""Shorter matches are not looked for: a single token has stood nearly everywhere before."""
LONG = 6
"""Places that agree in so many tokens are looked at first: there are few of them, and one is nearly always right."""
LONGEST = 64
"""Agreement is counted up to here; nothing is decided by more."""
_CANDIDATES = 16  # places that are compared, the latest first; in source code most 2-grams stand in hundreds


@dataclass(frozen=True, slots=True)
class Match:
    """``at`` is the place behind an earlier stretch of text that agrees in ``agreed`` tokens with the end."""

    at: int
    agreed: int


@dataclass(slots=True)
class _Places:
    """Where each n-gram ends: ``last`` by hash, ``before[i]`` the place before i with the same hash (-1: none)."""

    size: int
    last: dict[int, int] = field(default_factory=dict[int, int])
    before: list[int] = field(default_factory=list[int])

    def add(self, text: Sequence[int], end: int) -> None:
        """The text now reaches to ``end``."""
        if end < self.size:
            self.before.append(-1)
            return
        key = hash(tuple(text[end - self.size : end]))
        self.before.append(self.last.get(key, -1))
        self.last[key] = end


class SuffixIndex:
    """An append-only text of at most ``capacity`` tokens: what is too old is forgotten, half of the text at a time.

    Appending costs 1 us a token, whatever the length; a search at most 0.1 ms. Memory is some 250 bytes a token.
    A break ends what can match: ids are not negative, and breaks are.
    """

    def __init__(self, capacity: int = 1 << 16) -> None:
        self.text: list[int] = []
        self.dropped = 0
        """How many tokens at the front were forgotten; places count without them."""
        self._capacity = capacity
        self._breaks = 0
        self._clear()

    def _clear(self) -> None:
        # before[i] belongs to the text up to i, hence one entry for the empty text.
        self._long = _Places(LONG, before=[-1])
        self._short = _Places(LEAST, before=[-1])

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens at the end."""
        if len(self.text) + len(tokens) > self._capacity:
            self._forget(len(tokens))
        self.dropped += max(0, len(tokens) - self._capacity)
        self._add(tokens[-self._capacity :])

    def _add(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            self.text.append(token)
            self._long.add(self.text, len(self.text))
            self._short.add(self.text, len(self.text))

    def break_off(self) -> None:
        """What comes next does not continue what was there."""
        if self.text and self.text[-1] >= 0:
            self._breaks += 1
            self.append((-self._breaks,))

    def _forget(self, coming: int) -> None:
        keep = max(0, min(self._capacity // 2, self._capacity - coming))
        rest = self.text[len(self.text) - keep :]
        self.dropped += len(self.text) - keep
        self.text = []
        self._clear()
        self._add(rest)

    def find(self, after: Sequence[int] = ()) -> Match | None:
        """The longest earlier match of the end of the text, as if ``after`` were appended; the latest among equals."""
        end = [*self.text[-LONGEST:], *after][-LONGEST:]
        for places in (self._long, self._short):
            match = self._longest(places, end)
            if match is not None:
                return match
        return None

    def agreement(self, at: int, end: Sequence[int]) -> int:
        """How many tokens before place ``at`` agree with the last ones of ``end``."""
        text, most = self.text, min(at, len(end))
        count = 0
        while count < most and text[at - 1 - count] == end[-1 - count]:
            count += 1
        return count

    def _longest(self, places: _Places, end: Sequence[int]) -> Match | None:
        if len(end) < places.size:
            return None
        at = places.last.get(hash(tuple(end[-places.size :])), -1)
        best: Match | None = None
        for _ in range(_CANDIDATES):
            if at < 0:
                break
            agreed = self.agreement(at, end) if at < len(self.text) else 0
            if agreed >= places.size and (best is None or agreed > best.agreed):
                best = Match(at, agreed)
            at = places.before[at]
        return best

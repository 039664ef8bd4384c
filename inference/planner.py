"""The Planner protocol: what is drafted before the next decode; and the simplest one, which always asks one drafter.

It decodes and verifies nothing; the planner that weighs costs against gains is ``inference.controller``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inference.drafters import Drafter, Generation
from inference.request import DrafterStats

NOTHING: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a plan: the target kept the first ``accepted`` drafted tokens; the step took ``ms`` in all.

    A step is one decode with the draws from its rows. ``rows`` is what was decoded: the last token and the draft.
    """

    rows: int
    accepted: int
    ms: float


class Planner(Protocol):
    """Decides for each decode what is drafted; lives in the thread that owns the target.

    Contract: ``begin``; ``follow`` after the prefill; then ``plan``, ``settle`` and ``follow`` for every decode, which
    may fail behind ``plan``. ``tokens`` and ``row`` are as in Drafter. A planner changes how fast an output comes and
    never what it is.
    """

    def begin(self, generation: Generation) -> None:
        """A request begins."""
        ...

    def follow(self, tokens: Sequence[int], row: int) -> None:
        """The target has moved on to ``tokens``."""
        ...

    def plan(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """At most ``limit`` (0 or more) ids to be verified behind ``tokens`` in the next decode; none: plainly."""
        ...

    def settle(self, outcome: Outcome) -> None:
        """How the last plan went."""
        ...

    def stats(self) -> tuple[DrafterStats, ...]:
        """What each drafter contributed to the present request."""
        ...

    def close(self) -> None:
        """Free the drafters; called before the target is freed."""
        ...


class AlwaysDraft:
    """A Planner that asks ``drafter`` for up to ``limit`` tokens every time: for tests, and to measure a drafter."""

    def __init__(self, drafter: Drafter, limit: int = 8) -> None:
        self._drafter = drafter
        self._limit = limit
        self._planned = self._drafted = self._accepted = 0

    def begin(self, generation: Generation) -> None:
        """A request begins."""
        self._planned = self._drafted = self._accepted = 0
        self._drafter.begin(generation)

    def follow(self, tokens: Sequence[int], row: int) -> None:
        """The target has moved on to ``tokens``."""
        self._drafter.follow(tokens, row)

    def plan(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """Whatever the drafter proposes."""
        limit = min(limit, self._limit)
        draft = self._drafter.draft(tokens, limit)[:limit] if limit > 0 else NOTHING
        self._planned = len(draft)
        return draft

    def settle(self, outcome: Outcome) -> None:
        """How the last plan went."""
        self._drafted += self._planned
        self._accepted += outcome.accepted

    def stats(self) -> tuple[DrafterStats, ...]:
        """What the drafter contributed to the present request."""
        return (DrafterStats(self._drafter.name, self._drafted, self._accepted),)

    def close(self) -> None:
        """Free the drafter."""
        self._drafter.close()

"""The Planner protocol: what is drafted before the next decode; and the simplest one, which always asks one drafter.

It decodes and verifies nothing; the planner that weighs costs against gains is ``inference.controller``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inference.drafters import Drafter, Drafting, Generation
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


class Planning(Protocol):
    """A planner's state for one request; several requests may be under way at once, each with its own.

    Contract: ``follow`` after the prefill; then ``plan``, ``settle`` and ``follow`` for every decode, which may fail
    behind ``plan``; in the end ``close``. ``tokens`` and ``row`` are as in Drafting. A planner changes how fast an
    output comes and never what it is.
    """

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
        """What each drafter contributed to this request."""
        ...

    def close(self) -> None:
        """The request has ended."""
        ...


class Planner(Protocol):
    """Decides for each decode what is drafted; lives in the thread that owns the target."""

    def begin(self, generation: Generation) -> Planning:
        """A request begins; others may be under way."""
        ...

    def close(self) -> None:
        """Free the drafters; called before the target is freed, and after every Planning was closed."""
        ...


class AlwaysDraft:
    """A Planner that asks ``drafter`` for up to ``limit`` tokens every time: for tests, and to measure a drafter."""

    def __init__(self, drafter: Drafter, limit: int = 8) -> None:
        self._drafter = drafter
        self._limit = limit

    def begin(self, generation: Generation) -> Planning:
        """A request begins."""
        return _AlwaysDrafting(self._drafter.name, self._drafter.begin(generation), self._limit)

    def close(self) -> None:
        """Free the drafter."""
        self._drafter.close()


class _AlwaysDrafting:
    """One request of AlwaysDraft."""

    def __init__(self, name: str, drafting: Drafting, limit: int) -> None:
        self._name = name
        self._drafting = drafting
        self._limit = limit
        self._planned = self._drafted = self._accepted = 0

    def follow(self, tokens: Sequence[int], row: int) -> None:
        self._drafting.follow(tokens, row)

    def plan(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        limit = min(limit, self._limit)
        draft = self._drafting.draft(tokens, limit)[:limit] if limit > 0 else NOTHING
        self._planned = len(draft)
        return draft

    def settle(self, outcome: Outcome) -> None:
        self._drafted += self._planned
        self._accepted += outcome.accepted

    def stats(self) -> tuple[DrafterStats, ...]:
        return (DrafterStats(self._name, self._drafted, self._accepted),)

    def close(self) -> None:
        self._drafting.close()

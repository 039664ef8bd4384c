"""Drafts what a grammar leaves no choice about: what stands between the arguments of a call, a name once it is clear.

The target still verifies them: it may write the same text with other tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inference.drafters import NO_PROPOSAL, Generation, Proposal


class ForcedDrafter:
    """``inference.drafters.Drafter`` over the grammar of a request."""

    name = "forced"

    def begin(self, generation: Generation) -> ForcedDrafting:
        """A request begins."""
        return ForcedDrafting(generation.forced)

    def close(self) -> None:
        """Nothing to free."""


class ForcedDrafting:
    """One request; ``inference.drafters.Lookup``."""

    def __init__(self, forced: Callable[[], Sequence[int]]) -> None:
        self._forced = forced

    def follow(self, tokens: Sequence[int], row: int) -> None:
        """The grammar follows by itself."""

    def propose(self, limit: int, after: Sequence[int] = ()) -> Proposal:
        """Up to ``limit`` forced ids; none behind tokens that the grammar has not seen yet."""
        ids = () if after else self._forced()[:limit]
        return Proposal(ids, "forced", 0) if ids else NO_PROPOSAL

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:  # noqa: ARG002
        """Up to ``limit`` forced ids."""
        return self.propose(limit).ids

    def close(self) -> None:
        """Nothing to free."""

"""Drafters for tests: a base that follows in silence and counts what was accepted of its drafts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from inference.drafters import Generation


class FakeDrafter:
    """Proposes nothing; subclasses say what in ``draft`` and may look at ``generation``.

    It is its own Drafting, so it serves one request at a time.
    """

    name = "fake"

    def __init__(self) -> None:
        self.generation: Generation | None = None
        self.followed: list[tuple[int, int]] = []
        """The number of tokens and the row, at each ``follow``."""

    def begin(self, generation: Generation) -> Self:
        self.generation = generation
        return self

    def follow(self, tokens: Sequence[int], row: int) -> None:
        self.followed.append((len(tokens), row))

    def wait_ms(self, tokens: Sequence[int]) -> float:
        return 0.0

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        return ()

    def close(self) -> None:
        pass

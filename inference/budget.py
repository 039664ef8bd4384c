"""Keeps drafting from losing: what drafts gained and lost against plain decoding, and what may be risked next.

It decides only whether a risk is allowed; whether it is worth taking is ``inference.controller``'s matter.
"""

from __future__ import annotations

RATE = 0.012
"""So much of the time of plain decoding may be lost to drafts that go wrong: with what an output begins with, and the
error of the estimates, this stays below the 3 % that are promised."""

START = 2.0
"""Plain steps that an output may lose before it has earned anything: enough to try a draft of three tokens."""

MOST = 40.0
"""Plain steps that can be saved up: the loss of a draft of 64 tokens of which none is right is about 20."""


class Budget:
    """Milliseconds that may be lost, in terms of plain steps of ``plain_ms`` each (which changes with the context)."""

    def __init__(self) -> None:
        self._steps = START

    def begin(self) -> None:
        """A new output: what an earlier one gained is not for this one to lose, but a debt stays."""
        self._steps = min(self._steps, START)

    def allows(self, loss_ms: float, plain_ms: float) -> bool:
        """Whether a step may be risked that loses ``loss_ms`` at worst."""
        return loss_ms <= self._steps * plain_ms

    def note(self, tokens: int, spent_ms: float, plain_ms: float) -> None:
        """A step gave ``tokens`` tokens for ``spent_ms``, drafting included."""
        gained = tokens * (1 + RATE) - spent_ms / plain_ms
        self._steps = min(MOST, self._steps + gained)

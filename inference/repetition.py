"""Whether generated tokens have become a loop; pure.

It decides about token ids of one output only; repeated tool calls are the loop's business, in ``agent.loop``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RepetitionLimits:
    """When a repeated tail counts as a loop: all three must hold.

    The tail is a block of at most ``max_period`` tokens, written at least ``min_repeats`` times, and at least
    ``min_tokens`` tokens long. Blank lines, rulers, table separators and literal tables stay below: a 13 x 13 table of
    zeros is 390 equal tokens or fewer. A stuck model goes on to the end of the context.
    """

    max_period: int = 64
    min_repeats: int = 10
    min_tokens: int = 400

    def tail_length(self, period: int) -> int:
        """How many tokens at the end must repeat with ``period``."""
        return max(self.min_tokens, period * self.min_repeats)


CHECK_EVERY = 16
"""A loop is looked for once in so many tokens; the search itself takes some 20 microseconds."""


def is_looping(ids: Sequence[int], limits: RepetitionLimits) -> bool:
    """Whether the tail of ``ids`` is one block repeated beyond ``limits``."""
    for period in range(1, limits.max_period + 1):
        length = limits.tail_length(period)
        if length > len(ids):
            continue
        if ids[-1] != ids[-1 - period] or ids[-2] != ids[-2 - period]:
            continue
        if ids[-length:-period] == ids[period - length :]:
            return True
    return False

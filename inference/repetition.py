"""Whether generated tokens have become a loop; pure.

It decides about token ids of one output only; repeated tool calls are the loop's business, in ``agent.loop``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RepetitionLimits:
    """When a repeated tail counts as a loop: all three must hold.

    The tail is a block of at most ``max_period`` tokens (whole paragraphs loop too), written at least ``min_repeats``
    (two or more) times, and at least ``min_tokens`` tokens long. Blank lines, rulers, table separators and literal
    tables stay below: 13 rows of 13 zeros are some 350 tokens. A stuck model goes on to the end of the context.
    """

    max_period: int = 200
    min_repeats: int = 4
    min_tokens: int = 400

    def tail_length(self, period: int) -> int:
        """How many tokens at the end must repeat with ``period``."""
        return max(self.min_tokens, period * self.min_repeats)


CHECK_EVERY = 16
"""A loop is looked for once in so many tokens; one search takes some 20 microseconds."""


def is_looping(ids: Sequence[int], limits: RepetitionLimits) -> bool:
    """Whether the tail of ``ids`` is one block repeated beyond ``limits``."""
    for period in range(1, min(limits.max_period, len(ids) - 1) + 1):
        # The last token decides nearly always; comparing whole tails is for the rare rest.
        if ids[-1] != ids[-1 - period]:
            continue
        length = limits.tail_length(period)
        if length <= len(ids) and ids[-length:-period] == ids[period - length :]:
            return True
    return False

"""The Drafter protocol: who proposes tokens that the target model then verifies in one pass.

Only the seam stands here; the drafters themselves come with speculation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Drafter(Protocol):
    """Proposes likely next tokens.

    Contract: ``draft`` returns at most ``limit`` ids that may follow ``tokens`` (all tokens so far) and changes nothing
    that the target can see; ``accepted`` tells how many of the last draft were right before the next call.
    """

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """Up to ``limit`` proposed ids; none when there is nothing worth proposing."""
        ...

    def accepted(self, count: int) -> None:
        """The first ``count`` ids of the last draft were kept."""
        ...

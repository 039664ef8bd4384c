"""The output of one request while it grows: draws tokens and knows when it has ended.

It decodes nothing and does not know how many rows a decode had.
"""

from __future__ import annotations

from inference.backend import Sampler
from inference.repetition import CHECK_EVERY, RepetitionLimits, is_looping
from inference.request import FinishReason, Request


class Output:
    """The ids generated for ``request`` so far; ``reason`` is set by the token that ends it."""

    def __init__(self, request: Request, sampler: Sampler, limits: RepetitionLimits) -> None:
        self.ids: list[int] = []
        self.reason: FinishReason | None = None if request.max_tokens > 0 else FinishReason.LENGTH
        self._request = request
        self._sampler = sampler
        self._limits = limits

    @property
    def room(self) -> int:
        """How many tokens may still come."""
        return self._request.max_tokens - len(self.ids)

    def draw(self, row: int) -> int:
        """Draw the next token from row ``row`` of the last decode."""
        token = self._sampler.sample(row)
        self.ids.append(token)
        self.reason = self._end(token)
        return token

    def _end(self, token: int) -> FinishReason | None:
        if token in self._request.stop_ids:
            return FinishReason.STOP
        if self.room == 0:
            return FinishReason.LENGTH
        if len(self.ids) % CHECK_EVERY == 0 and is_looping(self.ids, self._limits):
            return FinishReason.REPETITION
        return None

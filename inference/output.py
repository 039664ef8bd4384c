"""The output of one request while it grows: draws tokens and knows when it has ended.

It decodes nothing and does not know how many rows a decode had.
"""

from __future__ import annotations

from inference.backend import Sampler
from inference.constraint import Constraint, sample_constrained
from inference.repetition import CHECK_EVERY, RepetitionLimits, is_looping
from inference.request import FinishReason, Request


class Output:
    """The ids generated for ``request`` so far; ``reason`` is set by the token that ends it.

    ``constraint`` is the request's grammar, standing at its start.
    """

    def __init__(
        self, request: Request, sampler: Sampler, constraint: Constraint | None, limits: RepetitionLimits
    ) -> None:
        self.ids: list[int] = []
        self.reason: FinishReason | None = None if request.max_tokens > 0 else FinishReason.LENGTH
        self._request = request
        self._sampler = sampler
        self._constraint = constraint
        self._limits = limits

    @property
    def room(self) -> int:
        """How many tokens may still come."""
        return self._request.max_tokens - len(self.ids)

    def ended(self, _token: int) -> bool:
        """Whether the token drawn last was the last one."""
        return self.reason is not None

    def draw(self, row: int) -> int:
        """Draw the next token from row ``row`` of the last decode; InvalidGrammar when no token is allowed."""
        token = sample_constrained(self._sampler, row, self._constraint)
        if self._constraint is not None:
            self._constraint.commit(token)
        self.ids.append(token)
        self.reason = self._end(token)
        return token

    def _end(self, token: int) -> FinishReason | None:
        if token in self._request.stop_ids or self._grammar_ends():
            return FinishReason.STOP
        if self.room == 0:
            return FinishReason.LENGTH
        if len(self.ids) % CHECK_EVERY == 0 and is_looping(self.ids, self._limits):
            return FinishReason.REPETITION
        return None

    def _grammar_ends(self) -> bool:
        grammar = self._request.grammar
        if grammar is None or self._constraint is None:
            return False
        return grammar.from_start and grammar.then_stop and self._constraint.complete

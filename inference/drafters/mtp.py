"""Drafts with Gemma 4's multi-token prediction: from the target's own hidden state, over the target's own KV.

It holds no native handle (``inference.backend.llama_assistant`` does) and keeps nothing of an earlier request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from inference.drafters import Generation
from inference.sampling import FloatRow


class Assistant(Protocol):
    """The model that drafts; it has no memory of its own and remembers nothing from one call to the next."""

    @property
    def width(self) -> int:
        """The length of the target's hidden rows, in floats."""
        ...

    def read_row(self, row: int, into: FloatRow) -> None:
        """Copy the hidden state of row ``row`` of the target's last decode; ``into`` has shape (width,)."""
        ...

    def draft(self, hidden: FloatRow, token: int, position: int, sequence: int, limit: int) -> list[int]:
        """Up to ``limit`` ids behind ``token``, which was drawn from ``hidden`` and will stand at ``position``.

        ``sequence`` is the target's, and holds all tokens before that position.
        """
        ...

    def close(self) -> None:
        """Free native memory."""
        ...


class MtpDrafter:
    """``inference.drafters.Drafter`` over an Assistant, which it closes."""

    name = "mtp"

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant

    def begin(self, generation: Generation) -> MtpDrafting:
        """A request begins; others may be under way."""
        return MtpDrafting(self._assistant, generation.sequence)

    def close(self) -> None:
        """Free the assistant."""
        self._assistant.close()


class MtpDrafting:
    """``inference.drafters.Prediction``: the hidden state behind the last token of one request."""

    def __init__(self, assistant: Assistant, sequence: int) -> None:
        self._assistant = assistant
        self._sequence = sequence
        self._hidden = np.empty(assistant.width, np.float32)
        self._length = 0
        """How many tokens there were when the hidden state was read; 0 before that."""

    def follow(self, tokens: Sequence[int], row: int) -> None:
        """Keep the hidden state from which the last token was drawn."""
        self._assistant.read_row(row, self._hidden)
        self._length = len(tokens)

    def wait_ms(self, tokens: Sequence[int]) -> float:  # noqa: ARG002
        """The target has read everything."""
        return 0.0

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """Up to ``limit`` ids, one decode of the small model each."""
        length = len(tokens)
        if self._length != length:
            return ()
        return self._assistant.draft(self._hidden, tokens[-1], length - 1, self._sequence, limit)

    def close(self) -> None:
        """Nothing is held."""

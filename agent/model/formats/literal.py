"""Text to token ids such that text can never become a control token, and prompts built from texts and markers.

It knows no chat format: a format says which markers it writes, by id.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Self

from inference.tokenizer import Tokenizer

_SURROGATE = re.compile("[\ud800-\udfff]")


class LiteralEncoder:
    """Encodes plain text without ever giving a control token.

    Some vocabularies parse user-defined markers (``<|tool_call>``) even from plain text. Which ones is not listed here:
    whatever comes out as a control token is found by its id, and its first character is encoded apart from its rest.
    Other tags (``<table>``) are text and stay whole.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, none of them a control token; lone surrogates become U+FFFD."""
        return self._without_control(_SURROGATE.sub("\ufffd", text))

    def _without_control(self, text: str) -> list[int]:
        ids = self._tokenizer.encode(text)
        control = [token for token in set(ids) if self._tokenizer.is_control(token)]
        if not control or len(text) < 2:
            return [] if control else ids  # a control token of one character has no other spelling
        written = {self._tokenizer.piece(token).decode("utf-8", "replace") for token in control}
        parts = _split(text, re.compile("|".join(map(re.escape, sorted(written, key=len, reverse=True)))))
        if len(parts) == 1:  # not to be found as it is written: character by character
            parts = list(text)
        return [token for part in parts for token in self._without_control(part)]


def _split(text: str, marker: re.Pattern[str]) -> list[str]:
    """The text cut behind the first character of every match."""
    cuts = [0, *(match.start() + 1 for match in marker.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts) if start < end]


class PromptBuilder:
    """Collects texts and markers in order; texts that touch are encoded as one, as in the model's training."""

    def __init__(self, encoder: LiteralEncoder) -> None:
        self._encoder = encoder
        self._ids: list[int] = []
        self._pending: list[str] = []

    def text(self, text: str) -> Self:
        """Append plain text."""
        if text:
            self._pending.append(text)
        return self

    def marker(self, *token_ids: int) -> Self:
        """Append control tokens."""
        self._flush()
        self._ids.extend(token_ids)
        return self

    def ids(self) -> list[int]:
        """Everything so far as token ids."""
        self._flush()
        return list(self._ids)

    def _flush(self) -> None:
        if self._pending:
            self._ids += self._encoder.encode("".join(self._pending))
            self._pending.clear()

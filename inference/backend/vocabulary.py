"""What every llama.cpp vocabulary has in common: remembered lookups, and what counts as a marker.

It makes no native call; a subclass reads the vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum


class TokenKind(Enum):
    """How a vocabulary labels a token, as far as it matters here."""

    TEXT = "text"
    CONTROL = "control"
    USER_DEFINED = "user defined"


class CachedTokenizer(ABC):
    """The part of ``inference.tokenizer.Tokenizer`` that needs three native reads and remembers what they said."""

    def __init__(self, n_vocab: int) -> None:
        self._n_vocab = n_vocab
        self._pieces: list[bytes | None] = [None] * n_vocab
        self._control: list[bool | None] = [None] * n_vocab

    @property
    def n_vocab(self) -> int:
        """Number of token ids."""
        return self._n_vocab

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text, without BOS and without parsing control tokens."""
        return self._tokenize(text.encode("utf-8", "replace"), parse_special=False)

    def piece(self, token_id: int) -> bytes:
        """The bytes of one token; raises IndexError outside the vocabulary."""
        self._check(token_id)
        found = self._pieces[token_id]
        if found is None:
            found = self._pieces[token_id] = self._read_piece(token_id)
        return found

    def token_id(self, written: str) -> int:
        """The id whose written form is exactly ``written``; raises KeyError.

        llama.cpp splits special tokens off before anything else, so a marker comes back as one id and no table of
        the whole vocabulary is needed.
        """
        data = written.encode("utf-8", "replace")
        ids = self._tokenize(data, parse_special=True)
        if len(ids) != 1 or self.piece(ids[0]) != data:
            raise KeyError(written)
        return ids[0]

    def is_control(self, token_id: int) -> bool:
        """Whether the token is a control token, or a user-defined one with the written form ``<...>``."""
        self._check(token_id)
        known = self._control[token_id]
        if known is None:
            known = self._control[token_id] = self._is_marker(token_id)
        return known

    def _check(self, token_id: int) -> None:
        if not 0 <= token_id < self._n_vocab:
            raise IndexError(f"token id {token_id} is outside a vocabulary of {self._n_vocab}")

    def _is_marker(self, token_id: int) -> bool:
        kind = self._read_kind(token_id)
        if kind is not TokenKind.USER_DEFINED:
            return kind is TokenKind.CONTROL
        piece = self.piece(token_id)
        return piece[:1] == b"<" and piece[-1:] == b">"

    @abstractmethod
    def _read_kind(self, token_id: int) -> TokenKind:
        """The label of a token inside the vocabulary."""

    @abstractmethod
    def _read_piece(self, token_id: int) -> bytes:
        """The bytes of a token inside the vocabulary."""

    @abstractmethod
    def _tokenize(self, data: bytes, *, parse_special: bool) -> list[int]:
        """Token ids of UTF-8 text, without BOS."""

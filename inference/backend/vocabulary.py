"""What every llama.cpp vocabulary has in common: remembered lookups, and what counts as a marker.

It makes no native call; a subclass reads the vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

BLOCK = 256
"""Ids looked up at once: a native call each is cheap, what surrounds it is not (262,144 pieces: 0.5 s, not 1.0)."""


class CachedTokenizer(ABC):
    """The part of ``inference.tokenizer.Tokenizer`` that needs three native reads and remembers what they said."""

    def __init__(self, n_vocab: int) -> None:
        self._n_vocab = n_vocab
        self._pieces: dict[int, list[bytes]] = {}  # by block
        self._markers: dict[int, frozenset[int]] = {}

    @property
    def n_vocab(self) -> int:
        """Number of token ids."""
        return self._n_vocab

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text, without BOS and without parsing control tokens."""
        return self._tokenize(text.encode("utf-8", "replace"), parse_special=False)

    def piece(self, token_id: int) -> bytes:
        """The bytes of one token; raises IndexError outside the vocabulary."""
        block, offset = self._place(token_id)
        pieces = self._pieces.get(block)
        if pieces is None:
            pieces = self._pieces[block] = self._read_pieces(self._ids(block))
        return pieces[offset]

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
        block, _ = self._place(token_id)
        markers = self._markers.get(block)
        if markers is None:
            special = self._read_special(self._ids(block))
            markers = self._markers[block] = frozenset(i for i in special if special[i] or self._is_bracketed(i))
        return token_id in markers

    def _place(self, token_id: int) -> tuple[int, int]:
        if not 0 <= token_id < self._n_vocab:
            raise IndexError(f"token id {token_id} is outside a vocabulary of {self._n_vocab}")
        return divmod(token_id, BLOCK)

    def _ids(self, block: int) -> range:
        return range(block * BLOCK, min((block + 1) * BLOCK, self._n_vocab))

    def _is_bracketed(self, token_id: int) -> bool:
        piece = self.piece(token_id)
        return piece[:1] == b"<" and piece[-1:] == b">"

    @abstractmethod
    def _read_special(self, ids: range) -> dict[int, bool]:
        """Of these tokens inside the vocabulary: True for control tokens, False for user-defined ones, no others."""

    @abstractmethod
    def _read_pieces(self, ids: range) -> list[bytes]:
        """The bytes of tokens inside the vocabulary."""

    @abstractmethod
    def _tokenize(self, data: bytes, *, parse_special: bool) -> list[int]:
        """Token ids of UTF-8 text, without BOS."""

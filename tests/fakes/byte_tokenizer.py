"""A Tokenizer whose ids 0-255 are bytes and whose further ids are the markers it is given.

It merges nothing, so that tests can read token ids.
"""

from __future__ import annotations

from collections.abc import Sequence


class ByteTokenizer:
    """Text is UTF-8 bytes; ``markers`` get the ids from 256 on, ``eog`` names those that end a generation."""

    def __init__(self, markers: Sequence[str] = ("<bos>", "<end>"), eog: Sequence[str] = ("<end>",)) -> None:
        self._markers = list(markers)
        self._eog = frozenset(self.token_id(marker) for marker in eog)

    @property
    def n_vocab(self) -> int:
        return 256 + len(self._markers)

    @property
    def bos_id(self) -> int | None:
        return self.token_id("<bos>") if "<bos>" in self._markers else None

    @property
    def eog_ids(self) -> frozenset[int]:
        return self._eog

    def encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8", "replace"))

    def piece(self, token_id: int) -> bytes:
        if not 0 <= token_id < self.n_vocab:
            raise IndexError(token_id)
        return bytes([token_id]) if token_id < 256 else self._markers[token_id - 256].encode()

    def token_id(self, written: str) -> int:
        try:
            return 256 + self._markers.index(written)
        except ValueError:
            raise KeyError(written) from None

    def is_control(self, token_id: int) -> bool:
        return token_id >= 256

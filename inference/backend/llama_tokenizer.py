"""``inference.tokenizer.Tokenizer`` over the vocabulary of a model that llama.cpp has loaded.

Text and ids only: it renders no conversation.
"""

from __future__ import annotations

import ctypes

import numpy as np

from inference.backend.bindings import lib, native
from inference.backend.native import pointer
from inference.backend.vocabulary import CachedTokenizer
from inference.errors import EngineClosed

_SPECIAL = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_USER_DEFINED


class LlamaCppTokenizer(CachedTokenizer):
    """``inference.tokenizer.Tokenizer`` over the vocabulary of a loaded model; safe to use from any thread."""

    def __init__(self, vocabulary: lib.llama_vocab_p) -> None:
        super().__init__(lib.llama_vocab_n_tokens(vocabulary))
        self._vocabulary: lib.llama_vocab_p | None = vocabulary
        bos: int = native.llama_vocab_bos(vocabulary)
        self._bos_id = bos if bos >= 0 and lib.llama_vocab_get_add_bos(vocabulary) else None
        self._eog_ids: frozenset[int] | None = None

    @property
    def bos_id(self) -> int | None:
        """The id that starts a prompt, when the model wants one."""
        return self._bos_id

    @property
    def eog_ids(self) -> frozenset[int]:
        """Ids that end a generation; the first use looks at every id (0.15 s for 262,144)."""
        if self._eog_ids is None:
            vocabulary, is_eog = self._open(), lib.llama_vocab_is_eog
            self._eog_ids = frozenset(i for i in range(self.n_vocab) if is_eog(vocabulary, i))
        return self._eog_ids

    def close(self) -> None:
        """Forget the vocabulary: what was looked up stays known, everything else raises EngineClosed."""
        self._vocabulary = None

    def _open(self) -> lib.llama_vocab_p:
        if self._vocabulary is None:
            raise EngineClosed("The model was closed; start the engine again.")
        return self._vocabulary

    def _read_special(self, ids: range) -> dict[int, bool]:
        vocabulary, attributes_of = self._open(), lib.llama_vocab_get_attr
        found = {i: attributes for i in ids if (attributes := attributes_of(vocabulary, i)) & _SPECIAL}
        return {i: bool(attributes & lib.LLAMA_TOKEN_ATTR_CONTROL) for i, attributes in found.items()}

    def _read_pieces(self, ids: range) -> list[bytes]:
        vocabulary, read = self._open(), lib.llama_token_to_piece
        # A buffer of this call's own: ctypes lets other threads run meanwhile.
        size = 1024
        buffer = ctypes.create_string_buffer(size)
        pieces: list[bytes] = []
        for token_id in ids:
            length = read(vocabulary, token_id, buffer, size, 0, True)
            if length < 0:
                size = -length
                buffer = ctypes.create_string_buffer(size)
                length = read(vocabulary, token_id, buffer, size, 0, True)
            pieces.append(ctypes.string_at(buffer, length))
        return pieces

    def _tokenize(self, data: bytes, *, parse_special: bool) -> list[int]:
        room = len(data) + 8  # a token stands for at least one byte; some vocabularies put a space in front
        while True:
            ids = np.empty(room, np.int32)
            target = pointer(ids, ctypes.c_int32)
            count = lib.llama_tokenize(self._open(), data, len(data), target, room, False, parse_special)
            if count >= 0:
                return ids[:count].tolist()
            room = -count

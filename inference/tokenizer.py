"""The Tokenizer protocol: text to ids and back, without special tokens sneaking in from text.

Chat markers are added by id, by the chat formats in ``agent.model.formats``; nothing here knows a chat format.
"""

from __future__ import annotations

from typing import Protocol


class Tokenizer(Protocol):
    """A vocabulary.

    Contract: ``encode`` never adds BOS and never parses control tokens as far as the vocabulary allows
    (llama.cpp parses *user-defined* tokens from plain text even so; ``is_control`` tells which).
    ``piece`` returns the exact bytes that a token stands for; control tokens give their written form.
    """

    @property
    def n_vocab(self) -> int:
        """Number of token ids."""
        ...

    @property
    def bos_id(self) -> int | None:
        """The id that starts a prompt, when the model wants one."""
        ...

    @property
    def eog_ids(self) -> frozenset[int]:
        """Ids that end a generation."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text (lone surrogates are replaced, never an error)."""
        ...

    def piece(self, token_id: int) -> bytes:
        """The bytes of one token; raises IndexError outside the vocabulary."""
        ...

    def token_id(self, written: str) -> int:
        """The id whose written form is exactly ``written`` (for markers such as ``<|turn>``); raises KeyError."""
        ...

    def is_control(self, token_id: int) -> bool:
        """Whether the token is a control or user-defined marker of the form ``<...>`` rather than text."""
        ...

"""Token ids to text as they stream, without splitting a character that spans several tokens.

It treats markers like any other token: which ids are text is for the chat format to decide.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from inference.tokenizer import Tokenizer


class Detokenizer:
    """Keeps the bytes of an unfinished character until the tokens that complete it arrive.

    Bytes that can never become a character turn into U+FFFD as soon as that is certain.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: Iterable[int]) -> str:
        """The text that ``ids`` complete; empty while a character is unfinished. IndexError outside the vocabulary."""
        return self._decoder.decode(b"".join(self._tokenizer.piece(token_id) for token_id in ids))

    def finish(self) -> str:
        """What is left at the end of a stream: U+FFFD for an unfinished character, else nothing. Starts afresh."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


def detokenize(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """The whole text of ``ids``."""
    stream = Detokenizer(tokenizer)
    return stream.feed(ids) + stream.finish()

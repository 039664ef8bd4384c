"""The ids of ChatML's control tokens and of Hermes' tool-call markers, looked up in a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from inference.tokenizer import Tokenizer


@dataclass(frozen=True)
class ChatMLTokens:
    """One attribute a marker; ``newline`` is the token of a single line feed."""

    im_start: int
    im_end: int
    end_of_text: int
    call_open: int
    call_close: int
    newline: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> ChatMLTokens:
        """The ids in this vocabulary; raises KeyError when it is not one of Qwen's."""
        (newline,) = tokenizer.encode("\n")
        return cls(
            im_start=tokenizer.token_id("<|im_start|>"),
            im_end=tokenizer.token_id("<|im_end|>"),
            end_of_text=tokenizer.token_id("<|endoftext|>"),
            call_open=tokenizer.token_id("<tool_call>"),
            call_close=tokenizer.token_id("</tool_call>"),
            newline=newline,
        )

    @cached_property
    def stops(self) -> frozenset[int]:
        """The ids that end a generation."""
        return frozenset((self.im_end, self.end_of_text))

    @cached_property
    def silent(self) -> frozenset[int]:
        """Markers that say nothing in an answer."""
        return self.stops | {self.im_start}

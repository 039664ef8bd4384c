"""The ids of Gemma 4's control tokens, looked up in a vocabulary.

The written forms are fixed by the model's training; ids differ in test vocabularies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from inference.tokenizer import Tokenizer


@dataclass(frozen=True)
class Gemma4Tokens:
    """One attribute a marker; ``newline`` is the token of a single line feed."""

    bos: int
    eos: int
    tool_open: int
    tool_close: int
    call_open: int
    call_close: int
    response_open: int
    response_close: int
    quote: int
    think: int
    channel_open: int
    channel_close: int
    turn_open: int
    turn_close: int
    newline: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Gemma4Tokens:
        """The ids in this vocabulary; raises KeyError when it is not Gemma 4's."""
        written = {
            "bos": "<bos>",
            "eos": "<eos>",
            "tool_open": "<|tool>",
            "tool_close": "<tool|>",
            "call_open": "<|tool_call>",
            "call_close": "<tool_call|>",
            "response_open": "<|tool_response>",
            "response_close": "<tool_response|>",
            "quote": '<|"|>',
            "think": "<|think|>",
            "channel_open": "<|channel>",
            "channel_close": "<channel|>",
            "turn_open": "<|turn>",
            "turn_close": "<turn|>",
        }
        (newline,) = tokenizer.encode("\n")
        return cls(**{name: tokenizer.token_id(text) for name, text in written.items()}, newline=newline)

    @cached_property
    def stops(self) -> frozenset[int]:
        """The ids that end a generation."""
        return frozenset((self.eos, self.response_open, self.turn_close))

    @cached_property
    def markers(self) -> frozenset[int]:
        """Every control token the protocol knows."""
        calls = (self.tool_open, self.tool_close, self.call_open, self.call_close)
        responses = (self.response_open, self.response_close, self.quote, self.think)
        turns = (self.channel_open, self.channel_close, self.turn_open, self.turn_close, self.bos, self.eos)
        return frozenset((*calls, *responses, *turns))

    @cached_property
    def silent(self) -> frozenset[int]:
        """Markers that say nothing where they stand alone in an answer."""
        return self.stops | {self.bos, self.response_close, self.turn_open, self.think}

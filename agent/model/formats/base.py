"""The seam between a conversation and a model's chat protocol: ChatFormat and OutputParser.

A format renders parts of a conversation to token ids and reads token ids as events; it keeps no transcript and
submits nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from agent.messages import Message, ToolResultMessage, ToolSpec
from agent.model import ModelEvent, ResponseOptions
from inference.request import Grammar, Region

ToolChoice = Literal["auto", "required", "none"]
ToolSchemas = Mapping[str, Mapping[str, object]]
"""The JSON schema of each tool's arguments, by tool name."""


class Tail(StrEnum):
    """What a transcript ends with; decides how the next part begins."""

    SYSTEM = "system"  # nothing was said yet
    USER = "user"  # a closed turn: the user's, or an earlier one of the model in a rendered history
    RESULTS = "results"  # tool results; the model's turn goes on
    CALLS = "calls"  # a response whose calls have no results yet
    ANSWER = "answer"  # a response without calls


@dataclass(frozen=True, slots=True)
class Cue:
    """The ids that ask for a response; ``in_thought`` when the output starts inside a thought."""

    ids: tuple[int, ...]
    in_thought: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How a response is brought to an end before the next part.

    ``keep_stop``: the sampled end-of-generation id is the right one and stays; else ``ids`` stand in its place.
    (Such an id ends the request, so the model has never read it.)
    """

    keep_stop: bool
    ids: tuple[int, ...]


THOUGHT, PROSE, ARGUMENTS, CONTENT, CODE = "thought", "prose", "arguments", "content", "code"
"""Kinds of text that a response consists of; ``content`` is what a call carries as text, such as a file."""

FENCE = "```"
"""Opens and closes code in prose."""


class OutputParser(Protocol):
    """Reads the generated ids of one response, by id and not by text.

    Contract: text events never split a character; every ToolCallStarted is followed by ToolCallAdded pieces and exactly
    one ToolCallParsed with the same call id. Malformed output is read as far as it makes sense; a call that cannot be
    read has ``ToolCall.error`` set. ``feed`` costs time in proportion to the ids it is given.
    """

    def feed(self, token_id: int) -> list[ModelEvent]:
        """Events that this id completes."""
        ...

    def finish(self, *, truncated: bool) -> list[ModelEvent]:
        """The remaining events; ``truncated`` (token limit, cancelled) makes a call in progress an error."""
        ...

    @property
    def thought_spans(self) -> Sequence[tuple[int, int]]:
        """Half-open ranges of the fed ids that belong to thoughts, markers included."""
        ...

    @property
    def call_start(self) -> int:
        """Index of the fed id that began the last tool call."""
        ...

    @property
    def closers(self) -> tuple[int, ...]:
        """Ids that close what is still open (a string, a call, a thought); asked before ``finish``."""
        ...


class ChatFormat(Protocol):
    """A chat protocol over one vocabulary.

    Contract: texts are encoded literally, so that only the format itself writes control tokens. Concatenated in order
    (``begin``, then user turns, cues, sampled responses, endings, results) the parts form the sequence that the model
    was trained on.
    """

    @property
    def name(self) -> str:
        """``gemma4`` or ``chatml``."""
        ...

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end a response."""
        ...

    @property
    def thinks(self) -> bool:
        """Whether the model is asked to think before it answers."""
        ...

    def begin(self, system: str, tools: Sequence[ToolSpec]) -> list[int]:
        """The system prompt and the tool declarations, from the first id of the sequence."""
        ...

    def user(self, text: str) -> list[int]:
        """A user turn."""
        ...

    def results(self, results: Sequence[ToolResultMessage]) -> list[int]:
        """Tool results, after ``ending(..., Tail.RESULTS)``."""
        ...

    def ending(self, tail: Tail, stop_id: int | None, following: Tail) -> Ending:
        """What comes between a transcript that ends in ``tail`` (with ``stop_id`` sampled last, if any) and the next
        part."""
        ...

    def cue(self, tail: Tail, choice: ToolChoice) -> Cue:
        """The ids that ask for a response after ``tail``."""
        ...

    def parser(self, tools: ToolSchemas, *, in_thought: bool = False) -> OutputParser:
        """A parser for one response."""
        ...

    def regions(self, *, in_thought: bool = False) -> tuple[Region, ...]:
        """What tells the kinds of text in a response apart: thoughts, arguments of calls, contents in them, code."""
        ...

    @property
    def keeps_thoughts(self) -> bool:
        """Whether thoughts stay in the transcript when a new user turn comes."""
        ...

    def grammar(
        self, tools: Sequence[ToolSpec], options: ResponseOptions, *, in_thought: bool = False
    ) -> Grammar | None:
        """What keeps calls well formed, and quotations true where it can; None when there is nothing to hold to.

        Of ``options`` it goes by ``tool_choice``, ``tool_name`` and ``quotable``.
        """
        ...

    def history(self, messages: Sequence[Message]) -> tuple[list[int], Tail]:
        """Messages whose sampled ids are not known (made by another model), rendered as the model's template does.

        Gives the ids and what they end with; an answer at the end is closed already.
        """
        ...

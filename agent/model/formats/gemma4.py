"""Gemma 4's chat protocol: how parts of a conversation become token ids, and how responses begin and end.

The order of things is that of Google's chat template of 2026-07-09. Output is read in ``gemma4_parser``.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.messages import Message, ToolResultMessage, ToolSpec
from agent.model import ResponseOptions
from agent.model.formats.base import (
    ARGUMENTS,
    CODE,
    CONTENT,
    FENCE,
    PROSE,
    THOUGHT,
    Cue,
    Ending,
    Tail,
    ToolChoice,
    ToolSchemas,
)
from agent.model.formats.gemma4_grammar import answer_grammar, call_grammar, passages
from agent.model.formats.gemma4_parser import Gemma4Parser
from agent.model.formats.gemma4_tokens import Gemma4Tokens
from agent.model.formats.gemma4_turns import Gemma4Turns
from agent.model.formats.literal import LiteralEncoder
from inference.request import Grammar, Region
from inference.tokenizer import Tokenizer


class Gemma4Format:
    """A ChatFormat for Gemma 4.

    ``thinking`` asks for thoughts. ``small`` is the variant of E2B and E4B, which get no empty thought when thinking is
    off. ``keep_thoughts`` leaves the thoughts of earlier turns where they are. Raises KeyError when the vocabulary is
    not Gemma 4's.
    """

    name = "gemma4"

    def __init__(
        self, tokenizer: Tokenizer, *, thinking: bool = False, small: bool = False, keep_thoughts: bool = False
    ) -> None:
        self._tokenizer = tokenizer
        self._tokens = Gemma4Tokens.of(tokenizer)
        self._encoder = LiteralEncoder(tokenizer)
        self._thinking = thinking
        self._small = small
        self._keep_thoughts = keep_thoughts

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end a response."""
        return self._tokens.stops

    @property
    def thinks(self) -> bool:
        """Whether the model is asked to think."""
        return self._thinking

    @property
    def keeps_thoughts(self) -> bool:
        """Whether thoughts stay in the transcript when a new user turn comes."""
        return self._keep_thoughts

    def begin(self, system: str, tools: Sequence[ToolSpec]) -> list[int]:
        """``<bos>`` and the system turn, where there is anything to say in it."""
        return self._begin(system if system.strip() else None, tools)

    def user(self, text: str) -> list[int]:
        """A user turn."""
        turns = self._turns()
        turns.user(text)
        return turns.ids()

    def results(self, results: Sequence[ToolResultMessage]) -> list[int]:
        """Tool results; the first one's opening marker belongs to the ending of the response."""
        turns = self._turns()
        for index, result in enumerate(results):
            if index:
                turns.open_result()
            turns.result(result.name, result.text)
        return turns.ids()

    def ending(self, tail: Tail, stop_id: int | None, following: Tail) -> Ending:
        """What stands between a response, or results, and what follows."""
        tokens = self._tokens
        if following is Tail.RESULTS:
            sampled = stop_id == tokens.response_open
            return Ending(keep_stop=sampled, ids=() if sampled else (tokens.response_open,))
        if tail in (Tail.SYSTEM, Tail.USER) or (tail is Tail.RESULTS and following is not Tail.USER):
            return Ending(keep_stop=True, ids=())
        if stop_id == tokens.turn_close:
            return Ending(keep_stop=True, ids=(tokens.newline,))
        return Ending(keep_stop=False, ids=(tokens.turn_close, tokens.newline))

    def cue(self, tail: Tail, choice: ToolChoice) -> Cue:
        """The ids that ask for a response. A required call comes without a thought before it."""
        think = self._thinking and choice != "required"
        turns = self._turns()
        if tail is Tail.RESULTS:
            if think:
                turns.open_thought()
            return Cue(tuple(turns.ids()), in_thought=think)
        turns.open_model()
        if not think and not self._small:
            turns.thought("")
        return Cue(tuple(turns.ids()))

    def parser(self, tools: ToolSchemas, *, in_thought: bool = False) -> Gemma4Parser:
        """A parser for one response."""
        return Gemma4Parser(self._tokenizer, self._tokens, tools, in_thought=in_thought)

    def grammar(
        self, tools: Sequence[ToolSpec], options: ResponseOptions, *, in_thought: bool = False
    ) -> Grammar | None:
        """What keeps calls well formed and quotations true; None when there is nothing to hold to."""
        choice = options.tool_choice
        if choice == "none":
            return Grammar(answer_grammar(self._tokens, thinks=self._thinking, in_thought=in_thought), from_start=True)
        if choice == "required":
            tools = [tool for tool in tools if options.tool_name in (None, tool.name)]
        if not tools:
            return None
        lark = call_grammar(tools, self._tokens, with_marker=choice == "required", quotable=options.quotable)
        held = passages(self._tokens, options.quotable)
        if choice == "required":
            return Grammar(lark, from_start=True, then_stop=True, passages=held)
        return Grammar(lark, triggers=frozenset((self._tokens.call_open,)), passages=held)

    def regions(self, *, in_thought: bool = False) -> tuple[Region, ...]:
        """Thoughts and calls between their markers, the strings in calls between quotes, code between fences."""
        tokens = self._tokens
        kinds = (
            Region((tokens.channel_open,), THOUGHT),
            Region((tokens.channel_close,), PROSE),
            Region((tokens.call_open,), ARGUMENTS),
            Region((tokens.call_close,), PROSE),
            Region((tokens.quote,), CONTENT),
            Region(tuple(self._encoder.encode(FENCE)), CODE),
        )
        return (*kinds, Region((), THOUGHT)) if in_thought else kinds

    def history(self, messages: Sequence[Message]) -> tuple[list[int], Tail]:
        """Messages as the template renders them, and what they end with."""
        ids, tail = self._history(messages)
        return ids, Tail.USER if tail is Tail.ANSWER else tail

    def render(self, system: str | None, tools: Sequence[ToolSpec], messages: Sequence[Message]) -> list[int]:
        """A whole prompt as the template gives it with ``add_generation_prompt`` (``system`` None: no system message).

        The conversation does not use it: it shows that the parts are the template's.
        """
        history, tail = self._history(messages)
        ids = self._begin(system, tools) + history
        if tail is Tail.CALLS:
            return [*ids, self._tokens.response_open]
        if tail is Tail.ANSWER and isinstance(messages[-1], ToolResultMessage):
            return ids  # the text before the call was moved behind its results; the template asks for nothing then
        return [*ids, *self.cue(tail, "auto").ids]

    def _history(self, messages: Sequence[Message]) -> tuple[list[int], Tail]:
        turns = self._turns()
        tail = turns.history(messages, keep_thoughts=self._keep_thoughts)
        return turns.ids(), tail

    def _begin(self, system: str | None, tools: Sequence[ToolSpec]) -> list[int]:
        turns = self._turns()
        turns.begin()
        if system is not None or tools or self._thinking:
            turns.system(system or "", tools, thinking=self._thinking)
        return turns.ids()

    def _turns(self) -> Gemma4Turns:
        return Gemma4Turns(self._encoder, self._tokens)

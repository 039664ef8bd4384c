"""ChatML with Hermes tool calls, as Qwen2.5 was trained on it: parts of a conversation to token ids.

Output is read in ``chatml_parser``. The wording of the tools' section is the model's own, in prompts/formats.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import prompts
from agent.messages import AssistantMessage, Message, ToolCall, ToolResultMessage, ToolSpec, UserMessage
from agent.model import ResponseOptions
from agent.model.formats.base import ARGUMENTS, CODE, FENCE, PROSE, Cue, Ending, Tail, ToolChoice, ToolSchemas
from agent.model.formats.chatml_parser import ChatMLParser
from agent.model.formats.chatml_tokens import ChatMLTokens
from agent.model.formats.literal import LiteralEncoder, PromptBuilder
from agent.model.formats.schema import mapping, simplify, standard
from inference.request import Grammar, Region
from inference.tokenizer import Tokenizer

_CALL_MARKER = re.compile(r"(</?tool_call>)")
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}  # as json.dumps writes
_HOLE = "\0"  # stands in the prompt file's text where the declarations go; they are encoded apart from it


class ChatMLFormat:
    """A ChatFormat for Qwen2.5; raises KeyError when the vocabulary has not its markers."""

    name = "chatml"
    thinks = False
    keeps_thoughts = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._tokens = ChatMLTokens.of(tokenizer)
        self._encoder = LiteralEncoder(tokenizer)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end a response."""
        return self._tokens.stops

    def begin(self, system: str, tools: Sequence[ToolSpec]) -> list[int]:
        """The system turn with the tools' section, where there is anything to say in it."""
        builder = PromptBuilder(self._encoder)
        if not system.strip() and not tools:
            return []
        self._open(builder, "system\n" + system.strip())
        if tools:
            builder.text("\n\n" if system.strip() else "")
            before, after = prompts.load("formats/chatml_tools", tools=_HOLE).split(_HOLE)
            self._trusted(builder, before)
            builder.text("\n".join(_declaration(tool) for tool in tools))
            self._trusted(builder, after)
        return self._end(builder)

    def user(self, text: str) -> list[int]:
        """A user turn."""
        return self._end(self._open(PromptBuilder(self._encoder), "user\n" + text))

    def results(self, results: Sequence[ToolResultMessage]) -> list[int]:
        """Tool results: one user turn for all of them."""
        builder = self._open(PromptBuilder(self._encoder), "user")
        for result in results:
            builder.text(f"\n<tool_response>\n{result.text}\n</tool_response>")
        return self._end(builder)

    def ending(self, tail: Tail, stop_id: int | None, following: Tail) -> Ending:  # noqa: ARG002
        """A response is closed by ``<|im_end|>`` and a line feed, whatever follows."""
        if tail not in (Tail.CALLS, Tail.ANSWER):
            return Ending(keep_stop=True, ids=())
        if stop_id == self._tokens.im_end:
            return Ending(keep_stop=True, ids=(self._tokens.newline,))
        return Ending(keep_stop=False, ids=(self._tokens.im_end, self._tokens.newline))

    def cue(self, tail: Tail, choice: ToolChoice) -> Cue:  # noqa: ARG002
        """The start of the assistant's turn."""
        return Cue(tuple(self._open(PromptBuilder(self._encoder), "assistant\n").ids()))

    def parser(self, tools: ToolSchemas, *, in_thought: bool = False) -> ChatMLParser:  # noqa: ARG002
        """A parser for one response."""
        return ChatMLParser(self._tokenizer, self._tokens, tools)

    def grammar(
        self,
        tools: Sequence[ToolSpec],
        options: ResponseOptions,
        *,
        in_thought: bool = False,  # noqa: ARG002
    ) -> Grammar | None:
        """What keeps calls well formed; None when there is nothing to hold to.

        Quotations are free: JSON's grammar knows no pieces of a text.
        """
        choice = options.tool_choice
        if choice == "none":
            return Grammar(f"start: TEXT <[{self._tokens.im_end}]>\nTEXT: /(.|\\n)*/\n", from_start=True)
        if choice == "required":
            tools = [tool for tool in tools if options.tool_name in (None, tool.name)]
        if not tools:
            return None
        if choice == "required":
            return Grammar(self._call_grammar(tools, f"<[{self._tokens.call_open}]> "), from_start=True, then_stop=True)
        return Grammar(self._call_grammar(tools, ""), triggers=frozenset((self._tokens.call_open,)))

    def regions(self, *, in_thought: bool = False) -> tuple[Region, ...]:  # noqa: ARG002
        """Calls between their markers, code between fences."""
        return (
            Region((self._tokens.call_open,), ARGUMENTS),
            Region((self._tokens.call_close,), PROSE),
            Region(tuple(self._encoder.encode(FENCE)), CODE),
        )

    def history(self, messages: Sequence[Message]) -> tuple[list[int], Tail]:
        """Messages as Qwen's template renders them, and what they end with; thoughts are left out."""
        ids: list[int] = []
        tail = Tail.SYSTEM
        results: list[ToolResultMessage] = []
        for message in messages:
            if isinstance(message, ToolResultMessage):
                results.append(message)
                tail = Tail.RESULTS
                continue
            ids += self.results(results) if results else []
            results.clear()
            if isinstance(message, UserMessage):
                ids += self.user(message.text)
                tail = Tail.USER
            else:
                ids += self._response(message)
                tail = Tail.USER  # the turn is closed: nothing is left to be ended
        return ids + (self.results(results) if results else []), tail

    def _response(self, message: AssistantMessage) -> list[int]:
        builder = self._open(PromptBuilder(self._encoder), "assistant")
        builder.text("\n" + message.text if message.text else "")
        for call in message.tool_calls:
            builder.text("\n").marker(self._tokens.call_open).text(f"\n{_call_json(call)}\n")
            builder.marker(self._tokens.call_close)
        return self._end(builder)

    def _call_grammar(self, tools: Sequence[ToolSpec], opening: str) -> str:
        rules: list[str] = []
        calls: list[str] = []
        for index, tool in enumerate(tools):
            head = json.dumps('\n{"name": ' + json.dumps(tool.name) + ', "arguments": ')
            calls.append(f'{head} arguments{index} "}}\\n"')
            schema = {**mapping(standard(simplify(tool.parameters))), "x-guidance": _SPACING}
            rules.append(f"arguments{index}: %json {json.dumps(schema)}")
        body = f"({' | '.join(calls)})"
        return "\n".join([f"start: {opening}{body} <[{self._tokens.call_close}]>", *rules]) + "\n"

    def _open(self, builder: PromptBuilder, text: str) -> PromptBuilder:
        return builder.marker(self._tokens.im_start).text(text)

    def _end(self, builder: PromptBuilder) -> list[int]:
        return builder.marker(self._tokens.im_end, self._tokens.newline).ids()

    def _trusted(self, builder: PromptBuilder, text: str) -> None:
        """Our own words, in which the call markers are meant as markers."""
        markers = {"<tool_call>": self._tokens.call_open, "</tool_call>": self._tokens.call_close}
        for part in _CALL_MARKER.split(text):
            if part in markers:
                builder.marker(markers[part])
            else:
                builder.text(part)


def _declaration(tool: ToolSpec) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": simplify(tool.parameters)}
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)


def _call_json(call: ToolCall) -> str:
    return json.dumps({"name": call.name, "arguments": dict(call.arguments)}, ensure_ascii=False)

"""The turns of a Gemma 4 conversation, written piece by piece, and whole histories in the order of Google's template.

Nothing is sampled or parsed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from agent.messages import AssistantMessage, Message, ToolCall, ToolResultMessage, ToolSpec, UserMessage
from agent.model.formats.base import Tail
from agent.model.formats.gemma4_arguments import write_arguments
from agent.model.formats.gemma4_declaration import DeclarationWriter
from agent.model.formats.gemma4_tokens import Gemma4Tokens
from agent.model.formats.literal import LiteralEncoder, PromptBuilder


class Gemma4Turns:
    """Appends pieces of turns; ``ids`` gives what was written."""

    def __init__(self, encoder: LiteralEncoder, tokens: Gemma4Tokens) -> None:
        self._builder = PromptBuilder(encoder)
        self._tokens = tokens

    def ids(self) -> list[int]:
        """Everything so far as token ids."""
        return self._builder.ids()

    def begin(self) -> None:
        """``<bos>``."""
        self._builder.marker(self._tokens.bos)

    def system(self, text: str, tools: Sequence[ToolSpec], *, thinking: bool) -> None:
        """The system turn, with the tools behind the text."""
        self._open("system")
        if thinking:
            self._builder.marker(self._tokens.think).text("\n")
        self._builder.text(text.strip())
        writer = DeclarationWriter(self._builder, self._tokens)
        for tool in tools:
            writer.write(tool)
        self.end()

    def user(self, text: str) -> None:
        """A user turn."""
        self._open("user")
        self._builder.text(text.strip())
        self.end()

    def open_model(self) -> None:
        """The start of the model's turn."""
        self._open("model")

    def open_thought(self) -> None:
        """The start of a thought."""
        self._builder.marker(self._tokens.channel_open).text("thought\n")

    def thought(self, text: str) -> None:
        """A thought; an empty one says that there was nothing to think about."""
        self.open_thought()
        self._builder.text(text + "\n" if text else "").marker(self._tokens.channel_close)

    def call(self, call: ToolCall) -> None:
        """A tool call."""
        self._builder.marker(self._tokens.call_open).text(f"call:{call.name}")
        write_arguments(self._builder, self._tokens.quote, call.arguments)
        self._builder.marker(self._tokens.call_close)

    def open_result(self) -> None:
        """The marker with which the model hands over to the tools."""
        self._builder.marker(self._tokens.response_open)

    def result(self, name: str, text: str) -> None:
        """A tool result behind its opening marker."""
        quote = self._tokens.quote
        self._builder.text(f"response:{name}{{value:").marker(quote).text(text).marker(quote)
        self._builder.text("}").marker(self._tokens.response_close)

    def text(self, text: str) -> None:
        """Words of the model."""
        self._builder.text(text.strip())

    def end(self) -> None:
        """The end of a turn."""
        self._builder.marker(self._tokens.turn_close, self._tokens.newline)

    def history(self, messages: Sequence[Message], *, keep_thoughts: bool) -> Tail:
        """Messages as the template orders them; gives what the history ends with.

        Text before a call comes behind its results. Thoughts are written before calls only, and of those only the ones
        since the last user message, unless ``keep_thoughts``.
        """
        users = [index for index, message in enumerate(messages) if isinstance(message, UserMessage)]
        thoughts_from = 0 if keep_thoughts or not users else users[-1]
        tail, opened = Tail.SYSTEM, False
        for index, message in enumerate(messages):
            if isinstance(message, UserMessage):
                if opened:
                    self.end()
                self.user(message.text)
                tail, opened = Tail.USER, False
            elif isinstance(message, AssistantMessage):
                if not opened:
                    self.open_model()
                following = messages[index + 1 :]
                tail = self._response(message, following, with_thought=index >= thoughts_from)
                opened = tail is not Tail.ANSWER or _goes_on(following)
                if not opened:
                    self.end()
        return tail

    def _response(self, message: AssistantMessage, following: Sequence[Message], *, with_thought: bool) -> Tail:
        if message.thought and message.tool_calls and with_thought:
            self.thought(message.thought)
        for call in message.tool_calls:
            self.call(call)
        names = {call.id: call.name for call in message.tool_calls}
        results = _results(following)
        for result in results:
            self.open_result()
            self.result(names.get(result.call_id, result.name), result.text)
        self.text(message.text)
        if message.tool_calls and not results:
            return Tail.CALLS
        return Tail.RESULTS if results and not message.text.strip() else Tail.ANSWER

    def _open(self, role: str) -> None:
        self._builder.marker(self._tokens.turn_open).text(role + "\n")


def _results(following: Sequence[Message]) -> list[ToolResultMessage]:
    return [
        m for m in takewhile(lambda m: isinstance(m, ToolResultMessage), following) if isinstance(m, ToolResultMessage)
    ]


def _goes_on(following: Sequence[Message]) -> bool:
    """Whether the next message that is no tool result is the model's own."""
    rest = following[len(_results(following)) :]
    return bool(rest) and isinstance(rest[0], AssistantMessage)

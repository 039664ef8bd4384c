"""A Model that plays a list of scripted responses; fake token counts of four characters each.

It renders nothing and decodes nothing: what the loop and the session do with answers is under test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.messages import AssistantMessage, StopReason, ToolCall, ToolResultMessage, ToolSpec, Usage
from agent.model import (
    Dump,
    ModelEvent,
    ModelInfo,
    PromptRead,
    ResponseFinished,
    ResponseOptions,
    TextAdded,
    ThoughtAdded,
    TokenScore,
    ToolCallAdded,
    ToolCallParsed,
    ToolCallStarted,
)
from inference.errors import ContextOverflow


@dataclass(frozen=True, slots=True)
class Call:
    """A scripted call; ``error`` makes it one whose text could not be parsed."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Scripted:
    """One response.

    ``raises`` ends it with that exception after the text; ``gate`` is waited for before the first event after the
    prompt was read, so that a test can cancel or steer in the middle; ``pieces`` splits the text for streaming.
    """

    text: str = ""
    thought: str = ""
    calls: tuple[Call, ...] = ()
    stop_reason: StopReason | None = None
    raises: Exception | None = None
    gate: asyncio.Event | None = None
    pieces: int = 2


Script = Scripted | Callable[["ScriptedConversation"], Scripted]


def _tokens(text: str) -> int:
    return (len(text) + 3) // 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the transcript: kind is system, user, tool or assistant."""

    kind: str
    text: str
    tokens: int


class ScriptedConversation:
    """Plays the model's script; ``entries`` is the transcript, ``asked`` the options of every response."""

    def __init__(self, model: ScriptedModel, system: str, tools: Sequence[ToolSpec]) -> None:
        self.model = model
        self.tools = tuple(tools)
        self.entries: list[Entry] = [Entry("system", system, _tokens(system))]
        self.asked: list[ResponseOptions] = []
        self.prepared: list[str] = []
        self.expected: list[tuple[tuple[str, ...], str | None]] = []
        self._read = 0

    @property
    def token_count(self) -> int:
        return sum(entry.tokens for entry in self.entries)

    def add_user(self, text: str) -> None:
        self.entries.append(Entry("user", text, _tokens(text)))

    def add_tool_results(self, results: Sequence[ToolResultMessage]) -> None:
        for result in results:
            self.entries.append(Entry("tool", result.text, _tokens(result.text)))

    async def respond(self, options: ResponseOptions) -> AsyncIterator[ModelEvent]:
        self.asked.append(options)
        if self.token_count > self.model.info.context_tokens:
            raise ContextOverflow(self.token_count, self.model.info.context_tokens)
        script = self.model.next_response(self)
        prompt, cached = self.token_count, min(self._read, self.token_count)
        yield PromptRead(done=prompt - cached, total=prompt - cached, cached=cached, seconds_left=0.0)
        written: list[str] = []
        try:
            if script.gate is not None:
                await script.gate.wait()
            if script.thought:
                written.append(script.thought)
                yield ThoughtAdded(script.thought)
            size = max(1, -(-len(script.text) // max(1, script.pieces)))
            for start in range(0, len(script.text), size):
                piece = script.text[start : start + size]
                written.append(piece)
                yield TextAdded(piece)
                await asyncio.sleep(0)
            if script.raises is not None:
                raise script.raises
            calls: list[ToolCall] = []
            for planned in script.calls:
                call = ToolCall(self.model.new_call_id(), planned.name, planned.arguments, planned.error)
                raw = json.dumps(dict(planned.arguments))
                written.append(raw)
                yield ToolCallStarted(call.id, call.name)
                yield ToolCallAdded(call.id, raw)
                yield ToolCallParsed(call)
                calls.append(call)
        finally:
            text = "".join(written)
            self.entries.append(Entry("assistant", text, _tokens(text)))
            self._read = self.token_count
        decoded = self.entries[-1].tokens
        usage = Usage(cached, prompt - cached, decoded, 0, 0, float(prompt - cached), 10.0 * decoded)
        reason = script.stop_reason or (StopReason.TOOL_CALLS if calls else StopReason.END)
        message_id = f"scripted-{len(self.asked)}"
        yield ResponseFinished(
            AssistantMessage(message_id, script.text, script.thought, tuple(calls), reason, usage),
        )

    def prepare(self, beginning: str = "") -> None:
        self.prepared.append(beginning)

    def expect_results(self, results: Sequence[ToolResultMessage], partial: ToolResultMessage | None = None) -> None:
        self.expected.append((tuple(result.text for result in results), partial.text if partial else None))

    def mark(self) -> int:
        return len(self.entries)

    def rewind(self, mark: int) -> None:
        del self.entries[mark:]
        self._read = min(self._read, self.token_count)

    def count(self, text: str) -> int:
        return _tokens(text)

    def dump(self, since: int = 0) -> Dump:
        tools = [[tool.name, tool.description, dict(tool.parameters)] for tool in self.tools]
        header = json.dumps({"model": self.model.info.name, "tools": tools})
        return Dump(header, tuple(json.dumps([each.kind, each.text]) for each in self.entries[since:]))


class ScriptedModel:
    """Answers with ``responses`` in order, over all its conversations; running out of them is a test's mistake."""

    def __init__(self, responses: Sequence[Script], *, context_tokens: int = 32_768, small: bool = False) -> None:
        self._responses = list(responses)
        self._info = ModelInfo("scripted", context_tokens, thinks=False, small=small)
        self._calls = 0
        self.conversations: list[ScriptedConversation] = []
        self.started = False
        self.closed = False

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def responses_left(self) -> int:
        return len(self._responses)

    async def start(self) -> None:
        self.started = True

    def open(self, system: str, tools: Sequence[ToolSpec]) -> ScriptedConversation:
        conversation = ScriptedConversation(self, system, tools)
        self.conversations.append(conversation)
        return conversation

    def restore(self, dumped: Dump) -> ScriptedConversation:
        data = json.loads(dumped.header)
        if data["model"] != self._info.name:
            raise ValueError(f"This conversation was made by {data['model']}, not by {self._info.name}.")
        tools = [ToolSpec(name, description, schema) for name, description, schema in data["tools"]]
        conversation = self.open("", tools)
        conversation.entries = [Entry(kind, text, _tokens(text)) for kind, text in map(json.loads, dumped.parts)]
        return conversation

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
        """Every word is as likely as every other."""
        return [[TokenScore(word, -1.0) for word in text.split()] for text in texts]

    async def shares(self, questions: Sequence[str], answers: Sequence[str]) -> list[list[float]]:
        """Every answer is as good as every other."""
        return [[1 / len(answers)] * len(answers) for _ in questions]

    async def preferences(self, prefix: str, base: str, variants: Sequence[str]) -> list[float]:
        """Whatever stands there is what it would have written."""
        return [float("-inf") for _ in variants]

    async def close(self) -> None:
        self.closed = True

    def next_response(self, conversation: ScriptedConversation) -> Scripted:
        if not self._responses:
            raise AssertionError("the script has no more responses; the loop asked once too often")
        script = self._responses.pop(0)
        return script if isinstance(script, Scripted) else script(conversation)

    def new_call_id(self) -> str:
        self._calls += 1
        return f"call-{self._calls}"

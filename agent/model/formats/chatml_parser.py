"""Reads what a ChatML model with Hermes tool calls (Qwen2.5) generates, token id by token id, as events.

It renders nothing and knows no conversation beyond the one response.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.model import ModelEvent, TextAdded
from agent.model.formats import json_repair
from agent.model.formats.base import ToolSchemas
from agent.model.formats.calls import CallEvents, new_call_id
from agent.model.formats.chatml_tokens import ChatMLTokens
from agent.model.formats.json_calls import FoundCall, calls_from_json
from agent.model.formats.text_calls import Brackets, TextCallScanner
from inference.detokenizer import Detokenizer
from inference.tokenizer import Tokenizer

_NAME = re.compile(r"""["']name["']\s*:\s*["']([\w.\-]+)["']""")
_HEAD = 400  # characters in which the name of a call is looked for while it streams
_UNREADABLE = 'the call is not a JSON object with "name" and "arguments"'


@dataclass(slots=True)
class _Call:
    """The call being written; ``head`` is its first characters until the name is known."""

    pieces: list[str] = field(default_factory=list[str])
    head: str = ""
    brackets: Brackets = field(default_factory=Brackets)
    events: CallEvents | None = None


class ChatMLParser:
    """An OutputParser for ChatML; see the contract there."""

    def __init__(self, tokenizer: Tokenizer, tokens: ChatMLTokens, tools: ToolSchemas) -> None:
        self._tokenizer = tokenizer
        self._tokens = tokens
        self._tools = tools
        self._decoder = Detokenizer(tokenizer)
        self._scanner = TextCallScanner(tools)
        self._call: _Call | None = None
        self._fed = 0
        self._call_start = 0

    @property
    def thought_spans(self) -> Sequence[tuple[int, int]]:
        """None: these models think aloud or not at all."""
        return ()

    @property
    def call_start(self) -> int:
        """Index of the fed id that began the last tool call."""
        return self._call_start

    @property
    def closers(self) -> tuple[int, ...]:
        """The closing marker of an open call."""
        return (self._tokens.call_close,) if self._call is not None else ()

    def feed(self, token_id: int) -> list[ModelEvent]:
        """Events that this id completes."""
        events: list[ModelEvent] = []
        if token_id == self._tokens.call_open:
            self._flush(events)
            self._open(events)
        elif token_id == self._tokens.call_close:
            self._flush(events)
            self._close(events)
        elif token_id in self._tokens.silent:
            self._flush(events)
        else:
            self._add(self._decoder.feed((token_id,)), events)
        self._fed += 1
        return events

    def finish(self, *, truncated: bool) -> list[ModelEvent]:
        """The remaining events."""
        events: list[ModelEvent] = []
        self._flush(events)
        if self._call is not None:
            self._end_call(events, truncated=truncated)
        self._text_events(self._scanner.finish(truncated=truncated), events)
        return events

    def _flush(self, events: list[ModelEvent]) -> None:
        self._add(self._decoder.finish(), events)

    def _open(self, events: list[ModelEvent]) -> None:
        if self._call is not None and self._call.brackets.quote:
            self._add("<tool_call>", events)
            return
        if self._call is not None:
            self._end_call(events, truncated=False)
        self._text_events(self._scanner.end_call(), events)
        self._call = _Call()
        self._call_start = self._fed

    def _close(self, events: list[ModelEvent]) -> None:
        if self._call is None:
            self._text_events(self._scanner.end_call(), events)
        elif self._call.brackets.quote:  # inside a string: what follows shows whether the call goes on
            self._add("</tool_call>", events)
        else:
            self._end_call(events, truncated=False)

    def _add(self, text: str, events: list[ModelEvent]) -> None:
        if not text:
            return
        call = self._call
        if call is None:
            self._text_events(self._scanner.feed(text), events)
            return
        call.pieces.append(text)
        call.brackets.feed(text)
        if call.events is not None:
            events.append(call.events.added(text))
        elif len(call.head) < _HEAD:
            call.head += text
            self._look_for_name(call, events)

    def _look_for_name(self, call: _Call, events: list[ModelEvent]) -> None:
        stripped = call.head.lstrip()
        if stripped and stripped[0] not in "{[`":
            self._call = None  # the marker was quoted in prose
            self._text_events(self._scanner.feed("<tool_call>" + call.head), events)
        elif match := _NAME.search(call.head):
            call.events = CallEvents(new_call_id(), match[1])
            events += [call.events.started(), call.events.added(call.head)]

    def _end_call(self, events: list[ModelEvent], *, truncated: bool) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        raw = "".join(call.pieces)
        source = raw.removesuffix("</tool_call>").strip().strip("`").removeprefix("json")
        try:
            value = json_repair.loads(source, truncated=truncated)
            found = calls_from_json(value, self._tools, raw, any_name=True)
            reason = _UNREADABLE
        except ValueError:
            found, reason = [], "the call was cut off" if truncated else _UNREADABLE
        for item in found:
            self._parsed(item, call.events, events)
            call.events = None
        if not found:
            if call.events is None:
                call.events = CallEvents(new_call_id(), "unknown")
                events += [call.events.started(), call.events.added(raw)]
            events.append(call.events.failed(reason))

    def _parsed(self, found: FoundCall, started: CallEvents | None, events: list[ModelEvent]) -> None:
        if started is not None and started.name == found.name:
            events.append(started.parsed(found.arguments))
            return
        call = CallEvents(new_call_id(), found.name)
        events += [call.started(), call.added(found.source), call.parsed(found.arguments)]

    def _text_events(self, found: list[str | FoundCall], events: list[ModelEvent]) -> None:
        for item in found:
            if isinstance(item, str):
                events.append(TextAdded(item))
            else:
                self._call_start = self._fed + 1  # its text stays: where it began is not known by id
                self._parsed(item, None, events)

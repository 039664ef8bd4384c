"""Reads what Gemma 4 generates, token id by token id, as text, thought and tool-call events.

It renders nothing and knows no conversation beyond the one response.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from agent.model import ModelEvent, TextAdded, ThoughtAdded
from agent.model.formats.base import ToolSchemas
from agent.model.formats.calls import CallEvents, new_call_id
from agent.model.formats.gemma4_arguments import QUOTE, ArgumentsError, parse_arguments
from agent.model.formats.gemma4_tokens import Gemma4Tokens
from agent.model.formats.json_calls import FoundCall
from agent.model.formats.text_calls import TextCallScanner
from inference.detokenizer import Detokenizer
from inference.tokenizer import Tokenizer

_LABEL = "thought\n"
# What may stand between <|tool_call> and the arguments; anything else is text that quotes the marker.
_HEADER = re.compile(r"\s*(?:call\s*:\s*)?(?:default_api\s*[:.]\s*)?([\w.\-]+)\s*(?=\{)")
_HEADER_PREFIX = re.compile(r"\s*(?:call\s*:\s*)?(?:default_api\s*[:.]\s*)?[\w.\-]*\s*$")
_LONGEST_HEADER = 200  # characters; tool names are far shorter


class _State(Enum):
    TEXT = "text"
    LABEL = "label"  # behind <|channel>, while it may still be the label "thought"
    THOUGHT = "thought"
    HEADER = "header"  # behind <|tool_call>, before {
    ARGUMENTS = "arguments"


@dataclass(slots=True)
class _Call:
    """The call being written. ``pieces`` hold the arguments with QUOTE for the quote token.

    ``maybe_ended``: a closing marker came inside a string, and ``pieces`` was that long then: either the string quotes
    the marker, or its closing quote was forgotten. What follows decides.
    """

    header: str = ""
    pieces: list[str] = field(default_factory=list[str])
    in_string: bool = False
    maybe_ended: int | None = None
    events: CallEvents | None = None


class Gemma4Parser:
    """An OutputParser for Gemma 4; see the contract there."""

    def __init__(
        self, tokenizer: Tokenizer, tokens: Gemma4Tokens, tools: ToolSchemas, *, in_thought: bool = False
    ) -> None:
        self._tokens = tokens
        self._tools = tools
        self._decoder = Detokenizer(tokenizer)
        self._tokenizer = tokenizer
        self._scanner = TextCallScanner(tools, gemma=True)
        self._state = _State.THOUGHT if in_thought else _State.TEXT
        self._label = ""
        self._call = _Call()
        self._fed = 0
        self._thought_start = 0
        self._thoughts: list[tuple[int, int]] = []
        self._call_start = 0

    @property
    def thought_spans(self) -> Sequence[tuple[int, int]]:
        """Half-open ranges of the fed ids that belong to thoughts, markers included."""
        if self._state in (_State.THOUGHT, _State.LABEL):
            return [*self._thoughts, (self._thought_start, self._fed)]
        return self._thoughts

    @property
    def call_start(self) -> int:
        """Index of the fed id that began the last tool call."""
        return self._call_start

    @property
    def closers(self) -> tuple[int, ...]:
        """Ids that close an open string, call or thought."""
        if self._state in (_State.THOUGHT, _State.LABEL):
            return (self._tokens.channel_close,)
        if self._state in (_State.HEADER, _State.ARGUMENTS):
            quote = (self._tokens.quote,) if self._call.in_string else ()
            return (*quote, self._tokens.call_close)
        return ()

    def feed(self, token_id: int) -> list[ModelEvent]:
        """Events that this id completes."""
        events: list[ModelEvent] = []
        if token_id in self._tokens.markers:
            self._add(self._decoder.finish(), events)
            self._marker(token_id, events)
        else:
            self._add(self._decoder.feed((token_id,)), events)
        self._fed += 1
        return events

    def finish(self, *, truncated: bool) -> list[ModelEvent]:
        """The remaining events."""
        events: list[ModelEvent] = []
        self._add(self._decoder.finish(), events)
        if self._state in (_State.HEADER, _State.ARGUMENTS):
            self._end_call(events, truncated=truncated)
        elif self._state in (_State.LABEL, _State.THOUGHT):
            self._end_thought(events)
        self._text_events(self._scanner.finish(truncated=truncated), events)
        return events

    def _marker(self, token: int, events: list[ModelEvent]) -> None:
        if self._state is _State.ARGUMENTS:
            self._marker_in_arguments(token, events)
        elif token == self._tokens.channel_open:
            self._begin_thought(events)
        elif token == self._tokens.channel_close:
            self._end_thought(events)
        elif token == self._tokens.call_open:
            self._begin_call(events)
        elif token == self._tokens.call_close:
            if self._state is _State.HEADER:
                self._end_call(events)
            self._text_events(self._scanner.end_call(), events)
        elif token == self._tokens.quote:
            self._add(QUOTE, events)
        elif token not in self._tokens.silent:
            self._add(self._tokenizer.piece(token).decode("utf-8", "replace"), events)
        elif self._state is _State.HEADER:
            self._end_call(events)

    def _marker_in_arguments(self, token: int, events: list[ModelEvent]) -> None:
        call = self._call
        if token == self._tokens.quote:
            call.in_string = not call.in_string
            call.maybe_ended = None
            self._argument_piece(QUOTE, events)
        elif token in self._tokens.stops or (token == self._tokens.call_open and self._just_maybe_ended()):
            self._end_call(events)
            self._marker(token, events)
        elif call.in_string:
            if token == self._tokens.call_close and call.maybe_ended is None:
                call.maybe_ended = len(call.pieces)
            self._argument_piece(self._tokenizer.piece(token).decode("utf-8", "replace"), events)
        elif token == self._tokens.call_close:
            self._end_call(events)
        elif token in (self._tokens.call_open, self._tokens.channel_open):
            self._end_call(events)
            self._marker(token, events)

    def _just_maybe_ended(self) -> bool:
        return self._call.maybe_ended is not None and len(self._call.pieces) == self._call.maybe_ended + 1

    def _add(self, text: str, events: list[ModelEvent]) -> None:
        if not text:
            return
        if self._state is _State.TEXT:
            self._text_events(self._scanner.feed(text), events)
        elif self._state is _State.THOUGHT:
            events.append(ThoughtAdded(_plain(text)))
        elif self._state is _State.LABEL:
            self._label += text
            if self._label == _LABEL or not _LABEL.startswith(self._label):
                rest = self._label.removeprefix(_LABEL)
                self._label = ""
                self._state = _State.THOUGHT
                self._add(rest, events)
        elif self._state is _State.HEADER:
            self._header_text(text, events)
        else:
            self._argument_piece(text, events)

    def _argument_piece(self, text: str, events: list[ModelEvent]) -> None:
        self._call.pieces.append(text)
        if self._call.events is not None:
            events.append(self._call.events.added(_plain(text)))

    def _header_text(self, text: str, events: list[ModelEvent]) -> None:
        call = self._call
        call.header += text
        match = _HEADER.match(call.header)
        if match is not None:
            call.events = CallEvents(new_call_id(), match[1])
            events.append(call.events.started())
            self._state = _State.ARGUMENTS
            self._argument_piece(call.header[match.end() :], events)
        elif not _HEADER_PREFIX.match(call.header) or len(call.header) > _LONGEST_HEADER:
            self._not_a_call(events)

    def _not_a_call(self, events: list[ModelEvent]) -> None:
        """The marker was quoted in prose."""
        self._state = _State.TEXT
        marker = self._tokenizer.piece(self._tokens.call_open).decode("utf-8", "replace")
        self._text_events(self._scanner.feed(marker + self._call.header), events)

    def _begin_thought(self, events: list[ModelEvent]) -> None:
        if self._state is _State.HEADER:
            self._end_call(events)
        if self._state not in (_State.LABEL, _State.THOUGHT):
            self._thought_start = self._fed
        elif self._label:
            events.append(ThoughtAdded(_plain(self._label)))
        self._label = ""
        self._state = _State.LABEL

    def _end_thought(self, events: list[ModelEvent]) -> None:
        """At a closing marker (this id belongs to the thought), a call or the end; stray closers mean nothing."""
        if self._state not in (_State.LABEL, _State.THOUGHT):
            return
        if self._label and self._label != _LABEL.rstrip():
            events.append(ThoughtAdded(_plain(self._label)))
        self._label = ""
        self._thoughts.append((self._thought_start, self._fed + 1))
        self._state = _State.TEXT

    def _begin_call(self, events: list[ModelEvent]) -> None:
        if self._state in (_State.LABEL, _State.THOUGHT):
            self._end_thought(events)
            start, end = self._thoughts[-1]
            self._thoughts[-1] = (start, end - 1)  # the id at hand is the call's
        elif self._state is _State.HEADER:
            self._not_a_call(events)
        self._text_events(self._scanner.end_call(), events)
        self._call_start = self._fed
        self._call = _Call()
        self._state = _State.HEADER

    def _end_call(self, events: list[ModelEvent], *, truncated: bool = False) -> None:
        call = self._call
        if call.events is None:
            self._end_header(events, truncated=truncated)
            return
        trailing = ""
        if call.maybe_ended is not None and not truncated:
            trailing = "".join(call.pieces[call.maybe_ended + 1 :])
            del call.pieces[call.maybe_ended :]
        raw = "".join(call.pieces)
        self._state = _State.TEXT
        try:
            arguments = parse_arguments(raw, self._tools.get(call.events.name), truncated=truncated)
            events.append(call.events.parsed(arguments))
        except ArgumentsError as error:
            events.append(call.events.failed(str(error)))
        if trailing:
            self._text_events(self._scanner.feed(trailing), events)

    def _end_header(self, events: list[ModelEvent], *, truncated: bool) -> None:
        """A call ended before its arguments: one without any, or no call."""
        name = re.sub(r"^\s*(?:call\s*:)?\s*", "", self._call.header).rstrip()
        if truncated:
            self._state = _State.TEXT
        elif name in self._tools:
            self._state = _State.TEXT
            call = CallEvents(new_call_id(), name)
            events += [call.started(), call.parsed({})]
        else:
            self._not_a_call(events)

    def _text_events(self, found: list[str | FoundCall], events: list[ModelEvent]) -> None:
        for item in found:
            if isinstance(item, str):
                events.append(TextAdded(_plain(item)))
            else:
                self._call_start = self._fed + 1  # its text stays: where it began is not known by id
                call = CallEvents(new_call_id(), item.name)
                events += [call.started(), call.added(_plain(item.source)), call.parsed(item.arguments)]


def _plain(text: str) -> str:
    return text.replace(QUOTE, '<|"|>') if QUOTE in text else text

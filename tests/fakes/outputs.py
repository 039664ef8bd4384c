"""Feeds a format's parser and collects what it read, for tests that look at the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.messages import ToolCall
from agent.model import ModelEvent, TextAdded, ThoughtAdded, ToolCallAdded, ToolCallParsed, ToolCallStarted
from agent.model.formats.base import ChatFormat, OutputParser


@dataclass(frozen=True)
class Outcome:
    """What a response came to."""

    text: str
    thought: str
    calls: tuple[ToolCall, ...]
    events: tuple[ModelEvent, ...]

    @property
    def plain_calls(self) -> list[tuple[str, dict[str, object]]]:
        return [(call.name, dict(call.arguments)) for call in self.calls]


def read(
    chat_format: ChatFormat,
    ids: Sequence[int],
    tools: Mapping[str, Mapping[str, object]] | None = None,
    *,
    in_thought: bool = False,
    truncated: bool = False,
) -> Outcome:
    """Everything that the format's parser makes of ``ids``; the parser's contract is checked on the way."""
    parser: OutputParser = chat_format.parser(tools or {}, in_thought=in_thought)
    events = [event for token in ids for event in parser.feed(token)]
    events += parser.finish(truncated=truncated)
    _check_calls(events)
    return Outcome(
        text="".join(event.text for event in events if isinstance(event, TextAdded)),
        thought="".join(event.text for event in events if isinstance(event, ThoughtAdded)),
        calls=tuple(event.call for event in events if isinstance(event, ToolCallParsed)),
        events=tuple(events),
    )


def _check_calls(events: Sequence[ModelEvent]) -> None:
    open_call: str | None = None
    for event in events:
        if isinstance(event, ToolCallStarted):
            assert open_call is None
            open_call = event.call_id
        elif isinstance(event, ToolCallAdded):
            assert event.call_id == open_call
        elif isinstance(event, ToolCallParsed):
            assert event.call.id == open_call
            open_call = None
    assert open_call is None

"""Stored messages as the entries that their events would have left; pure.

A resumed session has messages only: live output, times and diffs of then are gone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from agent.clean import clean
from agent.messages import AssistantMessage, Message, ToolCall, ToolResultMessage, UserMessage
from tui.view_state import Answer, CallState, Entry, Prompted, Thought, ToolCard, ViewState

_SHOWN_ARGUMENTS = ("command", "path", "pattern", "query")


def with_messages(state: ViewState, messages: Sequence[Message]) -> ViewState:
    """The state with stored messages in place of its entries."""
    entries: list[Entry] = []
    cards: dict[str, int] = {}
    for message in messages:
        match message:
            case UserMessage():
                entries.append(Prompted(len(entries) + 1, message.id, clean(message.text)))
            case AssistantMessage():
                if thought := clean(message.thought):
                    entries.append(Thought(len(entries) + 1, thought, 0.0, done=True))
                if text := clean(message.text):
                    entries.append(Answer(len(entries) + 1, text, done=True))
                for call in message.tool_calls:
                    cards[call.id] = len(entries)
                    entries.append(_card(len(entries) + 1, call))
            case ToolResultMessage():
                at = cards.pop(message.call_id, None)
                card = None if at is None else entries[at]
                if at is not None and isinstance(card, ToolCard):
                    how = CallState.FAILED if message.is_error else CallState.DONE
                    entries[at] = replace(card, state=how, result=clean(message.text))
    return replace(state, entries=tuple(entries), next_key=len(entries) + 1)


def _card(key: int, call: ToolCall) -> ToolCard:
    shown = next((str(call.arguments[name]) for name in _SHOWN_ARGUMENTS if name in call.arguments), "")
    summary = shown if call.name == "bash" else f"{call.name} {shown}".strip()
    raw = clean(json.dumps(dict(call.arguments), default=str, ensure_ascii=False))
    return ToolCard(key, call.id, clean(call.name), CallState.STOPPED, clean(" ".join(summary.split())), raw)

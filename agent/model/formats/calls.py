"""The events of one tool call in the making, shared by the formats' parsers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from agent.messages import ToolCall
from agent.model import ToolCallAdded, ToolCallParsed, ToolCallStarted


def new_call_id() -> str:
    """An id that no other call has."""
    return f"call-{uuid.uuid4().hex[:16]}"


@dataclass(frozen=True, slots=True)
class CallEvents:
    """Makes the events of the call ``call_id`` of the tool ``name``."""

    call_id: str
    name: str

    def started(self) -> ToolCallStarted:
        """The name is known."""
        return ToolCallStarted(self.call_id, self.name)

    def added(self, text: str) -> ToolCallAdded:
        """A raw piece was written."""
        return ToolCallAdded(self.call_id, text)

    def parsed(self, arguments: Mapping[str, object]) -> ToolCallParsed:
        """The call is complete."""
        return ToolCallParsed(ToolCall(self.call_id, self.name, dict(arguments)))

    def failed(self, reason: str) -> ToolCallParsed:
        """The call ended and cannot be read; ``reason`` is for the model."""
        return ToolCallParsed(ToolCall(self.call_id, self.name, {}, error=reason))

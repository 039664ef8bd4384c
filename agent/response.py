"""One model response as a stream: its events for the screen, and what stands when it is cut short.

It starts and stops nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.events import AgentEvent, PrefillProgressed, TextStreamed, ThoughtStreamed, ToolCallStreamed
from agent.messages import AssistantMessage, StopReason, ToolCall, Usage
from agent.model import (
    ModelEvent,
    PromptRead,
    ResponseFinished,
    TextAdded,
    ThoughtAdded,
    ToolCallAdded,
    ToolCallParsed,
    ToolCallStarted,
)


class ResponseInProgress:
    """Collects one response; ``message`` is the finished one, or what was written until it was stopped."""

    def __init__(self, message_id: str, emit: Callable[[AgentEvent], None]) -> None:
        self._id = message_id
        self._emit = emit
        self._text: list[str] = []
        self._thought: list[str] = []
        self._calls: list[ToolCall] = []
        self._names: dict[str, str] = {}
        self._read = PromptRead(0, 0, 0, 0.0)
        self._finished: AssistantMessage | None = None

    @property
    def message(self) -> AssistantMessage:
        """The response as it stands."""
        return self._finished or AssistantMessage(
            self._id,
            "".join(self._text),
            "".join(self._thought),
            tuple(self._calls),
            StopReason.CANCELLED,
            Usage(cached_tokens=self._read.cached, prefilled_tokens=self._read.done),
        )

    def take(self, event: ModelEvent) -> None:
        """Note one event and tell the screen."""
        match event:
            case PromptRead():
                self._read = event
                self._emit(PrefillProgressed(event.done, event.total, event.cached, event.seconds_left))
            case TextAdded():
                self._text.append(event.text)
                self._emit(TextStreamed(event.text))
            case ThoughtAdded():
                self._thought.append(event.text)
                self._emit(ThoughtStreamed(event.text))
            case ToolCallStarted():
                self._names[event.call_id] = event.name
                self._emit(ToolCallStreamed(event.call_id, event.name, ""))
            case ToolCallAdded():
                self._emit(ToolCallStreamed(event.call_id, self._names.get(event.call_id, ""), event.text))
            case ToolCallParsed():
                self._calls.append(event.call)
            case ResponseFinished():
                self._finished = event.message

"""What programs read on standard output: text, json and stream-json, in the shape that Claude Code gave them.

It shows nothing to people (``agent.live_view`` does) and runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TextIO

from agent.clean import clean
from agent.events import AgentEvent, Notice, RunEnd, RunFinished, RunStarted, SessionStarted, ToolFinished, TurnFinished
from agent.messages import AssistantMessage, Usage


class OutputFormat(StrEnum):
    """``--output-format``."""

    TEXT = "text"
    JSON = "json"
    STREAM_JSON = "stream-json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How everything ended. ``extra`` fields are added to the result object as they are."""

    subtype: str
    is_error: bool
    text: str
    extra: Mapping[str, object] = field(default_factory=dict[str, object])


# Names as in the peer's format, where it has one.
SUBTYPES: Mapping[RunEnd, str] = {
    RunEnd.DONE: "success",
    RunEnd.CANCELLED: "interrupted",
    RunEnd.LIMIT: "error_max_turns",
    RunEnd.REPETITION: "error_repetition",
    RunEnd.ERROR: "error_during_execution",
}


def outcome_of(event: RunFinished) -> Outcome:
    """The outcome of a single run."""
    return Outcome(SUBTYPES[event.end], event.end is not RunEnd.DONE, event.text)


class Writer(Protocol):
    """Takes every event, then once the outcome."""

    def handle(self, event: AgentEvent) -> None:
        """Take one event."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """Write what is still to be written."""
        ...


def make_writer(output: OutputFormat, stream: TextIO) -> Writer:
    """The writer for a format."""
    if output is OutputFormat.TEXT:
        return TextWriter(stream)
    return JsonWriter(stream, events=output is OutputFormat.STREAM_JSON)


class TextWriter:
    """The answer as plain text, at the end; control sequences are taken out."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def handle(self, event: AgentEvent) -> None:
        """Events are for the other formats."""

    def finish(self, outcome: Outcome) -> None:
        """Write the text."""
        if text := clean(outcome.text).strip():
            print(text, file=self._stream, flush=True)


class JsonWriter:
    """One result object at the end; with ``events`` also one object a line for everything said on the way."""

    def __init__(self, stream: TextIO, *, events: bool) -> None:
        self._stream = stream
        self._events = events
        self._session = SessionStarted("", "", 0, "", "", ())
        self._turns = 0
        self._seconds = 0.0
        self._usage = Usage()
        self._errors: list[str] = []

    def handle(self, event: AgentEvent) -> None:
        """Write what belongs into a stream, count what belongs into the result."""
        match event:
            case SessionStarted():
                self._session = event
                self._line(_init(event))
            case RunStarted():
                self._line(self._framed("user", [{"type": "text", "text": event.text}]))
            case TurnFinished():
                self._turns += 1
                self._usage += event.message.usage
                self._line({**self._framed("assistant", []), "message": self._assistant(event.message)})
            case ToolFinished():
                result = {"type": "tool_result", "tool_use_id": event.call_id, "content": event.text}
                self._line(self._framed("user", [{**result, "is_error": event.is_error}]))
            case Notice():
                self._errors.extend([event.text] if event.is_error else [])
            case RunFinished():
                self._seconds += event.seconds
            case _:
                pass

    def finish(self, outcome: Outcome) -> None:
        """Write the result object."""
        result: dict[str, object] = {
            "type": "result",
            "subtype": outcome.subtype,
            "is_error": outcome.is_error,
            "num_turns": self._turns,
            "duration_ms": round(1000 * self._seconds),
            "session_id": self._session.session_id,
            "result": outcome.text,
            "usage": _usage(self._usage),
            "stats": _stats(self._usage),
            **({"errors": self._errors} if self._errors else {}),
            **outcome.extra,
        }
        self._write(result)

    def _framed(self, role: str, content: list[dict[str, object]]) -> dict[str, object]:
        return {"type": role, "message": {"role": role, "content": content}, "session_id": self._session.session_id}

    def _assistant(self, message: AssistantMessage) -> dict[str, object]:
        content: list[dict[str, object]] = []
        if message.thought:
            content.append({"type": "thinking", "thinking": message.thought})
        if message.text:
            content.append({"type": "text", "text": message.text})
        content.extend(
            {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)}
            for call in message.tool_calls
        )
        return {
            "id": message.id,
            "type": "message",
            "role": "assistant",
            "model": self._session.model,
            "content": content,
            "stop_reason": _STOP_REASONS.get(message.stop_reason.value, message.stop_reason.value),
            "usage": _usage(message.usage),
        }

    def _line(self, value: Mapping[str, object]) -> None:
        if self._events:
            self._write(value)

    def _write(self, value: Mapping[str, object]) -> None:
        # ASCII only: safe for every locale, and a terminal never sees a raw control character.
        print(json.dumps(value, default=str), file=self._stream, flush=True)


_STOP_REASONS = {"end": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}


def _init(event: SessionStarted) -> dict[str, object]:
    return {
        "type": "system",
        "subtype": "init",
        "session_id": event.session_id,
        "cwd": event.cwd,
        "model": event.model,
        "context_tokens": event.context_tokens,
        "permissionMode": event.mode,
        "tools": list(event.tools),
    }


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.prefilled_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.decoded_tokens,
    }


def _stats(usage: Usage) -> dict[str, object]:
    return {
        "cached_tokens": usage.cached_tokens,
        "loaded_tokens": usage.loaded_tokens,
        "prefilled_tokens": usage.prefilled_tokens,
        "prefill_ms": round(usage.prefill_ms, 1),
        "decode_tps": round(usage.decode_tps, 2),
        "drafted": usage.drafted_tokens,
        "accepted": usage.accepted_tokens,
        "drafters": {each.drafter: {"drafted": each.drafted, "accepted": each.accepted} for each in usage.drafters},
    }

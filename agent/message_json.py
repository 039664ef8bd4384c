"""Messages as JSON and back, for the store and for exports.

It opens no file and checks only what it needs to rebuild a message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from agent.messages import (
    AssistantMessage,
    Drafted,
    Message,
    StopReason,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserMessage,
)

_KINDS: Mapping[type[Message], str] = {UserMessage: "user", AssistantMessage: "assistant", ToolResultMessage: "tool"}


def kind_of(message: Message) -> str:
    """``user``, ``assistant`` or ``tool``."""
    return _KINDS[type(message)]


def to_json(message: Message) -> dict[str, object]:
    """The message as JSON values, with its kind."""
    if isinstance(message, AssistantMessage):
        calls = [
            {"id": each.id, "name": each.name, "arguments": dict(each.arguments), "error": each.error}
            for each in message.tool_calls
        ]
        return {
            "kind": "assistant",
            "id": message.id,
            "text": message.text,
            "thought": message.thought,
            "tool_calls": calls,
            "stop_reason": message.stop_reason.value,
            "usage": asdict(message.usage),
        }
    return {"kind": kind_of(message), **asdict(message)}


def from_json(text: str) -> Message:
    """The message of a line that ``to_json`` made; raises ValueError, KeyError or TypeError for anything else."""
    data = cast("dict[str, object]", json.loads(text))
    kind = data.pop("kind")
    if kind == "user":
        return UserMessage(str(data["id"]), str(data["text"]))
    if kind == "tool":
        call_id, name, said = str(data["call_id"]), str(data["name"]), str(data["text"])
        return ToolResultMessage(call_id, name, said, bool(data["is_error"]))
    if kind != "assistant":
        raise ValueError(f"unknown kind of message {kind!r}")
    calls = cast("list[dict[str, object]]", data["tool_calls"])
    usage = cast("dict[str, object]", data["usage"])
    return AssistantMessage(
        str(data["id"]),
        str(data["text"]),
        str(data["thought"]),
        tuple(_call(each) for each in calls),
        StopReason(str(data["stop_reason"])),
        _usage(usage),
    )


def _usage(data: dict[str, object]) -> Usage:
    drafters = cast("list[dict[str, object]]", data.pop("drafters", []))
    return Usage(
        **cast("dict[str, Any]", data), drafters=tuple(Drafted(**cast("dict[str, Any]", each)) for each in drafters)
    )


def _call(data: dict[str, object]) -> ToolCall:
    arguments = cast("dict[str, object]", data["arguments"])
    error = data["error"]
    return ToolCall(str(data["id"]), str(data["name"]), arguments, None if error is None else str(error))

"""Events as JSON and back, for golden recordings."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from typing import Any

from agent import events, messages


def event_to_json(event: events.AgentEvent) -> dict[str, Any]:
    return {"kind": type(event).__name__, **dataclasses.asdict(event)}


def event_from_json(data: dict[str, Any]) -> events.AgentEvent:
    data = dict(data)
    return _built(getattr(events, data.pop("kind")), data)


def _built(kind: Any, value: Any) -> Any:
    """A value of an annotated type from plain JSON."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, vars(events) | vars(messages))
        return typing.cast("Any", kind)(**{name: _built(hints[name], each) for name, each in value.items()})
    if origin is tuple:
        return tuple(_built(arguments[0], each) for each in value)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _built(next(each for each in arguments if each is not type(None)), value)
    return kind(value) if isinstance(kind, type) and issubclass(kind, Enum) else value

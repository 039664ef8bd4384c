"""Brings argument values to the types that a tool's schema names, where a model wrote them in another type.

Nothing is validated: what does not fit stays as it is, for the toolset to refuse.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from agent.model.formats.schema import Schema, mapping, properties, sequence, types

_LITERALS = ("true", "false", "null")


@dataclass(frozen=True, slots=True)
class Bare:
    """A value that was written without quotes; ``raw`` is its text, ``value`` what it reads as."""

    raw: str
    value: object


def coerce(value: object, schema: Schema) -> object:
    """``value`` as ``schema`` wants it: text for bare numbers, numbers for quoted ones, lists for quoted JSON."""
    allowed = types(schema)
    if isinstance(value, Bare):
        wants_text = "string" in allowed and value.value is not None and not _fits(value.value, allowed)
        return value.raw if wants_text else value.value
    if isinstance(value, dict):
        known = properties(schema)
        return {key: coerce(item, known.get(key, {})) for key, item in mapping(value).items()}  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, list):
        items = mapping(schema.get("items"))
        return [coerce(item, items) for item in sequence(value)]  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, str) and allowed and "string" not in allowed:
        return _from_string(value, schema, allowed)
    return value


def _fits(value: object, allowed: frozenset[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in allowed
    if isinstance(value, int):
        return bool(allowed & {"integer", "number"})
    return isinstance(value, float) and "number" in allowed


def _from_string(text: str, schema: Schema, allowed: frozenset[str]) -> object:
    """A value of another type than string, that was written in quotes; the text itself when it is none."""
    stripped = text.strip()
    try:
        value: object = json.loads(stripped.lower() if stripped.lower() in _LITERALS else stripped)
    except ValueError:
        return text
    if isinstance(value, list | dict):
        return coerce(value, schema) if ("array" if isinstance(value, list) else "object") in allowed else text  # pyright: ignore[reportUnknownArgumentType]
    fits = "null" in allowed if value is None else _fits(value, allowed)
    return value if fits else text

"""Reads calls of known tools from what models write instead of their own notation: JSON objects and Python calls.

It looks for no call in running text; ``text_calls`` does.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from agent.model.formats import json_repair
from agent.model.formats.base import ToolSchemas
from agent.model.formats.coercion import coerce
from agent.model.formats.schema import mapping, mapping_or_none, properties, sequence
from tools.python_tree import python_tree

_NAME_KEYS = ("name", "tool", "tool_name", "function", "function_name")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call that was written as text; ``source`` is that text."""

    name: str
    arguments: Mapping[str, object]
    source: str


def calls_from_json(value: object, tools: ToolSchemas, source: str, *, any_name: bool = False) -> list[FoundCall]:
    """The calls in a JSON value of one of the shapes that models write; none when it has another.

    ``any_name`` also takes calls of tools that do not exist, where a marker says that a call is meant.
    """
    if isinstance(value, list):
        items = sequence(cast("object", value))
        return [call for item in items for call in calls_from_json(item, tools, source, any_name=any_name)]
    entry = mapping(value)
    if "tool_calls" in entry:
        return calls_from_json(entry["tool_calls"], tools, source, any_name=any_name)
    if isinstance(entry.get("function"), Mapping):
        return calls_from_json(entry["function"], tools, source, any_name=any_name)
    name = next((entry[key] for key in _NAME_KEYS if key in entry), None)
    if not isinstance(name, str) or not (any_name or name in tools):
        return []
    schema = tools.get(name, {})
    arguments = _arguments(entry, name, frozenset(properties(schema)))
    return [] if arguments is None else [FoundCall(name, mapping(coerce(arguments, schema)), source)]


def _arguments(entry: Mapping[str, object], name: str, known: frozenset[str]) -> dict[str, object] | None:
    """The arguments under their key, or beside the name; None when there are none."""
    key = next((key for key in _ARGUMENT_KEYS if key in entry), None)
    if key is None:
        beside = {key: item for key, item in entry.items() if key in known and item != name}
        return beside or None
    arguments = entry[key]
    if isinstance(arguments, str):
        try:
            arguments = json_repair.loads(arguments)
        except ValueError:
            return None
    found = mapping_or_none(arguments)
    return None if found is None else dict(found)


def calls_from_python(body: str, tools: ToolSchemas, source: str) -> list[FoundCall]:
    """``read(path="a.py")`` or ``print(default_api.read(path="a.py"))``, literals only; none for other code."""
    if "(" not in body:
        return []
    tree = python_tree(body)
    nodes = ast.walk(tree) if tree else ()
    calls = [_python_call(node, tools, source) for node in nodes if isinstance(node, ast.Call)]
    return [call for call in calls if call is not None]


def _python_call(node: ast.Call, tools: ToolSchemas, source: str) -> FoundCall | None:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name not in tools or node.args:
        return None
    try:
        arguments = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
    except (ValueError, TypeError):
        return None
    return FoundCall(name, mapping(coerce(arguments, tools[name])), source)

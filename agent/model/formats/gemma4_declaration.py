"""Writes a tool's declaration the way Gemma 4 was shown declarations in training.

Order and quoting follow Google's chat template of 2026-07-09; it knows no conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.messages import ToolSpec
from agent.model.formats.gemma4_arguments import write_arguments
from agent.model.formats.gemma4_tokens import Gemma4Tokens
from agent.model.formats.literal import PromptBuilder
from agent.model.formats.schema import Schema, mapping, properties, sequence, simplify, sorted_items

_Fields = list[tuple[str, Callable[[], object]]]


class DeclarationWriter:
    """Appends declarations to a PromptBuilder."""

    def __init__(self, builder: PromptBuilder, tokens: Gemma4Tokens) -> None:
        self._builder = builder
        self._tokens = tokens

    def write(self, tool: ToolSpec) -> None:
        """``<|tool>declaration:NAME{...}<tool|>``."""
        schema = simplify(tool.parameters)
        fields: _Fields = [("description", lambda: self._string(tool.description))]
        if schema:
            fields.append(("parameters", lambda: self._parameters(schema)))
        self._builder.marker(self._tokens.tool_open).text(f"declaration:{tool.name}")
        self._braces(fields)
        self._builder.marker(self._tokens.tool_close)

    def _parameters(self, schema: Schema) -> None:
        fields: _Fields = []
        if schema.get("properties"):
            fields.append(("properties", lambda: self._properties(properties(schema))))
        if schema.get("required"):
            fields.append(("required", lambda: self._value(schema["required"])))
        if "type" in schema:
            fields.append(("type", lambda: self._string(str(schema["type"]).upper())))
        self._braces(fields)

    def _properties(self, known: Mapping[str, Schema]) -> None:
        self._braces([(name, lambda item=item: self._property(mapping(item))) for name, item in sorted_items(known)])

    def _property(self, schema: Schema) -> None:
        kind = schema.get("type")
        fields: _Fields = []
        if schema.get("description"):
            fields.append(("description", lambda: self._value(schema["description"])))
        if kind == "string" and schema.get("enum"):
            fields.append(("enum", lambda: self._value(schema["enum"])))
        if kind == "array" and schema.get("items"):
            fields.append(("items", lambda: self._items(mapping(schema["items"]))))
        if schema.get("nullable"):
            fields.append(("nullable", lambda: self._builder.text("true")))
        if kind == "object":
            fields.append(("properties", lambda: self._properties(properties(schema))))
            if schema.get("required"):
                fields.append(("required", lambda: self._value(schema["required"])))
        fields.append(("type", lambda: self._string(_type_name(schema))))
        self._braces(fields)

    def _items(self, schema: Schema) -> None:
        """Items show every key they have, unlike properties."""
        fields: _Fields = []
        for key, value in sorted_items(schema):
            if value is None:
                continue
            if key == "properties":
                fields.append((key, lambda: self._properties(properties(schema))))
            elif key == "items":
                fields.append((key, lambda value=value: self._items(mapping(value))))
            elif key == "type":
                fields.append((key, lambda value=value: self._value(_upper(value))))
            else:
                fields.append((key, lambda value=value: self._value(value)))
        self._braces(fields)

    def _braces(self, fields: _Fields) -> None:
        self._builder.text("{")
        for index, (key, write) in enumerate(fields):
            self._builder.text(f",{key}:" if index else f"{key}:")
            write()
        self._builder.text("}")

    def _string(self, text: str) -> None:
        self._builder.marker(self._tokens.quote).text(text).marker(self._tokens.quote)

    def _value(self, value: object) -> None:
        write_arguments(self._builder, self._tokens.quote, value, quoted_keys=True)


def _upper(kind: object) -> object:
    return kind.upper() if isinstance(kind, str) else [str(name).upper() for name in sequence(kind)]


def _type_name(schema: Schema) -> str:
    """The upper-case type; a list of types in Python's notation, as the template has it."""
    if "type" in schema:
        return str(_upper(schema["type"]))
    names = [_type_name(mapping(option)) for option in sequence(schema.get("anyOf"))]
    return str(names) if names else ""

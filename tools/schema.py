"""A tool's JSON schema as the model is shown it: nothing in it that costs tokens without telling anything.

Validation itself is pydantic's, with the full model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from tools.base import Tool

_KEPT = ("type", "description", "enum", "items", "properties", "required")


def json_schema(tool: Tool) -> dict[str, object]:
    """The schema (type object) of the tool's arguments: references inlined, titles, defaults and nulls left out."""
    schema = cast("dict[str, object]", tool.arguments.model_json_schema(by_alias=True))
    definitions = cast("dict[str, object]", schema.get("$defs", {}))
    return _slim(schema, definitions)


def _slim(schema: Mapping[str, object], definitions: Mapping[str, object]) -> dict[str, object]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        inlined = cast("dict[str, object]", definitions[reference.rsplit("/", 1)[-1]])
        return _slim({**inlined, **{key: value for key, value in schema.items() if key != "$ref"}}, definitions)
    variants = cast("list[dict[str, object]]", schema.get("anyOf", []))
    useful = [variant for variant in variants if variant.get("type") != "null"]
    if useful:
        merged = {**useful[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
        return _slim(merged, definitions)
    slim = {key: schema[key] for key in _KEPT if key in schema}
    if "const" in schema:
        slim["enum"] = [schema["const"]]
    if "items" in slim:
        slim["items"] = _slim(cast("dict[str, object]", slim["items"]), definitions)
    if "properties" in slim:
        properties = cast("dict[str, dict[str, object]]", slim["properties"])
        slim["properties"] = {name: _slim(value, definitions) for name, value in properties.items()}
    if "properties" in slim or "items" in slim:
        slim.pop("description", None)  # the docstring of the model: for people
    return slim

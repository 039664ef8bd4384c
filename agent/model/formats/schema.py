"""JSON schemas of tool arguments, brought into the plain shape that chat formats and grammars can show.

Nothing is validated here; the schemas are our own tools'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

Schema = Mapping[str, object]

_DROPPED = frozenset({"title", "$defs", "definitions", "$schema", "examples"})


def simplify(schema: Schema) -> dict[str, object]:
    """The same schema with references inlined, titles dropped and "X or null" written as X with ``nullable: true``.

    Recursive references end as an untyped object.
    """
    return _simplify(schema, _definitions(schema), ())


def mapping(value: object) -> Schema:
    """``value`` when it is a mapping, else an empty one."""
    return cast("Schema", value) if isinstance(value, Mapping) else {}


def mapping_or_none(value: object) -> Schema | None:
    """``value`` when it is a mapping."""
    return cast("Schema", value) if isinstance(value, Mapping) else None


def sequence(value: object) -> Sequence[object]:
    """``value`` when it is a list or tuple, else an empty one."""
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()


def types(schema: Schema) -> frozenset[str]:
    """The JSON types that a schema allows; empty when it does not say."""
    if "anyOf" in schema:
        return frozenset[str]().union(*(types(mapping(option)) for option in sequence(schema["anyOf"])))
    declared = schema.get("type")
    names = {declared} if isinstance(declared, str) else {name for name in sequence(declared) if isinstance(name, str)}
    if schema.get("nullable") and names:
        names.add("null")
    return frozenset(names)


def properties(schema: Schema) -> Mapping[str, Schema]:
    """The properties of an object schema."""
    return {name: mapping(value) for name, value in mapping(schema.get("properties")).items()}


def sorted_items(values: Mapping[str, object]) -> list[tuple[str, object]]:
    """Items by key without regard to case, the order in which Gemma 4 was shown them."""
    return sorted(values.items(), key=lambda item: item[0].lower())


def standard(schema: object) -> object:
    """The schema in words of JSON Schema only, closed where it names properties.

    ``nullable`` is OpenAPI's word and becomes a union.
    """
    entry = mapping_or_none(schema)
    if entry is None:
        return [standard(item) for item in sequence(cast("object", schema))] if isinstance(schema, list) else schema
    plain = {key: standard(value) for key, value in entry.items() if key != "nullable"}
    if "properties" in entry:
        plain["properties"] = {name: standard(child) for name, child in properties(entry).items()}
        plain.setdefault("additionalProperties", False)
    return {"anyOf": [plain, {"type": "null"}]} if entry.get("nullable") is True else plain


def _definitions(schema: Schema) -> dict[str, Schema]:
    return {
        f"#/{section}/{name}": mapping(value)
        for section in ("$defs", "definitions")
        for name, value in mapping(schema.get(section)).items()
    }


def _simplify(schema: Schema, definitions: Mapping[str, Schema], seen: tuple[str, ...]) -> dict[str, object]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        if reference in seen or reference not in definitions:
            return {"type": "object", **_simplify(rest, definitions, seen)}
        return _simplify({**definitions[reference], **rest}, definitions, (*seen, reference))
    options = [_simplify(mapping(option), definitions, seen) for option in _options(schema)]
    if options:
        return _merge_options(schema, options)
    result: dict[str, object] = {}
    for key, value in schema.items():
        if key in _DROPPED:
            continue
        if key == "properties":
            result[key] = {name: _simplify(mapping(child), definitions, seen) for name, child in mapping(value).items()}
        elif key == "items":
            result[key] = _simplify(mapping(value), definitions, seen)
        elif key == "const":
            result["enum"] = [value]
        else:
            result[key] = value
    return result


def _options(schema: Schema) -> Sequence[object]:
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return sequence(schema[key])
    return ()


def _merge_options(schema: Schema, options: list[dict[str, object]]) -> dict[str, object]:
    rest = {key: value for key, value in schema.items() if key not in _DROPPED | {"anyOf", "oneOf", "allOf"}}
    real = [option for option in options if option.get("type") != "null"]
    nullable: dict[str, object] = {"nullable": True} if len(real) < len(options) else {}
    if rest.get("default", 0) is None:
        del rest["default"]  # "null unless given" says nothing more than that it may be left out
    if len(real) == 1:
        return {**real[0], **rest, **nullable}
    names = [option.get("type") for option in real]
    if all(isinstance(name, str) and len(option) == 1 for name, option in zip(names, real, strict=True)):
        return {"type": names, **rest, **nullable}
    return {"anyOf": real, **rest, **nullable}

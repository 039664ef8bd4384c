"""What the model is told of the tools: small, plain, and true."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from tools.base import Effect
from tools.registry import all_tools, tools_for
from tools.schema import json_schema

MINIMAL: dict[str, dict[str, Any]] = {
    "bash": {"command": "true"},
    "edit": {"path": "a", "replacements": [{"find": "a", "replace": "b"}]},
    "glob": {"pattern": "*"},
    "grep": {"pattern": "x"},
    "read": {"path": "a"},
    "symbols": {},
    "todo": {"items": [{"text": "x"}]},
    "write": {"path": "a", "content": ""},
}


def test_there_are_eight_tools_and_five_for_small_models() -> None:
    assert [tool.name for tool in all_tools()] == sorted(MINIMAL)
    assert [tool.name for tool in tools_for(small=True)] == ["bash", "edit", "grep", "read", "write"]


def test_effects_say_the_most_that_a_tool_can_do() -> None:
    effects = {tool.name: tool.effect for tool in all_tools()}
    assert effects.pop("bash") is Effect.EXECUTE
    assert effects.pop("todo") is Effect.NONE
    assert {effects.pop("edit"), effects.pop("write")} == {Effect.WRITE}
    assert set(effects.values()) == {Effect.READ}


def test_schemas_and_descriptions_cost_few_tokens() -> None:
    told = [
        json.dumps(
            {"name": tool.name, "description": tool.description, "parameters": json_schema(tool)}, separators=(",", ":")
        )
        for tool in all_tools()
    ]
    assert sum(map(len, told)) < 3_200  # about 800 tokens


def test_schemas_are_valid_and_plain() -> None:
    for tool in all_tools():
        schema = json_schema(tool)
        jsonschema.Draft202012Validator.check_schema(schema)
        text = json.dumps(schema)
        for noise in ("$ref", "$defs", "title", "default", "anyOf", "null"):
            assert f'"{noise}"' not in text


def test_what_fits_the_schema_is_accepted() -> None:
    for tool in all_tools():
        jsonschema.validate(MINIMAL[tool.name], json_schema(tool))
        assert tool.summary(tool.arguments.model_validate(MINIMAL[tool.name]))


@pytest.mark.parametrize("other", ["file_path", "filePath", "file", "filename", "cmd"])
def test_what_a_permission_is_decided_by_has_one_name_only(other: str) -> None:
    for tool in all_tools():
        if tool.effect in (Effect.WRITE, Effect.EXECUTE):
            arguments = {key: value for key, value in MINIMAL[tool.name].items() if key not in ("path", "command")}
            with pytest.raises(ValidationError):
                tool.arguments.model_validate({**arguments, other: "a"})


def test_a_path_to_write_must_be_text() -> None:
    for tool in all_tools():
        if tool.effect is Effect.WRITE:
            with pytest.raises(ValidationError):
                tool.arguments.model_validate({**MINIMAL[tool.name], "path": 5})

"""The todo tool: the model's list of steps, replaced as a whole; the screen shows it.

It keeps nothing: the list travels in the result.
"""

from __future__ import annotations

from typing import Literal, cast

from pydantic import AliasChoices, BaseModel, Field, field_validator, model_validator

import prompts
from tools.arguments import Arguments, items, mapping
from tools.base import Effect, ToolContext, ToolOutput

_MARKS = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}
_SYNONYMS = {"done": "completed", "complete": "completed", "todo": "pending", "open": "pending", "doing": "in_progress"}


class Item(Arguments):
    """One step."""

    text: str = Field(min_length=1, max_length=500, validation_alias=AliasChoices("text", "content", "task", "title"))
    status: Literal["pending", "in_progress", "completed"] = "pending"

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        return {"text": data} if isinstance(data, str) else data

    @field_validator("status", mode="before")
    @classmethod
    def _usual(cls, status: object) -> object:
        if not isinstance(status, str):
            return status
        folded = status.strip().lower().replace("-", "_").replace(" ", "_")
        return _SYNONYMS.get(folded, folded)


class TodoArguments(Arguments):
    """The whole list."""

    items: list[Item] = Field(max_length=50, validation_alias=AliasChoices("items", "todos", "steps"))

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, data: object) -> object:
        given = mapping(data)
        if given is None:
            return data
        for name in ("items", "todos", "steps"):
            listed = items(given.get(name))
            if listed is not None:
                return {**given, name: listed}
        return cast("object", given)


class TodoTool:
    """Shows the plan."""

    name = "todo"
    arguments: type[BaseModel] = TodoArguments
    effect = Effect.NONE

    @property
    def description(self) -> str:
        """For the model."""
        return prompts.load("tools/todo")

    def summary(self, arguments: BaseModel) -> str:
        """One line for people."""
        assert isinstance(arguments, TodoArguments)
        done = sum(item.status == "completed" for item in arguments.items)
        return f"todo list, {done} of {len(arguments.items)} done"

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:  # noqa: ARG002 - nothing to check
        """The list."""
        assert isinstance(arguments, TodoArguments)
        return _text(arguments.items)

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:  # noqa: ARG002
        """Hand the list on."""
        assert isinstance(arguments, TodoArguments)
        return ToolOutput(_text(arguments.items), todos=tuple((item.text, item.status) for item in arguments.items))


def _text(listed: list[Item]) -> str:
    return "\n".join(f"{_MARKS[item.status]} {' '.join(item.text.split())}" for item in listed) or "The list is empty."

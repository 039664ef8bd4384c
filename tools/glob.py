"""The glob tool: the workspace's files whose path fits a pattern, in order of paths.

What counts as a file of the workspace is ``tools.files``'s matter.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import BaseModel

import prompts
from tools.arguments import Arguments
from tools.base import Effect, ToolContext, ToolOutput
from tools.files import list_files
from tools.globs import matcher

MAX_LISTED = 200


class GlobArguments(Arguments):
    """A pattern of paths."""

    pattern: str


class GlobTool:
    """Lists files."""

    name = "glob"
    arguments: type[BaseModel] = GlobArguments
    effect = Effect.READ

    @property
    def description(self) -> str:
        """For the model."""
        return prompts.load("tools/glob")

    def summary(self, arguments: BaseModel) -> str:
        """One line for people."""
        assert isinstance(arguments, GlobArguments)
        return f"list {arguments.pattern}"

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:
        """What would be listed; raises ToolError for a bad pattern."""
        assert isinstance(arguments, GlobArguments)
        matcher(_inside(arguments.pattern, context.workspace.root))
        return self.summary(arguments)

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:
        """List the files, at most ``MAX_LISTED``."""
        assert isinstance(arguments, GlobArguments)
        root = context.workspace.root
        fits = matcher(_inside(arguments.pattern, root))
        names = await asyncio.to_thread(list_files, root)
        return ToolOutput(_told(arguments.pattern, names, [name for name in names if fits(name)]))


def _inside(pattern: str, root: Path) -> str:
    """A pattern that was written with the root in front of it, without that; a lone ``.`` means everything."""
    stripped = pattern.strip().removeprefix(f"{root}/")
    return "**" if stripped in {".", "./", str(root)} else stripped


def _told(pattern: str, names: list[str], found: list[str]) -> str:
    if not found:
        folder = pattern.strip().rstrip("/") + "/"
        found = [name for name in names if name.startswith(folder)]
    if not found:
        return f"No file fits {pattern} ({len(names)} files are not ignored). ** matches any folders, as in **/*.py."
    rest = len(found) - MAX_LISTED
    more = f"\n... and {rest} more; use a narrower pattern." if rest > 0 else ""
    return "\n".join(found[:MAX_LISTED]) + more

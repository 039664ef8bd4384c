"""The symbols tool: the outline of a file, or a ranked map of the repository.

Finding and ranking are ``tools.repo_map``'s matter.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import AliasChoices, BaseModel, Field

import prompts
from tools.arguments import Arguments
from tools.base import Effect, ToolContext, ToolOutput
from tools.errors import ToolError
from tools.repo_map import RepoMap, render_file
from tools.syntax import language_of

MAX_CHARACTERS = 6_000
_MAX_OUTLINE = 300


class SymbolsArguments(Arguments):
    """Where to look and for which names."""

    path: str = Field(default=".", description="File or folder", validation_alias=AliasChoices("path", "file"))
    query: str = Field(default="", validation_alias=AliasChoices("query", "name", "symbol"))


class SymbolsTool:
    """Shows definitions; keeps the map of the last root in memory."""

    name = "symbols"
    arguments: type[BaseModel] = SymbolsArguments
    effect = Effect.READ

    def __init__(self) -> None:
        self._map: RepoMap | None = None
        self._lock = asyncio.Lock()

    @property
    def description(self) -> str:
        """For the model."""
        return prompts.load("tools/symbols")

    def summary(self, arguments: BaseModel) -> str:
        """One line for people."""
        assert isinstance(arguments, SymbolsArguments)
        return f"symbols of {arguments.path}" + (f" named {arguments.query}" if arguments.query else "")

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:
        """What would be shown; raises ToolError for a path that must not be read."""
        assert isinstance(arguments, SymbolsArguments)
        context.workspace.locate(arguments.path.strip() or ".")
        return self.summary(arguments)

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:
        """Show the outline or the map."""
        assert isinstance(arguments, SymbolsArguments)
        relative = context.workspace.locate(arguments.path.strip() or ".")
        async with self._lock:
            return ToolOutput(await asyncio.to_thread(self._show, relative, arguments.query, context.workspace.root))

    def _show(self, relative: str, query: str, root: Path) -> str:
        if self._map is None or self._map.root != root:
            self._map = RepoMap(root)
        target = root / relative
        if target.is_file():
            return self._outline(self._map, relative, query)
        if not target.is_dir():
            raise ToolError(f"{relative} does not exist; leave path out for the whole repository.")
        shown = self._map.render(MAX_CHARACTERS, query, relative)
        if not shown:
            named = f" named {query}" if query else ""
            return f"No definition{named} was found in {relative}; search the text with grep."
        return shown

    def _outline(self, repo_map: RepoMap, relative: str, query: str) -> str:
        if language_of(relative) is None:
            raise ToolError(f"{relative} is in a language without symbols here; search it with grep.")
        symbols = repo_map.outline(relative, query)
        if not symbols:
            return f"{relative} defines nothing{' named ' + query if query else ''}; read it or search it with grep."
        rest = len(symbols) - _MAX_OUTLINE
        more = f"\n... and {rest} more; use query." if rest > 0 else ""
        return render_file(relative, symbols[:_MAX_OUTLINE]) + more

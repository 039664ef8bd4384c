"""The grep tool: lines that fit a regular expression, searched by ripgrep, or in Python where that is missing.

Results are bounded and in order of paths; ignored files, binary files and files with secrets are left out.
"""

from __future__ import annotations

import asyncio

from pydantic import AliasChoices, BaseModel, Field

import prompts
from tools.arguments import Arguments
from tools.base import Effect, ToolContext, ToolOutput
from tools.errors import ToolError
from tools.files import ripgrep
from tools.globs import matcher
from tools.search import TIMEOUT_S, Found, Query, by_python, by_ripgrep


class GrepArguments(Arguments):
    """A pattern and where to look."""

    pattern: str = Field(validation_alias=AliasChoices("pattern", "regex", "query"))
    path: str = Field(default=".", description="File or folder", validation_alias=AliasChoices("path", "folder"))
    glob: str = Field(default="", description="Such as *.py", validation_alias=AliasChoices("glob", "include"))


class GrepTool:
    """Searches file contents. ``program`` is the ripgrep to use: looked up when None, none when empty."""

    name = "grep"
    arguments: type[BaseModel] = GrepArguments
    effect = Effect.READ

    def __init__(self, program: str | None = None) -> None:
        self._program = program

    @property
    def description(self) -> str:
        """For the model."""
        return prompts.load("tools/grep")

    def summary(self, arguments: BaseModel) -> str:
        """One line for people."""
        assert isinstance(arguments, GrepArguments)
        return f"search {arguments.pattern}" + (f" in {arguments.path}" if arguments.path != "." else "")

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:
        """What would be searched; raises ToolError for a path or a glob that cannot be."""
        assert isinstance(arguments, GrepArguments)
        _query(arguments, context)
        return self.summary(arguments)

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:
        """Search; a pattern that is no regular expression is taken literally, and the answer says so."""
        assert isinstance(arguments, GrepArguments)
        query = _query(arguments, context)
        note = ""
        found = await self._search(query)
        if found.problem:
            query, note = query.literally(), "(taken literally: it is not a valid regular expression)\n"
            found = await self._search(query)
        return ToolOutput(note + _told(arguments, found))

    async def _search(self, query: Query) -> Found:
        program = ripgrep(query.root) if self._program is None else self._program
        if program:
            return await asyncio.to_thread(by_ripgrep, query, program)
        return await asyncio.to_thread(by_python, query)


def _query(arguments: GrepArguments, context: ToolContext) -> Query:
    if not arguments.pattern or "\0" in arguments.pattern or len(arguments.pattern) > 5_000:
        raise ToolError("The pattern is empty or too long; give a short regular expression.")
    relative = context.workspace.locate(arguments.path.strip() or ".")
    target = context.workspace.root / relative
    if not (target.is_file() or target.is_dir()):
        raise ToolError(f"{relative} is no file or folder; leave path out to search everywhere.")
    if arguments.glob.strip():
        matcher(arguments.glob)
    return Query(context.workspace.root, arguments.pattern, relative, arguments.glob.strip(), False, context.cancelled)


def _told(arguments: GrepArguments, found: Found) -> str:
    if found.problem:
        raise ToolError(f"The search failed: {found.problem}. Change the pattern.")
    if found.late and not found.lines:
        raise ToolError(f"The search took longer than {TIMEOUT_S:g} s; narrow it with path or glob.")
    if not found.lines:
        where = f" in {arguments.path}" if arguments.path != "." else ""
        return f"No line fits {arguments.pattern}{where}{' in ' + arguments.glob if arguments.glob else ''}."
    more = (
        f"\n... the first {len(found.lines)} only; narrow it with path, glob or a longer pattern." if found.cut else ""
    )
    return "\n".join(found.lines) + more

"""The read tool: a bounded part of a text file with line numbers, or the list of a folder's files.

It changes nothing but the workspace's record of what the model has seen.
"""

from __future__ import annotations

import asyncio
import difflib
from pathlib import PurePosixPath

from pydantic import AliasChoices, BaseModel, Field

import prompts
from tools.arguments import Arguments
from tools.base import Effect, ToolContext, ToolOutput
from tools.errors import ToolError
from tools.files import list_files
from tools.text import decode, is_binary
from tools.truncate import numbered
from tools.workspace import Workspace

DEFAULT_LINES = 500
MAX_LINES = 2_000
MAX_CHARACTERS = 24_000
MAX_LISTED = 200


class ReadArguments(Arguments):
    """A path, and which lines of it."""

    path: str = Field(validation_alias=AliasChoices("path", "file_path", "filePath", "file"))
    offset: int = Field(default=1, description="First line", validation_alias=AliasChoices("offset", "start_line"))
    limit: int = Field(default=DEFAULT_LINES, description="Number of lines")


class ReadTool:
    """Shows files and folders."""

    name = "read"
    arguments: type[BaseModel] = ReadArguments
    effect = Effect.READ

    @property
    def description(self) -> str:
        """For the model."""
        return prompts.load("tools/read")

    def summary(self, arguments: BaseModel) -> str:
        """One line for people."""
        assert isinstance(arguments, ReadArguments)
        return f"read {arguments.path}" + (f" from line {arguments.offset}" if arguments.offset > 1 else "")

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:
        """What would be read; raises ToolError for a path that must not be."""
        assert isinstance(arguments, ReadArguments)
        context.workspace.locate(arguments.path)
        return self.summary(arguments)

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:
        """Read the file or list the folder."""
        assert isinstance(arguments, ReadArguments)
        return ToolOutput(await asyncio.to_thread(_read, arguments, context.workspace))


def _read(arguments: ReadArguments, workspace: Workspace) -> str:
    relative = workspace.locate(arguments.path)
    if (workspace.root / relative).is_dir():
        return _folder(relative, workspace)
    try:
        content = workspace.read(relative).content
    except FileNotFoundError as error:
        raise ToolError(_missing(relative, workspace)) from error
    if is_binary(content):
        raise ToolError(f"{relative} is a binary file of {len(content)} bytes; inspect it with bash if you must.")
    workspace.mark_seen(relative, content)
    if not content:
        return f"{relative} is empty."
    lines = decode(content).text.split("\n")
    if not lines[-1]:
        lines.pop()
    return _part(relative, [line.removesuffix("\r") for line in lines], arguments)


def _part(relative: str, lines: list[str], arguments: ReadArguments) -> str:
    """The wanted lines within the bounds, and how to get the rest."""
    first = max(1, arguments.offset)
    if first > len(lines):
        raise ToolError(f"{relative} has only {len(lines)} lines; use a smaller offset.")
    limit = min(MAX_LINES, arguments.limit if arguments.limit > 0 else DEFAULT_LINES)
    shown = numbered(lines[first - 1 : first - 1 + limit], first)
    if len(shown) > MAX_CHARACTERS:
        cut = shown.rfind("\n", 0, MAX_CHARACTERS)
        shown = shown[:cut]
    last = first + shown.count("\n")
    if first == 1 and last == len(lines):
        return shown
    more = f"; read on with offset {last + 1}" if last < len(lines) else ""
    return f"{shown}\n(lines {first}-{last} of {len(lines)}{more})"


def _folder(relative: str, workspace: Workspace) -> str:
    folder = workspace.root / relative
    names = list_files(folder)
    if not names:
        return f"{relative} has no files (ignored ones are not listed)."
    shown = "\n".join(names[:MAX_LISTED])
    rest = len(names) - MAX_LISTED
    return f"Files in {relative}:\n{shown}" + (f"\n... and {rest} more; read a folder in it." if rest > 0 else "")


def _missing(relative: str, workspace: Workspace) -> str:
    """That a file is missing, with names like it."""
    names = list_files(workspace.root)
    wanted = PurePosixPath(relative).name
    same = [name for name in names if PurePosixPath(name).name.lower() == wanted.lower()]
    like = same or difflib.get_close_matches(relative, names[:5_000], n=3, cutoff=0.6)
    if not like:
        by_name = {PurePosixPath(name).name: name for name in names[:5_000]}
        like = [by_name[name] for name in difflib.get_close_matches(wanted, list(by_name), n=3, cutoff=0.6)]
    if like:
        return f"{relative} does not exist; did you mean {', '.join(like[:3])}?"
    return f"{relative} does not exist; read . to list the files."

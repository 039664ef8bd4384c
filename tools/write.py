"""The write tool: creates a new file with its folders; existing ones are left to the edit tool."""

from __future__ import annotations

import asyncio

from pydantic import AliasChoices, BaseModel, Field

import prompts
from tools.arguments import Arguments
from tools.base import Effect, FileChange, ToolContext, ToolOutput
from tools.diff import unified_diff
from tools.errors import ToolError
from tools.syntax import check_change
from tools.workspace import MAX_FILE_BYTES


class WriteArguments(Arguments):
    """A path that does not exist yet, and what to put there."""

    path: str = Field(strict=True)
    content: str = Field(validation_alias=AliasChoices("content", "contents", "text", "file_text"))


class WriteTool:
    """Creates files."""

    name = "write"
    arguments: type[BaseModel] = WriteArguments
    effect = Effect.WRITE

    @property
    def description(self) -> str:
        """For the model."""
        return prompts.load("tools/write")

    def summary(self, arguments: BaseModel) -> str:
        """One line for people."""
        assert isinstance(arguments, WriteArguments)
        return f"write {arguments.path}"

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:
        """The new file as a unified diff; raises ToolError as ``run`` would."""
        assert isinstance(arguments, WriteArguments)
        relative, content = await asyncio.to_thread(_checked, arguments, context)
        return unified_diff(relative, None, content)

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:
        """Create the file. A syntax error in it is told and the file kept: writing it again would cost more."""
        assert isinstance(arguments, WriteArguments)
        relative, content = await asyncio.to_thread(_checked, arguments, context)
        check = await asyncio.to_thread(check_change, relative, None, arguments.content)
        with context.recorder.change(context.workspace.root / relative, None, content):
            context.workspace.write(relative, content, None)
        lines = arguments.content.count("\n") + (not arguments.content.endswith("\n") and bool(arguments.content))
        text = f"Created {relative} ({lines} lines)."
        if check.problems:
            text += " It has syntax errors; mend them with edit:\n" + "\n".join(map(str, check.problems))
        return ToolOutput(text, changes=(FileChange(relative, None, content),))


def _checked(arguments: WriteArguments, context: ToolContext) -> tuple[str, bytes]:
    """The real path and the bytes of the new file."""
    if arguments.path.endswith("/"):
        raise ToolError(f"{arguments.path} names a folder; name a file in it.")
    relative = context.workspace.locate(arguments.path, write=True)
    try:
        context.workspace.read(relative)
    except FileNotFoundError:
        pass
    else:
        raise ToolError(f"{relative} exists; read it and change it with edit, or choose another name.")
    try:
        content = arguments.content.encode("utf-8")
    except UnicodeEncodeError as error:
        bad = ascii(error.object[error.start])
        raise ToolError(f"The content holds {bad}, which is no character; write it otherwise.") from error
    if len(content) > MAX_FILE_BYTES:
        raise ToolError(f"The content is larger than {MAX_FILE_BYTES // 1_000_000} MB; write a smaller file.")
    return relative, content

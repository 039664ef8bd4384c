"""The real tools in a temporary workspace, called as the loop calls them, with a recorder that only remembers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tools.base import FileChange, Tool, ToolContext, ToolError, ToolOutput
from tools.registry import all_tools, close_tools
from tools.workspace import Workspace

T = TypeVar("T")


@dataclass
class MemoryRecorder:
    """Remembers each announced change and whether it was completed."""

    changes: list[tuple[Path, bytes | None, bytes | None]] = field(default_factory=list[Any])
    completed: int = 0

    @contextmanager
    def change(self, path: Path, before: bytes | None, after: bytes | None) -> Generator[None, None, None]:
        self.changes.append((path, before, after))
        yield
        self.completed += 1

    def begin_command(self, command: str) -> int:
        return 0

    def end_command(self, number: int, changes: Sequence[FileChange], complete: bool) -> None:
        self.changes += [(Path(each.path), each.before, each.after) for each in changes]


class Hands:
    """``call`` runs a tool and returns its output; ``refused`` expects a ToolError and returns its text."""

    def __init__(self, root: Path, tools: tuple[Tool, ...] | None = None) -> None:
        self.root = root
        self.tools = {tool.name: tool for tool in tools or all_tools()}
        self.recorder = MemoryRecorder()
        self.live: list[str] = []
        self.spoke = asyncio.Event()  # set by the first live output
        self.stop = False
        environment = {"PATH": os.environ["PATH"], "HOME": str(root)}
        self.context = ToolContext(
            Workspace(root), self.recorder, self._emit, lambda: self.stop, environment=environment
        )

    def _emit(self, text: str) -> None:
        self.live.append(text)
        self.spoke.set()

    async def run(self, name: str, arguments: dict[str, Any]) -> ToolOutput:
        tool = self.tools[name]
        return await tool.run(tool.arguments.model_validate(arguments), self.context)

    def call(self, name: str, **arguments: Any) -> ToolOutput:
        return self.do(self.run(name, arguments))

    def text(self, name: str, **arguments: Any) -> str:
        output = self.call(name, **arguments)
        assert not output.is_error, output.text
        return output.text

    def refused(self, name: str, **arguments: Any) -> str:
        try:
            output = self.call(name, **arguments)
        except ToolError as error:
            return str(error)
        raise AssertionError(f"{name} was not refused: {output.text}")

    def preview(self, name: str, **arguments: Any) -> str:
        tool = self.tools[name]
        return self.do(tool.preview(tool.arguments.model_validate(arguments), self.context))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, then end the background jobs that it left."""

        async def guarded() -> T:
            try:
                return await work
            finally:
                await close_tools(tuple(self.tools.values()))

        return asyncio.run(guarded())

    def put(self, name: str, content: bytes | str, read: bool = True) -> Path:
        """Create a file, and let the model read it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if read:
            self.call("read", path=name)
        return path


def names_in(folder: Path) -> list[str]:
    """The sorted names in a folder."""
    return sorted(path.name for path in folder.iterdir())

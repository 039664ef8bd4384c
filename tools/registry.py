"""Which tools there are, and which of them a small model gets.

The instances keep what belongs to one session (background jobs, parsed files): make them anew for each.
"""

from __future__ import annotations

from tools.base import Tool
from tools.bash import BashTool
from tools.edit import EditTool
from tools.glob import GlobTool
from tools.grep import GrepTool
from tools.read import ReadTool
from tools.symbols import SymbolsTool
from tools.todo import TodoTool
from tools.write import WriteTool

_SMALL = frozenset({"bash", "edit", "grep", "read", "write"})


def all_tools() -> tuple[Tool, ...]:
    """New instances of the eight tools, sorted by name."""
    return (BashTool(), EditTool(), GlobTool(), GrepTool(), ReadTool(), SymbolsTool(), TodoTool(), WriteTool())


def tools_for(small: bool) -> tuple[Tool, ...]:
    """The tools for a model: all, or for a ``small`` one the five that it can keep apart."""
    return tuple(tool for tool in all_tools() if not small or tool.name in _SMALL)


async def close_tools(tools: tuple[Tool, ...]) -> None:
    """End what the tools started: the background jobs."""
    for tool in tools:
        if isinstance(tool, BashTool):
            await tool.close()

"""The Tool protocol and what a tool is given to work with.

Whether a call may run at all is decided above, in ``agent.permissions``; a tool only does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from tools.changes import FileChange as FileChange
from tools.commands import CommandRunner, Unconfined
from tools.errors import ToolError as ToolError
from tools.workspace import Workspace


class Effect(StrEnum):
    """The most that a tool can do to the world; permissions are decided by it."""

    NONE = "none"  # changes nothing outside the session (todo)
    READ = "read"
    WRITE = "write"  # changes files in the workspace
    EXECUTE = "execute"  # runs a command


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a call came to: ``text`` for the model; ``changes`` and ``todos`` for the journal and the screen.

    A tool of effect WRITE records its ``changes`` itself (``ToolContext.recorder``), before it makes them. Those of
    effect EXECUTE only report them, and ``agent.toolset`` gives them to the journal; ``changes_complete`` says that
    nothing else in the workspace was changed. Where it is False, undo tells that it cannot take the command back.
    """

    text: str
    is_error: bool = False
    changes: tuple[FileChange, ...] = ()
    changes_complete: bool = False
    todos: tuple[tuple[str, str], ...] | None = None  # (text, status)


class ChangeRecorder(Protocol):
    """Remembers before-images: the context covers one atomic write, so that a crash in between can be undone."""

    def change(self, path: Path, before: bytes | None, after: bytes | None) -> AbstractContextManager[None]:
        """Record the intent on entry and its completion on exit; an exception inside leaves it open."""
        ...

    def begin_command(self, command: str) -> int:
        """Note durably that a command which may change files begins; the number to give to ``end_command``."""
        ...

    def end_command(self, number: int, changes: Sequence[FileChange], complete: bool) -> None:
        """Record what a command changed; unless that is ``complete``, also that it did something unknown."""
        ...


def _unheard(_: str) -> None:
    """Nobody asks for more than the result."""


@dataclass(slots=True)
class ToolContext:
    """What a running tool may use.

    ``emit`` takes pieces of live output; ``settled`` the beginning of the result's text, as far as it will not change
    any more, each time a longer one. ``cancelled`` is asked now and then; a true answer ends the work soon.
    ``environment`` is the complete environment of started commands, ``commands`` runs them; ``writes`` False keeps them
    from changing the workspace (plan mode, and commands that ran unasked because they only read).
    """

    workspace: Workspace
    recorder: ChangeRecorder
    emit: Callable[[str], None]
    cancelled: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    commands: CommandRunner = field(default_factory=Unconfined)
    writes: bool = True
    settled: Callable[[str], None] = _unheard


class Tool(Protocol):
    """One tool.

    Contract: ``run`` raises ToolError for anything the model can mend and returns bounded text; it never blocks the
    event
    loop for more than a moment. ``preview`` (for approvals) shows without doing: a unified diff, or the command,
    unabridged.
    """

    @property
    def name(self) -> str:
        """As the model writes it."""
        ...

    @property
    def description(self) -> str:
        """For the model; the text is a prompt file."""
        ...

    @property
    def arguments(self) -> type[BaseModel]:
        """The pydantic model that validates a call's arguments; its JSON schema is shown to the model."""
        ...

    @property
    def effect(self) -> Effect:
        """The most it can do."""
        ...

    def summary(self, arguments: BaseModel) -> str:
        """One line for people: what this call does."""
        ...

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:
        """What the call would do; raises ToolError as ``run`` would."""
        ...

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:
        """Do it."""
        ...

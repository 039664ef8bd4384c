"""Where commands run: the seam between the tools and whatever confines commands.

``tools.sandbox`` has the real one; here is the one that confines nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tools.changes import FileChange
from tools.launch import CommandLine, launcher
from tools.limits import Limits
from tools.process import Command, Completed


@dataclass(frozen=True, slots=True)
class Access:
    """What one command may do beyond reading: change the workspace, use the network."""

    writes: bool = True
    network: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended and what it left.

    ``changes`` are files that it changed and that can be restored, ``lost`` names those that cannot; ``notices`` are
    sentences on what was put back after it. ``watched``: there are no changes of the workspace but these.
    """

    completed: Completed
    changes: tuple[FileChange, ...] = ()
    lost: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    watched: bool = False


class RunningCommand(Protocol):
    """A started command. Contract: one of ``finish`` and ``end`` is called in the end; then nothing of it is alive."""

    @property
    def command(self) -> Command:
        """The process, and whether it runs. What it wrote is shown by ``output`` only."""
        ...

    @property
    def may_withhold(self) -> bool:
        """Whether the output may yet be withheld: then no part of it is certain before the end."""
        ...

    def output(self) -> str:
        """Head and tail of the output so far, as far as they may be shown."""
        ...

    async def finish(self, timeout_s: float, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Wait for its end, its time limit, or cancellation."""
        ...

    async def end(self) -> tuple[str, ...]:
        """Kill it, if it runs; notices as in ``Outcome``. Its changes to files are not recorded."""
        ...


class CommandRunner(Protocol):
    """Starts commands. Contract: raises ToolError when one cannot be started, or not be confined as it must be."""

    async def start(
        self, line: CommandLine, access: Access, emit: Callable[[str], None] | None = None
    ) -> RunningCommand:
        """Start a command; ``emit`` takes pieces of its output."""
        ...


class Unconfined:
    """Runs commands with all rights of this program: for tests, and for users who switch the sandbox off."""

    async def start(
        self, line: CommandLine, access: Access, emit: Callable[[str], None] | None = None
    ) -> RunningCommand:
        """Start it as it is; ``access`` cannot be enforced."""
        del access
        return _Running(await Command.start(launcher(line), emit, Limits()))


class _Running:
    def __init__(self, command: Command) -> None:
        self._command = command

    @property
    def command(self) -> Command:
        return self._command

    @property
    def may_withhold(self) -> bool:
        return False

    def output(self) -> str:
        return self._command.output()

    async def finish(self, timeout_s: float, cancelled: Callable[[], bool] | None = None) -> Outcome:
        return Outcome(await self._command.finish(timeout_s, cancelled))

    async def end(self) -> tuple[str, ...]:
        await self._command.kill()
        return ()

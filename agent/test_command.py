"""Runs the test command of ``agent fix`` and reads what it printed; it judges nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import TestCommandError
from agent.failures import TestRun, read_test_run
from tools.commands import Access, CommandRunner, Unconfined
from tools.errors import ToolError
from tools.launch import shell_line
from tools.process import End

# Python believes a compiled file whose source has the same size and the same whole second of change time, which two
# attempts easily have; so none are written.
_ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1"}
# pytest prints where a test is when it takes longer than this: for tests that hang.
_STACK_AFTER_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class TestCommand:
    """A command line for the shell, run in ``folder`` by ``commands`` for at most ``timeout`` seconds."""

    __test__ = False  # not a test case, whatever its name says to pytest

    command: str
    folder: Path
    environment: Mapping[str, str]
    timeout: float = 600.0
    commands: CommandRunner = field(default_factory=Unconfined)
    access: Access = field(default_factory=Access)

    async def run(self, seconds: float | None = None) -> TestRun:
        """One run of at most ``seconds``; raises TestCommandError when there is no way to start it."""
        limit = self.timeout if seconds is None else min(seconds, self.timeout)
        try:
            line = shell_line(self.command, self.folder, {**self.environment, **_ENVIRONMENT, **_stacks(limit)})
            running = await self.commands.start(line, self.access)
            done = (await running.finish(limit)).completed
        except ToolError as error:
            raise TestCommandError(f"The test command `{self.command}` cannot run: {error}") from error
        timed_out = done.end is End.TIMED_OUT
        code = done.code if done.end is End.EXITED else done.code or 1
        return read_test_run(self.command, code, done.output, done.seconds, timed_out=timed_out)


def _stacks(limit: float) -> dict[str, str]:
    """Options for pytest, should it be pytest; what the user set in the variable stays in force."""
    options = (
        f"{os.environ.get('PYTEST_ADDOPTS', '')} -o faulthandler_timeout={max(1.0, limit * _STACK_AFTER_SHARE):.0f}"
    )
    return {"PYTEST_ADDOPTS": options.strip()}

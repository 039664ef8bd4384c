"""The bash tool: one command line, in the foreground with a time limit or as a background job.

Whether the line may run is decided in ``agent.permissions``.
"""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

import prompts
from tools.arguments import Arguments
from tools.base import Effect, ToolContext, ToolOutput
from tools.jobs import Job, Jobs
from tools.process import Completed, End, run_command, shell_line
from tools.truncate import head_and_tail

DEFAULT_TIMEOUT_S = 120.0
MAX_TIMEOUT_S = 1_800.0
MAX_CHARACTERS = 12_000
_FIRST_LOOK_S = 0.5  # a job that fails at once is told at once


class BashArguments(Arguments):
    """A command, or the number of a background job to look at or end."""

    # The schema asks for a command: without one a small model's call would be empty.
    model_config = ConfigDict(json_schema_extra={"required": ["command"]})
    command: str = ""
    timeout: float = Field(default=DEFAULT_TIMEOUT_S, description="Seconds", allow_inf_nan=False)
    background: bool = Field(default=False, validation_alias=AliasChoices("background", "run_in_background"))
    job: str = ""
    kill: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> BashArguments:
        if not self.command.strip() and not self.job.strip():
            raise ValueError("give a command")
        return self


class BashTool:
    """Runs commands; owns the session's background jobs (``close`` ends them)."""

    name = "bash"
    arguments: type[BaseModel] = BashArguments
    effect = Effect.EXECUTE

    def __init__(self) -> None:
        self._jobs = Jobs()

    @property
    def description(self) -> str:
        """For the model."""
        return prompts.load("tools/bash")

    def summary(self, arguments: BaseModel) -> str:
        """One line for people."""
        assert isinstance(arguments, BashArguments)
        if arguments.job.strip():
            return f"{'end' if arguments.kill else 'look at'} background job {arguments.job}"
        return " ".join(arguments.command.split())

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:
        """The command, unabridged; raises ToolError for one that no shell can take."""
        assert isinstance(arguments, BashArguments)
        if arguments.job.strip():
            return self.summary(arguments)
        shell_line(arguments.command, context.workspace.root, context.environment)
        return arguments.command

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:
        """Run the command, or tell of a job."""
        assert isinstance(arguments, BashArguments)
        if arguments.job.strip():
            return await self._look(self._jobs.find(arguments.job), arguments.kill)
        line = shell_line(arguments.command, context.workspace.root, context.environment)
        if arguments.background:
            job = await self._jobs.start(arguments.command, line)
            await job.command.wait(_FIRST_LOOK_S)
            return await self._look(job, kill=False)
        timeout_s = min(MAX_TIMEOUT_S, arguments.timeout if arguments.timeout > 0 else DEFAULT_TIMEOUT_S)
        done = await run_command(line, timeout_s, context.emit, context.cancelled)
        return _told(done, timeout_s)

    async def close(self) -> None:
        """End all background jobs."""
        await self._jobs.close()

    async def _look(self, job: Job, kill: bool) -> ToolOutput:
        if kill:
            await job.command.kill()
        elif not job.command.running:
            await job.command.kill()  # collects the last output
        state = "is running" if job.command.running else f"ended with exit code {job.command.code}"
        output = _bounded(job.command.output())
        return ToolOutput(f"{output}\n(job {job.id} {'was stopped' if kill else state})")


def _told(done: Completed, timeout_s: float) -> ToolOutput:
    output = _bounded(done.output)
    if done.end is End.EXITED:
        return ToolOutput(f"{output}\n(exit code {done.code})", is_error=done.code != 0)
    why = {
        End.TIMED_OUT: f"stopped after {timeout_s:g} s; give a larger timeout, or run it in the background",
        End.CANCELLED: "stopped by the user",
        End.FLOODED: "stopped because it wrote too much; redirect its output to a file",
    }[done.end]
    return ToolOutput(f"{output}\n({why})", is_error=True)


def _bounded(output: str) -> str:
    return head_and_tail(output.strip("\n"), MAX_CHARACTERS) or "(no output)"

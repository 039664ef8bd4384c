"""The bash tool: one command line, in the foreground with a time limit or as a background job.

Whether the line may run is decided in ``agent.permissions``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

import prompts
from tools.arguments import Arguments
from tools.base import Effect, ToolContext, ToolOutput
from tools.commands import Access, Outcome, RunningCommand
from tools.jobs import Job, Jobs
from tools.launch import shell_line
from tools.process import Completed, End
from tools.truncate import certain_head, head_and_tail

DEFAULT_TIMEOUT_S = 120.0
MAX_TIMEOUT_S = 1_800.0
MAX_CHARACTERS = 12_000
_NAMES_SHOWN = 8
_SETTLED_EVERY_S = 0.5
_FIRST_LOOK_S = 0.5  # a job that fails at once is told at once


class BashArguments(Arguments):
    """A command, or the number of a background job to look at or end."""

    # The schema asks for a command: without one a small model's call would be empty.
    model_config = ConfigDict(json_schema_extra={"required": ["command"]})
    command: str = ""
    timeout: float = Field(default=DEFAULT_TIMEOUT_S, description="Seconds", allow_inf_nan=False)
    network: bool = False
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
        access = Access(writes=context.writes, network=arguments.network)
        if arguments.background:
            job = await self._jobs.start(arguments.command, lambda: context.commands.start(line, access))
            await job.running.command.wait(_FIRST_LOOK_S)
            return await self._look(job, kill=False)
        timeout_s = min(MAX_TIMEOUT_S, arguments.timeout if arguments.timeout > 0 else DEFAULT_TIMEOUT_S)
        running = await context.commands.start(line, access, context.emit)
        telling = asyncio.create_task(_tell_settled(running, context.settled))
        try:
            outcome = await running.finish(timeout_s, context.cancelled)
        finally:
            telling.cancel()
        return _told(outcome, timeout_s)

    async def close(self) -> None:
        """End all background jobs."""
        await self._jobs.close()

    async def _look(self, job: Job, kill: bool) -> ToolOutput:
        command = job.running.command
        notices: tuple[str, ...] = ()
        if kill or not command.running:
            notices = await job.running.end()  # collects the last output, too
        state = "is running" if command.running else f"ended with exit code {command.code}"
        output = _bounded(job.running.output())
        said = "".join(f"\n({notice})" for notice in notices)
        return ToolOutput(f"{output}\n(job {job.id} {'was stopped' if kill else state}){said}")


async def _tell_settled(running: RunningCommand, settled: Callable[[str], None]) -> None:
    """Tell, until cancelled, which beginning of the result is certain already."""
    told = 0
    while not running.may_withhold:
        await asyncio.sleep(_SETTLED_EVERY_S)
        certain = certain_head(running.output().lstrip("\n"), MAX_CHARACTERS)
        if len(certain) > told:
            told = len(certain)
            settled(certain)


def _told(outcome: Outcome, timeout_s: float) -> ToolOutput:
    done = outcome.completed
    text = f"{_bounded(done.output)}\n({_ending(done, timeout_s)})" + "".join(f"\n({each})" for each in outcome.notices)
    if outcome.lost:
        text += f"\n(undo will not restore {_names(outcome.lost)})"
    is_error = done.end is not End.EXITED or done.code != 0
    complete = outcome.watched and not outcome.lost
    return ToolOutput(text, is_error, outcome.changes, changes_complete=complete)


def _ending(done: Completed, timeout_s: float) -> str:
    if done.end is End.EXITED:
        return f"exit code {done.code}"
    return {
        End.TIMED_OUT: f"stopped after {timeout_s:g} s; give a larger timeout, or run it in the background",
        End.CANCELLED: "stopped by the user",
        End.FLOODED: "stopped because it wrote too much; redirect its output to a file",
        End.OVERRUN: f"stopped because {done.overrun}",
    }[done.end]


def _names(paths: tuple[str, ...]) -> str:
    shown = ", ".join(paths[:_NAMES_SHOWN])
    return shown if len(paths) <= _NAMES_SHOWN else f"{shown} and {len(paths) - _NAMES_SHOWN} more"


def _bounded(output: str) -> str:
    return head_and_tail(output.strip("\n"), MAX_CHARACTERS) or "(no output)"

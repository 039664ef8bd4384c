"""Commands that go on in the background while the model works, each with a number.

They end with ``close`` or with the program, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tools.commands import RunningCommand
from tools.errors import ToolError

MAX_RUNNING = 8


@dataclass(frozen=True, slots=True)
class Job:
    """A background command: its number, its line as the model wrote it, and the command itself."""

    id: str
    line: str
    running: RunningCommand


class Jobs:
    """Owner of a session's background jobs."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    async def start(self, line: str, start: Callable[[], Awaitable[RunningCommand]]) -> Job:
        """Start a job with ``start``; raises ToolError when too many are running."""
        if sum(job.running.command.running for job in self._jobs.values()) >= MAX_RUNNING:
            raise ToolError(f"{MAX_RUNNING} background jobs are running; stop one with kill first.")
        job = Job(str(len(self._jobs) + 1), line, await start())
        self._jobs[job.id] = job
        return job

    def find(self, job_id: str) -> Job:
        """The job with this number; raises ToolError that lists the known ones."""
        job = self._jobs.get(job_id.strip().lstrip("%"))
        if job is None:
            known = ", ".join(self._jobs) or "none"
            raise ToolError(f"There is no background job {job_id}; known jobs: {known}.")
        return job

    async def close(self) -> None:
        """End all jobs."""
        for job in self._jobs.values():
            await job.running.end()

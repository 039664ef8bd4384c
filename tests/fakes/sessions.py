"""Builds Sessions on a ScriptedModel and real tools in a temporary folder; and a tool that fails as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent.approvals import Approvals
from agent.compaction import Compactor, Opening
from agent.events import AgentEvent
from agent.journal import Journal
from agent.permissions import Mode, Rules
from agent.session import Session, SessionParts
from agent.toolset import Surroundings, Toolset
from agent.transcript import Transcript, TranscriptLog
from tests.fakes.scripted_model import ScriptedModel
from tools.base import Effect, Tool, ToolContext, ToolError, ToolOutput
from tools.workspace import Workspace


class NoteArguments(BaseModel):
    """Arguments of the fake tools."""

    model_config = ConfigDict(extra="forbid")

    text: str
    times: int = 1


@dataclass
class FakeTool:
    """A tool that answers with its text; ``fault`` is raised, ``gate`` is waited for (or until cancelled)."""

    name: str = "note"
    effect: Effect = Effect.NONE
    description: str = "Takes a note."
    fault: Exception | None = None
    gate: asyncio.Event | None = None
    ran: list[NoteArguments] = field(default_factory=list[NoteArguments])

    @property
    def arguments(self) -> type[BaseModel]:
        return NoteArguments

    def summary(self, arguments: BaseModel) -> str:
        return f"note {arguments}"

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:
        return "a note"

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:
        assert isinstance(arguments, NoteArguments)
        self.ran.append(arguments)
        context.emit("live")
        while self.gate is not None and not self.gate.is_set():
            if context.cancelled():
                raise ToolError("stopped half-way")
            await asyncio.sleep(0.005)
        if self.fault is not None:
            raise self.fault
        return ToolOutput(f"noted {arguments.text}")


@dataclass
class Stage:
    """What a test session is made with."""

    root: Path
    tools: Sequence[Tool] = ()
    mode: Mode = Mode.YOLO
    rules: Rules = field(default_factory=Rules)
    interactive: bool = False
    preface: str = ""
    log: TranscriptLog | None = None
    journal: Path | None = None

    def session(self, model: ScriptedModel) -> Session:
        """A session on the stage."""
        workspace = Workspace(self.root)
        journal = Journal(self.journal, "test-session", workspace)
        approvals = Approvals(self.mode, self.rules, interactive=self.interactive)
        toolset = Toolset(self.tools, approvals, Surroundings(workspace, journal, {"PATH": "/usr/bin:/bin"}))
        opening = Opening("You help.", self.preface)
        transcript = Transcript(model.open(opening.system, toolset.specs()), self.log)
        return Session(
            SessionParts(
                id="test-session",
                model=model,
                workspace=workspace,
                transcript=transcript,
                toolset=toolset,
                approvals=approvals,
                compactor=Compactor(model, opening, transcript, toolset),
                journal=journal,
                preface=self.preface,
            )
        )


async def collect(events: AsyncIterator[AgentEvent]) -> list[AgentEvent]:
    """All events of a run."""
    return [event async for event in events]

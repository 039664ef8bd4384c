"""Carries out the model's tool calls: find, validate, ask, run; every failure becomes a ToolResult.

It decides no permissions (``agent.approvals``) and does no work itself (``tools``).
"""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from agent.approvals import Approvals, Question
from agent.commands import changing_command, commits
from agent.diffs import file_changed
from agent.errors import StoreError
from agent.events import (
    AgentEvent,
    Notice,
    TodoItem,
    TodosChanged,
    ToolFinished,
    ToolOutputStreamed,
    ToolStarted,
)
from agent.messages import ToolCall, ToolResultMessage, ToolSpec
from agent.permissions import Mode, Verdict
from tools.base import ChangeRecorder, Effect, Tool, ToolContext, ToolError, ToolOutput
from tools.commands import CommandRunner, Unconfined
from tools.schema import json_schema
from tools.workspace import Workspace

log = logging.getLogger(__name__)

Emit = Callable[[AgentEvent], None]


def _unheard(_: str) -> None:
    """Nobody wants to know the beginning of a result."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What tools work in: the folder, who remembers before-images, the environment of commands and who runs them."""

    workspace: Workspace
    recorder: ChangeRecorder
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    commands: CommandRunner = field(default_factory=Unconfined)


class Toolset:
    """The tools of one session.

    ``shown`` False keeps them from the model, while ``run`` still carries out calls. ``paths_read`` and
    ``paths_written`` are what succeeded calls named as ``path``, oldest first; compaction lists them for the model.
    """

    def __init__(
        self, tools: Sequence[Tool], approvals: Approvals, surroundings: Surroundings, *, shown: bool = True
    ) -> None:
        self._tools = {tool.name: tool for tool in sorted(tools, key=lambda tool: tool.name)}
        self._approvals = approvals
        self._surroundings = surroundings
        self._shown = shown
        self.paths_read: dict[str, None] = {}
        self.paths_written: dict[str, None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Tool names, sorted."""
        return tuple(self._tools)

    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools as the model is told of them, sorted by name so that the prompt never changes."""
        if not self._shown:
            return ()
        return tuple(ToolSpec(tool.name, tool.description, json_schema(tool)) for tool in self._tools.values())

    async def run(
        self, call: ToolCall, emit: Emit, cancelled: Callable[[], bool], settled: Callable[[str], None] = _unheard
    ) -> ToolResultMessage:
        """Carry out one call; never raises for what the call asks for.

        ``settled`` hears, while a tool works, the beginning of its result that will not change any more.
        """
        started = time.monotonic()
        try:
            output = await self._attempt(call, emit, cancelled, settled)
        except ToolError as error:
            output = ToolOutput(str(error), is_error=True)
        except StoreError as error:  # the journal could not record the intent, so nothing was changed
            emit(Notice(str(error), is_error=True))
            output = ToolOutput(f"The change was not made: {error}", is_error=True)
        except Exception as error:
            log.exception("tool %s failed with %r", call.name, dict(call.arguments))
            emit(
                Notice(
                    f"The tool {call.name} has a fault of its own ({type(error).__name__}); agent.log has the details.",
                    True,
                )
            )
            output = ToolOutput(f"Internal error in {call.name}; try another way.", is_error=True)
        emit(ToolFinished(call.id, call.name, output.text, output.is_error, time.monotonic() - started))
        for change in output.changes:
            emit(file_changed(change))
        if output.todos is not None:
            emit(TodosChanged(tuple(TodoItem(text, status) for text, status in output.todos)))
        return ToolResultMessage(call.id, call.name, output.text, output.is_error)

    async def _attempt(
        self, call: ToolCall, emit: Emit, cancelled: Callable[[], bool], settled: Callable[[str], None]
    ) -> ToolOutput:
        tool = self._find(call)
        arguments = _validate(tool, call)
        context = ToolContext(
            workspace=self._surroundings.workspace,
            recorder=self._surroundings.recorder,
            emit=lambda text: emit(ToolOutputStreamed(call.id, text)),
            settled=settled,
            cancelled=cancelled,
            environment=dict(self._surroundings.environment),
            commands=self._surroundings.commands,
        )
        await self._permit(tool, call, (arguments, context), emit)
        emit(ToolStarted(call, tool.summary(arguments)))
        if tool.effect is Effect.EXECUTE and (command := changing_command(call)) is not None:
            output = await self._recorded(command, tool.run(arguments, context))
        else:
            output = await tool.run(arguments, context)
        self._note_path(tool, call, output)
        return output

    async def _recorded(self, command: str, work: Coroutine[Any, Any, ToolOutput]) -> ToolOutput:
        """Run a command that may change files, for undo to know of it however it ends."""
        recorder = self._surroundings.recorder
        try:
            number = recorder.begin_command(command)
        except StoreError:
            work.close()
            raise
        try:
            output = await work
        except BaseException as error:
            recorder.end_command(number, (), complete=isinstance(error, ToolError))  # then it did not even begin
            raise
        recorder.end_command(number, output.changes, output.changes_complete and not commits(command))
        return output

    def _find(self, call: ToolCall) -> Tool:
        if call.error is not None:
            raise ToolError(f"The call could not be read: {call.error}. Write it again, complete and well-formed.")
        if tool := self._tools.get(call.name):
            return tool
        close = difflib.get_close_matches(call.name, self._tools, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]}?" if close else f"The tools are: {', '.join(self._tools)}."
        raise ToolError(f"There is no tool named {call.name}. {hint}")

    async def _permit(self, tool: Tool, call: ToolCall, prepared: tuple[BaseModel, ToolContext], emit: Emit) -> None:
        """Raises ToolError with the reason when the call may not run."""
        arguments, context = prepared
        ruling = self._approvals.rule(self._as_understood(call, tool.effect, arguments), tool.effect)
        context.writes = not ruling.reads_only and self._approvals.mode is not Mode.PLAN
        refusal: str | None = None
        if ruling.verdict is Verdict.DENY:
            refusal = f"Not allowed: {ruling.reason}."
        elif ruling.verdict is Verdict.ASK:
            question = Question(call, tool.effect, await tool.preview(*prepared))
            refusal = await self._approvals.ask(question, ruling, emit)
        if refusal is not None:
            raise ToolError(refusal)

    def _as_understood(self, call: ToolCall, effect: Effect, arguments: BaseModel) -> ToolCall:
        """The call as the rules judge it: a command as the tool will run it, a path with its links resolved."""
        if effect is Effect.EXECUTE:
            return replace(call, arguments={**call.arguments, **arguments.model_dump()})
        path = call.arguments.get("path")
        if effect is not Effect.WRITE or not isinstance(path, str):
            return call
        real = self._surroundings.workspace.locate(path, write=True)
        return replace(call, arguments={**call.arguments, "path": real})

    def _note_path(self, tool: Tool, call: ToolCall, output: ToolOutput) -> None:
        for change in output.changes:
            self.paths_written[change.path] = None
        path = call.arguments.get("path")
        if tool.effect is Effect.READ and isinstance(path, str) and not output.is_error:
            located = self._surroundings.workspace.locate(path)
            if (self._surroundings.workspace.root / located).is_file():
                self.paths_read[located] = None


def _validate(tool: Tool, call: ToolCall) -> BaseModel:
    try:
        return tool.arguments.model_validate(dict(call.arguments))
    except ValidationError as error:
        problems = "; ".join(_describe(each["loc"], each["msg"], each["type"]) for each in error.errors()[:4])
        known = ", ".join(_signature(tool))
        raise ToolError(f"{tool.name}: {problems}. Its arguments are: {known}.") from error


def _describe(location: tuple[int | str, ...], message: str, kind: str) -> str:
    """``path: is missing``; the location as the model would write it."""
    field_name = ".".join(str(part) for part in location) or "the arguments"
    if kind == "missing":
        return f"{field_name} is missing"
    if kind == "extra_forbidden":
        return f"{field_name} is not an argument"
    return f"{field_name}: {message[:1].lower()}{message[1:]}"


def _signature(tool: Tool) -> list[str]:
    schema = json_schema(tool)
    properties = cast("dict[str, dict[str, object]]", schema.get("properties", {}))
    required = cast("list[str]", schema.get("required", []))
    return [
        f"{name} ({each.get('type', 'value')}{'' if name in required else ', optional'})"
        for name, each in properties.items()
    ]

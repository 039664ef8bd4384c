"""Tool calls of the user's own: a shell line, a file for the model, a repair that was found; typing them allows them.

The model is told with the next message; what it may do itself is not decided here.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agent.diffs import file_changed
from agent.errors import StoreError
from agent.events import AgentEvent, ApprovalRequested
from agent.fix import FixOutcome
from agent.fix_summary import summarise
from agent.messages import ToolCall, ToolResultMessage
from agent.permissions import Decision
from agent.repair import restoring_calls
from agent.session import Session
from prompts import load
from tools.base import FileChange


class Shown(Protocol):
    """Where what happens is shown."""

    def take(self, event: AgentEvent) -> None:
        """Show an event."""
        ...

    def say(self, text: str, *, is_error: bool = False, quiet: bool = False) -> None:
        """Say a sentence."""
        ...


class OwnCalls:
    """Carries them out on the session that is open."""

    def __init__(self, session: Callable[[], Session | None], shown: Shown) -> None:
        self._session = session
        self._shown = shown
        self._running: set[str] = set()
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether one is being carried out."""
        return bool(self._running)

    def cancel(self) -> None:
        """End what is being carried out."""
        self._stopped = True

    async def shell(self, command: str) -> None:
        """Run the user's own command."""
        result = await self._call("bash", {"command": command})
        self._tell(result, lambda text: load("user_command", command=command, output=text))

    async def attach_file(self, path: str) -> None:
        """Read a file for the model."""
        result = await self._call("read", {"path": path})
        self._tell(result, lambda text: load("user_file", path=path, text=text))

    async def apply(self, outcome: FixOutcome) -> None:
        """Make the changes that a repair came to, in the open session, so that undo and rewind know of them."""
        said = summarise(outcome, dry_run=False)
        trouble = await self._make(outcome.changes) if outcome.green else None
        if trouble is not None:
            self._shown.say(f"The repair was found and could not be kept: {trouble}", is_error=True)
            return
        undo = " /undo takes it back." if outcome.green and outcome.changes else ""
        self._shown.say(f"{said}{undo}")
        diff = "".join(file_changed(change).diff for change in outcome.changes) if outcome.green else ""
        if (session := self._session()) is not None:
            session.add_context(load("user_fix", command=outcome.first.command, said=said, diff=diff))

    async def _make(self, changes: Sequence[FileChange]) -> str | None:
        """Change the files; what went wrong, if something did."""
        for call in restoring_calls(changes):
            result = await self._call(call.name, call.arguments, seen=False)
            if result is None or result.is_error:
                return "it is not ready" if result is None else result.text
        return None

    def _tell(self, result: ToolResultMessage | None, text_of: Callable[[str], str]) -> None:
        session = self._session()
        if result is not None and session is not None:
            session.add_context(text_of(result.text))

    async def _call(self, name: str, arguments: Mapping[str, object], *, seen: bool = True) -> ToolResultMessage | None:
        session = self._session()
        if session is None:
            self._shown.say("The model is not ready yet; try again in a moment.", quiet=True)
            return None
        call = ToolCall(f"user-{secrets.token_hex(4)}", name, dict(arguments))
        self._running.add(call.id)
        self._stopped = False

        def emit(event: AgentEvent) -> None:
            if isinstance(event, ApprovalRequested):
                # The request is open only once the asking coroutine waits for its answer.
                asyncio.get_running_loop().call_soon(session.answer, event.request_id, Decision.ALLOW)
            elif seen:
                self._shown.take(event)

        try:
            return await session.run_tool(call, emit, lambda: self._stopped)
        except StoreError as error:
            self._shown.say(str(error), is_error=True)
            return None
        finally:
            self._running.discard(call.id)

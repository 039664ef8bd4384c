"""Session: one conversation; submit, steer, cancel, answer, rewind, undo.

A door and nothing more: the loop, the tools, the transcript and the journal each have their own module.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.approvals import Approvals
from agent.compaction import Compactor
from agent.errors import AgentError, UsageError
from agent.events import AgentEvent, Notice, RunEnd, RunFinished, RunStarted, SessionStarted, Steered
from agent.journal import Journal
from agent.loop import run_turns
from agent.messages import Message, ToolCall, ToolResultMessage, UserMessage
from agent.model import Model
from agent.permissions import Decision, Mode, Rules
from agent.restore import UndoReport
from agent.rewind import Mark, Rewinder, RewindPoint
from agent.run import Run, RunOptions, RunParts
from agent.store import SessionStore
from agent.toolset import Toolset
from agent.transcript import Transcript
from inference.errors import EngineError
from tools.base import FileChange
from tools.errors import ToolError
from tools.workspace import Workspace


async def _nothing() -> None:
    """Nothing is left to close."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What a session is made of; ``agent.assembly`` puts it together.

    ``preface`` is read by the model before the first user message: instructions and environment. ``close`` frees
    what the parts hold. ``store`` is where the session is kept, if it is. With ``read_ahead`` the model reads while the
    user does, so that nothing but the next message is left to be read.
    """

    id: str
    model: Model
    workspace: Workspace
    transcript: Transcript
    toolset: Toolset
    approvals: Approvals
    compactor: Compactor
    journal: Journal
    preface: str = ""
    store: SessionStore | None = None
    read_ahead: bool = False
    close: Callable[[], Awaitable[None]] = _nothing


class Session:
    """One conversation; one run at a time."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts
        self._rewinder = Rewinder(parts.transcript, parts.journal, parts.model)
        self._run: Run | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._context: list[str] = []

    @property
    def id(self) -> str:
        """Short and readable; unique."""
        return self._parts.id

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything said so far."""
        return self._parts.transcript.messages

    @property
    def running(self) -> bool:
        """Whether a run is in progress."""
        return self._run is not None

    @property
    def mode(self) -> Mode:
        """How much may happen without a question; settable at any time."""
        return self._parts.approvals.mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._parts.approvals.mode = mode

    @property
    def rules(self) -> Rules:
        """What the user settled beforehand; settable at any time."""
        return self._parts.approvals.rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._parts.approvals.rules = rules

    @property
    def workspace(self) -> Workspace:
        """The folder that is worked on."""
        return self._parts.workspace

    @property
    def token_count(self) -> int:
        """Tokens of context in use."""
        return self._parts.transcript.token_count

    def count(self, text: str) -> int:
        """Exact number of tokens of plain text, for this model."""
        return self._parts.transcript.conversation.count(text)

    def started(self) -> SessionStarted:
        """The event that introduces the session."""
        info, parts = self._parts.model.info, self._parts
        root = str(parts.workspace.root)
        return SessionStarted(parts.id, info.name, info.context_tokens, root, self.mode.value, parts.toolset.names)

    async def submit(self, text: str, options: RunOptions | None = None) -> AsyncGenerator[AgentEvent]:
        """Work on a user message; yields events from RunStarted to RunFinished.

        What goes wrong in the world (AgentError, EngineError) becomes an error Notice and ``RunEnd.ERROR``. Closing
        the iterator early cancels the run and waits until it has ended. Raises UsageError while another run goes on.
        """
        if self._run is not None:
            raise UsageError("A run is in progress; steer it, or cancel it first.")
        events: asyncio.Queue[AgentEvent | None] = asyncio.Queue()
        options = options or RunOptions()

        def emit(event: AgentEvent) -> None:
            if isinstance(event, Steered):
                self._rewinder.note_message(event.message_id)
            events.put_nowait(event)

        parts = RunParts(
            self._parts.transcript, self._parts.toolset, self._parts.compactor, emit, self._parts.model.start
        )
        self._run = run = Run(parts, options)
        self._idle.clear()
        task = asyncio.create_task(self._work(run, text, options.limits.seconds, events))
        try:
            while (event := await events.get()) is not None:
                yield event
            await task
        finally:
            if not task.done():
                self.cancel()
                await task

    def steer(self, text: str) -> str:
        """Give the running model a message with its next turn; the message's id. Raises UsageError when idle."""
        if self._run is None:
            raise UsageError("Nothing is running; submit the message instead.")
        message = UserMessage(_new_id(), text)
        self._run.steer(message)
        return message.id

    def cancel(self) -> None:
        """End the run soon and keep what was done; does nothing when idle."""
        self._stop(RunEnd.CANCELLED)

    def answer(self, request_id: str, decision: Decision, note: str = "") -> bool:
        """Answer an ApprovalRequested; False when it is not open. ``note`` tells the model why not."""
        return self._parts.approvals.answer(request_id, decision, note)

    def add_context(self, text: str) -> None:
        """Text that the model reads before the next submitted message."""
        self._context.append(text)

    def show_file(self, path: str, content: bytes) -> None:
        """The next message shows code of a file whose content is this: it counts as read, so it may be edited.

        Where the file has another content by then, it has to be read again, as after any read.
        """
        with contextlib.suppress(ToolError):
            self._parts.workspace.mark_seen(self._parts.workspace.locate(path), content)

    def point_at(self, place: tuple[str, int, str] | None) -> None:
        """As ``Workspace.point_at``: edits whose quotation fits several places mean the one in this line."""
        self._parts.workspace.point_at(place)

    async def run_tool(
        self, call: ToolCall, emit: Callable[[AgentEvent], None], cancelled: Callable[[], bool] = _never
    ) -> ToolResultMessage:
        """Carry out one call as if the model had made it: same checks, journal and events; the model is not told."""
        return await self._parts.toolset.run(call, emit, cancelled)

    async def compact(self, focus: str = "") -> AsyncGenerator[AgentEvent]:
        """Summarise the conversation now; yields CompactionFinished or a Notice. Raises UsageError during a run."""
        self._require_idle()
        events: list[AgentEvent] = []
        await self._parts.model.start()
        await self._parts.compactor.compact(events.append, focus)
        for event in events:
            yield event

    def prepare(self) -> None:
        """Have the model read in the background what the next message follows, where that is wanted."""
        if self._parts.read_ahead and self._run is None:
            self._parts.transcript.prepare(self._beginning())

    def checkpoint(self) -> Mark:
        """The point that is now, for ``rewind_to``."""
        return self._rewinder.mark()

    def rewind_to(self, mark: Mark, *, files: bool = True, conversation: bool = True) -> UndoReport:
        """Go back to a point: our own file changes since are taken back, the conversation forgets what followed.

        When a file was changed by someone else since, nothing happens at all and the report says which.
        """
        self._require_idle()
        return self._rewinder.rewind_to(mark, files=files, conversation=conversation)

    @property
    def rewind_points(self) -> tuple[RewindPoint, ...]:
        """The points before the user's messages, the latest first."""
        return self._rewinder.points()

    def preview_rewind(self, message_id: str) -> UndoReport:
        """What ``rewind`` would do to files now; raises UsageError when the message is unknown."""
        return self._rewinder.preview(message_id)

    def rewind(self, message_id: str, *, files: bool = True, conversation: bool = True) -> UndoReport:
        """Go back to before a user message, as ``rewind_to`` does; raises UsageError when it is unknown."""
        self._require_idle()
        return self._rewinder.rewind(message_id, files=files, conversation=conversation)

    def undo(self) -> UndoReport:
        """Take back the file changes of the latest run that has any; the conversation stays."""
        self._require_idle()
        return self._rewinder.undo()

    def redo(self) -> UndoReport:
        """Take back the latest undo or rewind; nothing is left to redo once something new was said or changed."""
        self._require_idle()
        return self._rewinder.redo()

    def changes_since(self, mark: Mark) -> Sequence[FileChange]:
        """What became of each file since a point."""
        return self._parts.journal.net_changes(mark.journal)

    def rename(self, title: str) -> None:
        """Give the session another title; raises UsageError when it is not kept, StoreError."""
        self._store().rename(self.id, title)

    def fork(self) -> str:
        """Copy the session as it is now; the copy's id, to be opened in its place. Raises as ``rename`` does."""
        self._require_idle()
        return self._store().fork(self.id)

    def export(self) -> Iterator[str]:
        """The session as JSON lines; raises as ``rename`` does."""
        return self._store().export(self.id)

    async def close(self, *, keep_model: bool = False) -> None:
        """End a run, close tools, files and model; ``keep_model`` leaves that loaded for another session."""
        self.cancel()
        await self._idle.wait()  # a tool may need a moment to hand over what it has
        await self._parts.close()
        self._parts.journal.close()
        if not keep_model:
            await self._parts.model.close()

    def _stop(self, end: RunEnd) -> None:
        if self._run is not None:
            self._run.stop(end)
            self._parts.approvals.abandon()

    def _store(self) -> SessionStore:
        if self._parts.store is None:
            raise UsageError("This session is not kept, so it can be neither renamed, copied nor exported.")
        return self._parts.store

    def _require_idle(self) -> None:
        if self._run is not None:
            raise UsageError("A run is in progress; cancel it first.")

    async def _work(self, run: Run, text: str, seconds: float | None, events: asyncio.Queue[AgentEvent | None]) -> None:
        """The run itself; ends with None in the queue, whatever happens."""
        clock = None
        if seconds is not None:
            clock = asyncio.get_running_loop().call_later(seconds, self._stop, RunEnd.LIMIT)
        try:
            message = UserMessage(_new_id(), text)
            self._rewinder.begin_run(message.id)
            events.put_nowait(RunStarted(message.id, text))
            end = await self._carry_out(run, message, events.put_nowait)
            if trouble := self._parts.transcript.take_trouble():
                events.put_nowait(Notice(trouble, is_error=True))
            events.put_nowait(RunFinished(end, run.answer, run.turns, run.seconds, run.usage))
        finally:
            if clock is not None:
                clock.cancel()
            self._run = None  # idle before anyone can read RunFinished: they may rewind at once
            self._idle.set()
            events.put_nowait(None)
        self.prepare()

    async def _carry_out(self, run: Run, message: UserMessage, emit: Callable[[AgentEvent], None]) -> RunEnd:
        try:
            await self._parts.model.start()  # its process may have ended since the last run
            self._parts.transcript.add_user(message, self._beginning())
            self._context.clear()
            return await run_turns(run)
        except (AgentError, EngineError) as error:
            emit(Notice(str(error), is_error=True))
            return RunEnd.ERROR

    def _beginning(self) -> str:
        """What stands before the text of the next message."""
        preface = "" if self.messages else self._parts.preface
        return preface + "".join(f"{each}\n\n" for each in self._context)


def _new_id() -> str:
    return f"msg-{secrets.token_hex(4)}"

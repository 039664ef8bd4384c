"""Drives one session for the screen: submits, steers, queues, answers, interrupts; keeps the ViewState.

It knows no widget: whoever shows the state is told that it changed.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from agent.clean import clean
from agent.errors import AgentError
from agent.events import AgentEvent, Notice, RunEnd, RunFinished, RunStarted, SessionStarted, Steered
from agent.journal import UndoReport
from agent.messages import Usage
from agent.own_calls import OwnCalls
from agent.permissions import Decision, Mode
from agent.run import RunOptions
from agent.session import Session
from inference.errors import EngineError
from tui import presenter
from tui.history_entries import with_messages
from tui.view_state import Entry, Pending, Prompted, ViewState

Changed = Callable[[AgentEvent | None], None]
T = TypeVar("T")


class Conductor:
    """One session at a time, or none yet: what is submitted before is kept and sent then.

    ``changed`` is called after each change of ``state``, with the event that brought it where there was one.
    """

    def __init__(self, changed: Changed, clock: Callable[[], float] = time.monotonic) -> None:
        self._changed = changed
        self._clock = clock
        self._session: Session | None = None
        self._options = RunOptions()
        self._apart: asyncio.Future[Any] | None = None
        self.own_calls = OwnCalls(lambda: self._session, self)
        self.state = ViewState()
        self.returned: list[str] = []  # steering messages that a run did not take any more

    @property
    def session(self) -> Session | None:
        """The session that is open."""
        return self._session

    @property
    def now(self) -> float:
        """The fold's clock."""
        return self._clock()

    def attach(self, session: Session, options: RunOptions, notices: tuple[str, ...] = ()) -> None:
        """Show and drive this session from now on; messages that waited are sent by ``work``."""
        self._session = session
        self._options = options
        waiting = tuple(replace(each, steer=False) for each in self.state.pending)
        self.state = presenter.with_pending(with_messages(ViewState(), session.messages), *waiting)
        self._take(session.started())
        self._count()
        for notice in notices:
            self._take(Notice(notice))

    def introduce(self, folder: str, mode: str) -> None:
        """Show where the work will be, before a session is open."""
        self.state = replace(self.state, status=replace(self.state.status, cwd=clean(folder), mode=mode))
        self._changed(None)

    def detach(self) -> None:
        """No session is driven any more; what is shown stays."""
        self._session = None

    async def submit(self, text: str) -> None:
        """Send a message: at once when idle, else to the running model; without a session, when there is one."""
        if self._session is None or self._apart is not None:
            self.queue(text)
        elif self._session.running:
            self.steer(text)
        else:
            await self._run(text)
            await self.work()

    async def work(self) -> None:
        """Send queued messages, one run after the other, as long as runs end well."""
        while self._session is not None and self._apart is None and not self._session.running:
            queued = next((each for each in self.state.pending if not each.steer), None)
            if queued is None:
                return
            self._pend(*(each for each in self.state.pending if each is not queued))
            if not await self._run(queued.text):
                return

    def steer(self, text: str) -> None:
        """Give the running model a message with its next turn."""
        assert self._session is not None
        message_id = self._session.steer(text)
        self._pend(*self.state.pending, Pending(message_id, text, steer=True))

    def queue(self, text: str) -> None:
        """Send this when the present run has ended well."""
        self._pend(*self.state.pending, Pending(f"queued-{secrets.token_hex(4)}", text, steer=False))

    def unqueue(self) -> str | None:
        """The message queued last, taken out of the queue; None when there is none."""
        queued = [each for each in self.state.pending if not each.steer]
        if not queued:
            return None
        self._pend(*(each for each in self.state.pending if each is not queued[-1]))
        return queued[-1].text

    def interrupt(self) -> bool:
        """End the run and keep its work; whether there was one."""
        self.own_calls.cancel()
        if self._apart is not None:
            return self._apart.cancel()
        if self._session is None or not (self._session.running or self.own_calls.running):
            return False
        self._session.cancel()
        return True

    async def run_apart(self, text: str, job: Callable[[Callable[[AgentEvent], None]], Awaitable[T]]) -> T | None:
        """A job that is no run of the session's, shown as one: ``text`` began it, an interrupt ends it.

        What it comes to; None when it was ended, or when something went wrong in the world, which is said.
        """
        began, end = self._clock(), RunEnd.ERROR
        self._take(RunStarted(f"apart-{secrets.token_hex(4)}", text))
        task = self._apart = asyncio.ensure_future(job(self._take_apart))
        try:
            await asyncio.wait([task])
            return task.result()
        except asyncio.CancelledError:
            end = RunEnd.CANCELLED
            if not task.done():  # the program itself is going down
                task.cancel()
                raise
        except (AgentError, EngineError) as error:
            self.say(str(error), is_error=True)
        finally:
            self._apart = None
            if self.state.running:
                self._take(RunFinished(end, "", 0, self._clock() - began, Usage()))
            self._count()  # of the open session again
        return None

    async def end_apart(self) -> None:
        """End such a job and wait until it has put things back."""
        if self._apart is not None:
            self._apart.cancel()
            await asyncio.wait([self._apart])

    def answer(self, request_id: str, decision: Decision, note: str = "") -> None:
        """Answer an approval."""
        if self._session is not None:
            self._session.answer(request_id, decision, note)

    def set_mode(self, mode: Mode) -> None:
        """Change what may run without a question."""
        if self._session is not None:
            self._session.mode = mode
        self.state = presenter.with_mode(self.state, mode.value)
        self._changed(None)

    def cycle_mode(self) -> Mode:
        """The next mode; yolo is never reached by cycling."""
        order = [Mode.DEFAULT, Mode.ACCEPT_EDITS, Mode.PLAN]
        present = Mode(self.state.status.mode)
        following = order[(order.index(present) + 1) % len(order)] if present in order else Mode.DEFAULT
        self.set_mode(following)
        return following

    def say(self, text: str, *, is_error: bool = False, quiet: bool = False) -> None:
        """One sentence for the user, in the transcript."""
        self.state = presenter.note(self.state, text, is_error=is_error, quiet=quiet)
        self._changed(None)

    async def compact(self, focus: str) -> None:
        """Summarise the conversation now."""
        if self._session is not None:
            try:
                async for event in self._session.compact(focus):
                    self._take(event)
            except AgentError as error:
                self.say(str(error), is_error=True)

    def undo(self) -> None:
        """Take back the last file changes."""
        if self._session is not None:
            self._report(lambda session: session.undo())

    def redo(self) -> None:
        """Bring back what the latest undo or rewind took away."""
        if self._session is None:
            return
        before = len(self._session.messages)
        self._report(lambda session: session.redo())
        if len(self._session.messages) != before:
            said = self.state.entries[-1:]
            self.state = with_messages(self.state, self._session.messages)
            self.state = replace(self.state, entries=(*self.state.entries, *_renumbered(said, self.state.next_key)))
            self._count()

    def rewind(self, message_id: str, *, files: bool, conversation: bool) -> str | None:
        """Go back to before a message of the user's; its text when the conversation forgot it."""
        before = next(
            (each for each in self.state.entries if isinstance(each, Prompted) and each.message_id == message_id), None
        )
        report = self._report(lambda session: session.rewind(message_id, files=files, conversation=conversation))
        if report is None or report.refused or not conversation or before is None:
            return None
        kept = self.state.entries[: self.state.entries.index(before)]
        self.state = replace(self.state, entries=kept)
        self._count()
        self.say("Went back to before this message; /redo undoes that.", quiet=True)
        return before.text

    def _count(self) -> None:
        """The context that is in use now."""
        used = 0 if self._session is None else self._session.token_count
        self.state = replace(self.state, status=replace(self.state.status, context_used=used))
        self._changed(None)

    def _report(self, act: Callable[[Session], UndoReport]) -> UndoReport | None:
        if self._session is None:
            return None
        try:
            report = act(self._session)
        except AgentError as error:
            self.say(str(error), is_error=True)
            return None
        if report.refused or not report.restored:
            self.say(report.sentence(), is_error=bool(report.refused), quiet=not report.refused)
        else:
            self.say(report.sentence())
        return report

    async def _run(self, text: str) -> bool:
        """One run; whether it ended well."""
        assert self._session is not None
        end = RunEnd.ERROR
        async with aclosing(self._session.submit(text, self._options)) as events:
            async for event in events:
                self._take(event)
                if isinstance(event, RunFinished):
                    end = event.end
        self._return_steers()
        return end is RunEnd.DONE

    def _return_steers(self) -> None:
        """Messages that came too late for the run go back to the user."""
        late = [each for each in self.state.pending if each.steer]
        if late:
            self.returned += [each.text for each in late]
            self._pend(*(each for each in self.state.pending if not each.steer))

    def take(self, event: AgentEvent) -> None:
        """Show an event of the user's own calls."""
        self._take(event)

    def _take_apart(self, event: AgentEvent) -> None:
        """An event of another session than the open one."""
        if isinstance(event, Notice) and not event.is_error:
            self.say(event.text, quiet=True)  # how it goes; nothing that the user has to act on
        elif not isinstance(event, SessionStarted):
            self._take(event)

    def _take(self, event: AgentEvent) -> None:
        if isinstance(event, Steered):
            event = Steered(event.message_id, clean(event.text))
        self.state = presenter.fold(self.state, event, self._clock())
        self._changed(event)

    def _pend(self, *pending: Pending) -> None:
        self.state = presenter.with_pending(self.state, *pending)
        self._changed(None)


def _renumbered(entries: tuple[Entry, ...], key: int) -> tuple[Entry, ...]:
    return tuple(replace(entry, key=key + at) for at, entry in enumerate(entries))

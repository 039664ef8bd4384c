"""What can be done with sessions: list, resume, new, rename, fork, export, remove."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from agent.assembly import Opened
from agent.clean import clean
from agent.store import SessionRecord, SessionStore
from tui.desk import Desk
from tui.palette import Palette
from tui.screens.dialog import option_text
from tui.screens.line import LineScreen
from tui.screens.picker import Choice, Picked, PickerOptions, PickerScreen
from tui.screens.question import QuestionScreen, Reply

T = TypeVar("T")

_KEYS = {"ctrl+r": "rename", "ctrl+f": "fork", "ctrl+e": "export", "ctrl+x": "remove"}
_LEGEND = "Enter resumes · Ctrl+R renames · Ctrl+F forks · Ctrl+E exports · Ctrl+X removes · Esc leaves"
_REMOVE = (Reply("y", "yes", "Yes, remove it"), Reply("n", "no", "No"))


class SessionActions:
    """The sessions of this repository."""

    def __init__(self, app: Desk) -> None:
        self._app = app

    async def choose(self) -> None:
        """Show the list until something is chosen that leaves it."""
        app = self._app
        while True:
            records = app.host.records()
            if not records:
                app.conductor.say(f"There are no sessions in {app.host.setup.root} yet.", quiet=True)
                return
            choices = [session_choice(record, app.palette, app.host.session_id) for record in records]
            options = PickerOptions("Sessions in this repository", _KEYS, _LEGEND)
            picked: Picked | None = await app.ask(PickerScreen(choices, options))
            if picked is None:
                return
            record = next(each for each in records if each.id == picked.id)
            if not await self._act(picked.action, record):
                return

    async def new(self) -> None:
        """Leave this session for a new one."""
        await self._switch(None)

    async def rename(self, title: str) -> None:
        """Give the open session a title."""
        session_id = self._app.host.session_id
        if session_id is None:
            return
        title = title or await self._app.ask(LineScreen("Title of this session")) or ""
        if title:
            self._with_store(lambda store: store.rename(session_id, clean(title)))
            self._app.conductor.say(f"This session is called {title} now.", quiet=True)

    async def fork(self) -> None:
        """Go on in a copy of the open session; the original stays as it is."""
        session_id = self._app.host.session_id
        if session_id is not None:
            await self._fork(session_id)

    async def export(self, target: str) -> None:
        """Write the open session to a file."""
        session_id = self._app.host.session_id
        if session_id is None:
            return
        default = f"session-{session_id}.jsonl"
        target = target or await self._app.ask(LineScreen("Export to which file?", default)) or ""
        if target:
            self._export(session_id, target)

    async def _act(self, action: str, record: SessionRecord) -> bool:
        """Do it; whether the list is to be shown again."""
        app = self._app
        match action:
            case "rename":
                title = await app.ask(LineScreen("Title", clean(record.title)))
                if title:
                    self._with_store(lambda store: store.rename(record.id, clean(title)))
                return True
            case "remove":
                if record.id == app.host.session_id:
                    app.notify("This session is open here; begin another one first (/new).", markup=False)
                    return True
                said = f"{clean(record.title)} ({record.messages} messages)"
                if await app.ask(QuestionScreen("Remove this session?", said, _REMOVE)) == "yes":
                    self._with_store(lambda store: store.remove(record.id))
                return True
            case "export":
                default = f"session-{record.id}.jsonl"
                target = await app.ask(LineScreen("Export to which file?", default))
                if target:
                    self._export(record.id, target)
                return False
            case "fork":
                await self._fork(record.id)
                return False
            case _:
                await self._switch(record.id)
                return False

    async def _fork(self, session_id: str) -> None:
        copy = self._with_store(lambda store: store.fork(session_id))
        await self._switch(copy)
        self._app.conductor.say("This is a copy; the original stays as it is.", quiet=True)

    async def _switch(self, session_id: str | None) -> None:
        app = self._app
        if app.host.model is None or session_id == app.host.session_id is not None:
            return
        await app.conductor.end_apart()
        mode = app.state.status.mode
        app.conductor.detach()
        try:
            opened = await app.host.switch(session_id, mode)
        except BaseException:
            self._attach(app.host.opened())
            raise
        self._attach(opened)

    def _attach(self, opened: Opened) -> None:
        app = self._app
        app.conductor.attach(opened.session, app.host.options, tuple(clean(each) for each in opened.notices))
        app.main.transcript.to_end()

    def _export(self, session_id: str, target: str) -> None:
        path = Path(target).expanduser()
        path = path if path.is_absolute() else self._app.host.setup.cwd / path
        if path.exists():
            self._app.conductor.say(f"{path} is there already; name another file.", is_error=True)
            return
        lines = self._with_store(lambda store: list(store.export(session_id)))
        try:
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        except OSError as error:
            self._app.conductor.say(f"{path} cannot be written: {error.strerror}.", is_error=True)
            return
        self._app.conductor.say(f"Exported to {path}.", quiet=True)

    def _with_store(self, act: Callable[[SessionStore], T]) -> T:
        store = self._app.host.store()
        try:
            return act(store)
        finally:
            store.close()


def session_choice(record: SessionRecord, palette: Palette, open_id: str | None) -> Choice:
    """One line of the list."""
    title = " ".join(clean(record.title).split()) or "(no title)"
    text = option_text(
        ("● " if record.id == open_id else "  ", palette.accent),
        (f"{ago(time.time() - record.updated):>10}  ", palette.muted),
        (title, palette.text),
        (f"  {record.messages} messages", palette.faint),
        ("  a copy" if record.parent else "", palette.faint),
    )
    return Choice(record.id, text, f"{title} {record.id}")


def ago(seconds: float) -> str:
    """``just now``, ``5 min ago``, ``3 h ago``, else a date."""
    if seconds < 60:
        return "just now"
    if seconds < 3_600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86_400:
        return f"{seconds // 3_600:.0f} h ago"
    return f"{datetime.fromtimestamp(time.time() - seconds).astimezone():%Y-%m-%d}"

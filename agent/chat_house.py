"""What the line chat can do beside talking: repairs, files for the model, the other sessions of the repository.

It reads no line and prints none; ``agent.chat`` does.
"""

from __future__ import annotations

import asyncio
import re
from argparse import Namespace
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from agent.assembly import Talk
from agent.clean import clean
from agent.errors import StoreError, UsageError
from agent.events import AgentEvent
from agent.fix import FixOutcome
from agent.fix_command import FixCommand
from agent.interrupts import cancelling
from agent.model import Model
from agent.own_calls import OwnCalls, Shown
from agent.permissions import Mode
from agent.session import Session
from agent.setup import Setup
from agent.store import SessionRecord, SessionStore
from agent.test_guess import guess_test_command

HOUSE_COMMANDS = ("/fix", "/new", "/fork", "/sessions", "/rename", "/export")
# What the flags of `agent fix` are where nobody gives them; the files are changed by who asked, in their own session.
_FIX: Mapping[str, object] = {
    "complaint": "",
    "test_timeout": 600.0,
    "allow_test_edits": False,
    "network": False,
    "attempts": None,
    "keep": False,
    "only_model": False,
    "dry_run": True,
}
_MENTION = re.compile(r'(?:^|(?<=\s))@(?:"([^"\n]+)"|(\S+))')


@dataclass(frozen=True, slots=True)
class Leave:
    """The chat goes on with another session; None: a new one."""

    session_id: str | None = None


async def find_repair(setup: Setup, model: Model, command: str, emit: Callable[[AgentEvent], None]) -> FixOutcome:
    """Look for a repair that makes ``command`` pass, in a session of its own; the files end as they were.

    Raises AgentError or EngineError. When it is cancelled, the files are put back, too.
    """
    fix = FixCommand(Namespace(**{**_FIX, "test": command}), setup, Talk(), model)
    try:
        return await fix.run(emit)
    finally:
        if fix.session_id is not None:  # what is worth keeping is told in the open session
            with suppress(StoreError, UsageError), opened_store(setup) as store:
                store.remove(fix.session_id)


@contextmanager
def opened_store(setup: Setup) -> Generator[SessionStore]:
    """The session store; raises StoreError."""
    store = SessionStore(setup.state)
    try:
        yield store
    finally:
        store.close()


class Guest(Shown, Protocol):
    """A chat, as the house sees it."""

    @property
    def session(self) -> Session:
        """The session that is talked in."""
        ...

    @property
    def own_calls(self) -> OwnCalls:
        """Calls of the user's own in that session."""
        ...


class ChatHouse:
    """The house around the chats on one model."""

    def __init__(self, setup: Setup, model: Model) -> None:
        self.setup = setup
        self.model = model

    async def obey(self, command: str, rest: str, guest: Guest) -> Leave | None:
        """One of HOUSE_COMMANDS; with which session to go on, None for the present one.

        Raises AgentError or EngineError.
        """
        match command:
            case "/new":
                return Leave()
            case "/fork":
                return Leave(guest.session.fork())
            case "/sessions" if rest:
                return self._session(rest, guest.session.id)
            case "/sessions":
                for number, record in enumerate(self._records(), 1):
                    guest.say(_line(number, record, guest.session.id))
            case "/rename" if rest:
                guest.session.rename(clean(rest))
                guest.say(f"This session is called {rest} now.", quiet=True)
            case "/rename":
                guest.say("Say /rename and the title.", quiet=True)
            case "/export":
                guest.say(self._export(guest.session, rest), quiet=True)
            case _:
                await self._fix(rest or guess_test_command(self.setup.root), guest)
        return None

    async def _fix(self, command: str, guest: Guest) -> None:
        if not command:
            guest.say("Say /fix and the command that must pass, such as /fix pytest -q.", quiet=True)
            return
        if guest.session.mode is Mode.PLAN:
            guest.say("In plan mode nothing is changed; /mode default leaves it.")
            return
        task = asyncio.ensure_future(find_repair(self.setup, self.model, command, guest.take))
        with cancelling(task):
            await asyncio.wait([task])
        if task.cancelled():
            guest.say("Interrupted; the files are as they were.")
        else:
            await guest.own_calls.apply(task.result())

    def _session(self, number: str, open_id: str) -> Leave:
        """The session of that line; raises UsageError when it cannot be gone on with."""
        records = self._records()
        if not number.isdecimal() or not 1 <= int(number) <= len(records):
            raise UsageError("Say /sessions N with the number of a session; /sessions lists them.")
        chosen = records[int(number) - 1].id
        with opened_store(self.setup) as store:
            if chosen == open_id or store.held_elsewhere(chosen):
                raise UsageError("That session is open already; /fork goes on in a copy of this one.")
        return Leave(chosen)

    def _export(self, session: Session, target: str) -> str:
        """Write the session to a new file; the sentence about it. Raises UsageError or StoreError."""
        path = self.setup.cwd / Path(target or f"session-{session.id}.jsonl").expanduser()
        try:
            with path.open("x", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in session.export())
        except FileExistsError as error:
            raise UsageError(f"{path} is there already; name another file.") from error
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
        return f"Exported to {path}."

    def mentioned(self, text: str) -> list[str]:
        """The files of the repository that a message names with ``@``, each once."""
        named = [match[1] or match[2].rstrip(".,;:!?)") for match in _MENTION.finditer(text)]
        return [name for name in dict.fromkeys(named) if (self.setup.root / name).is_file()]

    def _records(self) -> list[SessionRecord]:
        with opened_store(self.setup) as store:
            return store.sessions(self.setup.root)


def _line(number: int, record: SessionRecord, open_id: str) -> str:
    when = datetime.fromtimestamp(record.updated).astimezone()
    here = "  (this one)" if record.id == open_id else ""
    title = " ".join(record.title.split())[:60]
    return f"{number:3}  {when:%Y-%m-%d %H:%M}  {title}  {record.messages} messages{here}"

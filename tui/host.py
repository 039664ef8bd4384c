"""Model and sessions behind the screen: opens, switches and closes them; asks through what the screen gives it.

It shows nothing; what cannot be opened is raised as the AgentError or EngineError that says why.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from agent.assembly import Opened, Talk, Wish, open_model, open_session, run_options
from agent.chat_house import find_repair
from agent.errors import StoreError, UsageError
from agent.events import AgentEvent
from agent.fix import FixOutcome
from agent.model import Model
from agent.permissions import Mode
from agent.remembered import Remembered
from agent.run import RunOptions
from agent.session import Session
from agent.session_choice import choose_session
from agent.setup import Setup, read_setup
from agent.store import SessionRecord, SessionStore
from agent.trust import what_trust_turns_on

OpenModel = Callable[[Setup, Talk], Awaitable[Model]]


class Host:
    """Owns the setup, the model and the open session of one window."""

    def __init__(self, args: argparse.Namespace, opener: OpenModel = open_model, cwd: Path | None = None) -> None:
        """Reads settings and which session to go on with; raises ConfigError, UsageError or StoreError."""
        self._args = args
        self._cwd = cwd
        self._opener = opener
        self._model: Model | None = None
        self._session: Session | None = None
        self.left: str | None = None  # the session that was open in the end, if anything was said in it
        self.setup = read_setup(args, cwd=cwd)
        self._wanted = choose_session(args, self.setup)

    @property
    def model(self) -> Model | None:
        """The loaded model."""
        return self._model

    @property
    def session_id(self) -> str | None:
        """The id of the open session."""
        return None if self._session is None else self._session.id

    @property
    def options(self) -> RunOptions:
        """How the setup wants runs to go."""
        return run_options(self.setup)

    @property
    def trusted(self) -> bool:
        """Whether the repository's own settings count, or there is no need to ask."""
        return self.setup.bare or Remembered(self.setup.state).is_trusted(self.setup.root)

    @property
    def what_trust_turns_on(self) -> tuple[str, ...]:
        """A line for each setting of the repository that would count; it may hold anything."""
        return what_trust_turns_on(self.setup.root)

    def trust(self) -> None:
        """Let the repository's own settings count from now on; raises ConfigError."""
        Remembered(self.setup.state).trust(self.setup.root)
        self.setup = read_setup(self._args, cwd=self._cwd)

    def choose_model(self, name: str) -> None:
        """Take this model when the next one is opened."""
        self.setup = replace(self.setup, config=self.setup.config.model_copy(update={"model": name}))

    async def open(self, talk: Talk) -> Opened:
        """Load the model if there is none yet, and open the wanted session; raises AgentError or EngineError."""
        if self._model is None:
            self._model = await self._opener(self.setup, talk)
        else:
            await self._model.start()
        return self._open(self._wanted, None)

    async def switch(self, session_id: str | None, mode: str) -> Opened:
        """Leave the open session for another (None: a new one), with the same model; raises UsageError, StoreError, or
        what the model's ``start`` does: its process may have ended."""
        if self._model is not None:
            await self._model.start()
        if session_id is not None:
            self._require_free(session_id)
        before = self.session_id
        await self._close_session(keep_model=True)
        try:
            return self._open(session_id, mode)
        except (UsageError, StoreError):
            self._open(before if before and self._kept(before) else None, mode)
            raise

    async def change_model(self, name: str, talk: Talk) -> Opened:
        """Leave the model for another one and go on with the same session; raises AgentError or EngineError.

        The old model is freed first: two seldom fit into memory.
        """
        self.choose_model(name)
        session_id = self.session_id
        await self.close()
        self._wanted = session_id if session_id and self._kept(session_id) else None
        return await self.open(talk)

    async def fix(self, command: str, emit: Callable[[AgentEvent], None]) -> FixOutcome:
        """Look for a repair that makes ``command`` pass, in a session of its own; the files end as they were.

        Raises AgentError or EngineError. When it is cancelled, the files are put back, too.
        """
        if self._model is None:
            raise UsageError("No model is loaded yet; try again when it is.")
        return await find_repair(self.setup, self._model, command, emit)

    def store(self) -> SessionStore:
        """The session store, for a list; the caller closes it. Raises StoreError."""
        return SessionStore(self.setup.state)

    def records(self) -> list[SessionRecord]:
        """The sessions of this repository, the latest first; raises StoreError."""
        store = self.store()
        try:
            return store.sessions(self.setup.root)
        finally:
            store.close()

    def opened(self) -> Opened:
        """The session that is open; raises UsageError when there is none."""
        if self._session is None:
            raise UsageError("No session is open.")
        return Opened(self._session)

    async def close(self) -> None:
        """End everything; safe to call again."""
        await self._close_session(keep_model=True)
        model, self._model = self._model, None
        if model is not None:
            await model.close()

    def _open(self, session_id: str | None, mode: str | None) -> Opened:
        assert self._model is not None
        wish = Wish(resume=session_id, interactive=True, mode=None if mode is None else Mode(mode))
        opened = open_session(self.setup, self._model, wish)
        self._session = opened.session
        return opened

    async def _close_session(self, *, keep_model: bool) -> None:
        session, self._session = self._session, None
        if session is not None:
            self.left = session.id if session.messages else None
            await session.close(keep_model=keep_model)

    def _kept(self, session_id: str) -> bool:
        return any(record.id == session_id for record in self.records())

    def _require_free(self, session_id: str) -> None:
        store = self.store()
        try:
            if session_id != self.session_id and store.held_elsewhere(session_id):
                raise UsageError(f"Session {session_id} is open in another window; close it there, or fork it.")
        finally:
            store.close()

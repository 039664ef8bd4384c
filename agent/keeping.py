"""Opens store and journal for one session, settles what a crash left, and does without what cannot be used.

What it did without is told in ``notices``. It loads no model and builds no session.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.errors import StoreError
from agent.journal import Journal
from agent.retention import Retention
from agent.session_log import SessionLog
from agent.store import SessionStore, StoredSession, new_session_id
from tools.workspace import Workspace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Begun:
    """A session in the store: ``stored`` when it is gone on with; ``log`` None: it is not kept."""

    id: str
    stored: StoredSession | None
    log: SessionLog | None


class Keeper:
    """What keeps one session; ``state`` None keeps nothing beyond the process."""

    def __init__(self, state: Path | None, retention: Retention) -> None:
        self.notices: list[str] = []
        self._state = state
        self._retention = retention
        self.store = None if state is None else self._kept(lambda: SessionStore(state))
        if self.store is not None:
            self.notices += self.store.notices

    def begin(self, resume: str | None, root: Path, model: str) -> Begun:
        """A new session, or the stored one ``resume``, held by this process; raises StoreError or UsageError."""
        if resume is None:
            session_id, store = new_session_id(), self.store
            log = None if store is None else self._kept(lambda: store.create(session_id, root, model))
            return Begun(session_id, None, log)
        if self.store is None:
            raise StoreError("The session cannot be resumed, because the session store cannot be used.")
        log = self.store.open(resume)  # held before it is read: nobody else adds to it meanwhile
        stored = self.store.load(resume)
        if stored.lost:
            self.notices.append(f"{stored.lost} damaged messages of this session are left out.")
        return Begun(resume, stored, log)

    def journal(self, session_id: str, workspace: Workspace) -> Journal:
        """On disk where possible; in memory undo still works as long as the session is open."""
        state, store = self._state, self.store
        journal = None
        if state is not None:
            journal = self._kept(lambda: Journal(state / "journal.db", session_id, workspace))
        if journal is None:
            return Journal(None, session_id, workspace)
        self.notices += journal.notices
        self.notices += journal.recover(store.held_elsewhere if store is not None else lambda _: False)
        self._kept(lambda: self._prune(journal))
        return journal

    def close(self) -> None:
        """Release the session and close the store."""
        if self.store is not None:
            self.store.close()

    def _prune(self, journal: Journal) -> None:
        if self.store is not None:
            self.store.prune(self._retention)
        if self._retention.days is not None:
            journal.prune(time.time() - 86_400 * self._retention.days)

    def _kept(self, make: Callable[[], T]) -> T | None:
        """What ``make`` returns; None with a notice when the store cannot be used."""
        try:
            return make()
        except StoreError as error:
            self.notices.append(f"{error} This session is not kept.")
            return None

"""Sessions in SQLite: one row per message, the token transcript for an exact resume, and a lock per session.

It knows nothing of models and tools; what a session's transcript means is ``agent.transcript``'s.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Row

from agent.clean import clean
from agent.database import Database
from agent.database_schema import BUSY_SECONDS
from agent.errors import UsageError
from agent.locks import SessionLocks
from agent.message_json import to_json
from agent.messages import Message
from agent.retention import Retention
from agent.session_log import SessionLog
from agent.store_tables import SCHEMA, message_row, read_dump, read_message
from agent.transcript import Snapshot


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What a list of sessions shows; times are seconds since the epoch."""

    id: str
    title: str
    cwd: str
    model: str
    created: float
    updated: float
    messages: int = 0
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class StoredSession:
    """Everything that was kept of a session.

    ``snapshot`` is None before the first message, and where it is damaged; it covers the first ``covered`` messages.
    ``positions`` are the conversation's marks before those last messages that belong to it. ``lost`` counts messages
    that could not be read.
    """

    record: SessionRecord
    messages: tuple[Message, ...]
    snapshot: Snapshot | None
    covered: int
    positions: tuple[int, ...]
    lost: int = 0


def new_session_id() -> str:
    """Short, readable, sorted by time: ``1124-093012-7f3a``."""
    return f"{datetime.now(UTC).astimezone():%m%d-%H%M%S}-{secrets.token_hex(2)}"


class SessionStore:
    """All sessions of this user; ``folder`` None keeps everything in memory. Every method raises StoreError."""

    def __init__(self, folder: Path | None, busy_seconds: float = BUSY_SECONDS) -> None:
        self._database = Database(None if folder is None else folder / "sessions.db", SCHEMA, busy_seconds)
        self._locks = SessionLocks(None if folder is None else folder / "locks")

    @property
    def notices(self) -> list[str]:
        """Sentences on what had to be done to open the store."""
        return self._database.notices

    def close(self) -> None:
        """Release every lock and close the database."""
        self._locks.release_all()
        self._database.close()

    def create(self, session_id: str, cwd: Path, model: str, parent: str | None = None) -> SessionLog:
        """A new session, held by this process; the log to write it with."""
        self.hold(session_id)
        now = time.time()
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO sessions VALUES (?, '', ?, ?, ?, ?, ?)", (session_id, str(cwd), model, parent, now, now)
            )
        return SessionLog(self._database, session_id)

    def open(self, session_id: str) -> SessionLog:
        """The log of a session that exists, held by this process; raises UsageError when another one holds it."""
        self.hold(session_id)
        with self._database.transaction() as cursor:  # so that rows are counted as messages are
            cursor.execute(
                "DELETE FROM messages WHERE session = ? AND crc !="
                " checksum(session, number, generation, position, body)",
                (session_id,),
            )
        return SessionLog(self._database, session_id)

    def sessions(self, cwd: Path | None = None) -> list[SessionRecord]:
        """Sessions with at least one message, the latest first; only those of ``cwd`` when it is given."""
        query = f"{_SELECT} GROUP BY s.id HAVING count(m.number) > 0 ORDER BY s.updated DESC, s.id DESC"
        records = [_record(row) for row in self._database.rows(query)]
        return [each for each in records if cwd is None or each.cwd == str(cwd)]

    def find(self, prefix: str) -> SessionRecord:
        """The session whose id begins with ``prefix``; raises UsageError when there is none or more than one."""
        found = [each for each in self.sessions() if each.id.startswith(prefix)]
        exact = [each for each in found if each.id == prefix]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            raise UsageError(f"Several sessions begin with {prefix}: {', '.join(each.id for each in found[:5])}.")
        raise UsageError(f"There is no session {prefix}; `agent sessions` lists them.")

    def load(self, session_id: str) -> StoredSession:
        """Everything kept of a session; messages that cannot be read are left out and counted."""
        rows = self._database.rows(f"{_SELECT} WHERE s.id = ? GROUP BY s.id", session_id)
        if not rows:
            raise UsageError(f"There is no session {session_id}; `agent sessions` lists them.")
        snapshot, covered = self._snapshot(session_id)
        messages: list[Message] = []
        positions: list[int] = []
        kept = self._database.rows("SELECT * FROM messages WHERE session = ? ORDER BY number", session_id)
        for row in kept:
            if (message := read_message(row)) is None:
                continue
            messages.append(message)
            if snapshot is not None and row["generation"] == snapshot.generation:
                positions.append(row["position"])
        expected = max(covered, int(kept[-1]["number"]) + 1 if kept else 0)
        lost = expected - len(messages)
        return StoredSession(_record(rows[0]), tuple(messages), snapshot, covered, tuple(positions), lost)

    def fork(self, session_id: str) -> str:
        """A copy of a session under a new id."""
        new = new_session_id()
        now = time.time()
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO sessions SELECT ?, title, cwd, model, id, ?, ? FROM sessions WHERE id = ?",
                (new, now, now, session_id),
            )
            for copy in _FORK:
                cursor.execute(copy, {"new": new, "old": session_id})
        return new

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title."""
        with self._database.transaction() as cursor:
            cursor.execute("UPDATE sessions SET title = ? WHERE id = ?", (clean(title).strip(), session_id))

    def remove(self, session_id: str) -> None:
        """Delete a session; raises UsageError while a process holds it."""
        self.hold(session_id)
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
        self._database.shrink()
        self._locks.remove(session_id)

    def prune(self, retention: Retention) -> int:
        """Delete the sessions that need not be kept, except those that are open; how many."""
        records = self.sessions()
        oldest = 0.0 if retention.days is None else time.time() - 86_400 * retention.days
        gone = [each.id for each in records if each.updated < oldest]
        if retention.bytes is not None and self._bytes() > retention.bytes:
            gone += self._beyond([each.id for each in records if each.id not in gone], retention.bytes)
        removed = [each for each in gone if not self.held_elsewhere(each)]
        if removed:
            with self._database.transaction() as cursor:
                cursor.executemany("DELETE FROM sessions WHERE id = ?", [(each,) for each in removed])
            self._database.shrink()
            for each in removed:
                self._locks.remove(each)
        return len(removed)

    def export(self, session_id: str) -> Iterator[str]:
        """The session as JSON lines: first its record, then one message a line; ``session_import`` reads them."""
        stored = self.load(session_id)
        record = stored.record
        facts = {key: getattr(record, key) for key in ("id", "title", "cwd", "model", "created", "updated")}
        yield json.dumps({"kind": "session", "format": 1, **facts})
        for message in stored.messages:
            yield json.dumps(to_json(message))

    def take_in(self, messages: Sequence[Message], title: str, cwd: Path) -> str:
        """Keep an imported session under a new id; the model will read it as text."""
        session_id = new_session_id()
        now = time.time()
        rows = [message_row(session_id, number, (0, 0), message) for number, message in enumerate(messages)]
        with self._database.transaction() as cursor:
            values = (session_id, clean(title), str(cwd), now, now)
            cursor.execute("INSERT INTO sessions VALUES (?, ?, ?, '', NULL, ?, ?)", values)
            cursor.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", rows)
        return session_id

    def held_elsewhere(self, session_id: str) -> bool:
        """Whether another living process has the session open."""
        return self._locks.held_elsewhere(session_id)

    def hold(self, session_id: str) -> None:
        """Keep other processes from opening the session until ``release``; raises UsageError when one has it open."""
        if not self._locks.hold(session_id):
            raise UsageError(f"Session {session_id} is open in another window; close it there, or fork it.")

    def release(self, session_id: str) -> None:
        """Let other processes open the session."""
        self._locks.release(session_id)

    def _snapshot(self, session_id: str) -> tuple[Snapshot | None, int]:
        rows = self._database.rows("SELECT * FROM transcripts WHERE session = ?", session_id)
        if not rows:
            return None, 0
        parts = self._database.rows("SELECT * FROM parts WHERE session = ? ORDER BY number", session_id)
        dump = read_dump(rows[0], parts)
        return None if dump is None else Snapshot(dump, rows[0]["generation"]), rows[0]["messages"]

    def _bytes(self) -> int:
        rows = self._database.rows("SELECT page_count * page_size AS n FROM pragma_page_count, pragma_page_size")
        return int(rows[0]["n"])

    def _beyond(self, ids: Sequence[str], limit: int) -> list[str]:
        """The sessions, latest first, that do not fit into so many bytes; the latest one always does."""
        query = (
            "SELECT (SELECT coalesce(sum(length(body)), 0) FROM messages WHERE session = :id)"
            " + (SELECT coalesce(sum(length(body)), 0) FROM parts WHERE session = :id) AS n"
        )
        total, beyond = 0, list[str]()
        for session_id in ids:
            total += int(self._database.rows(query.replace(":id", "?"), session_id, session_id)[0]["n"])
            beyond += [session_id] if total > limit and session_id != ids[0] else []
        return beyond


_FORK = (
    "INSERT INTO messages SELECT :new, number, generation, position, body,"
    " iif(crc = checksum(session, number, generation, position, body),"
    " checksum(:new, number, generation, position, body), crc) FROM messages WHERE session = :old",
    "INSERT INTO transcripts SELECT :new, generation, parts, messages, header,"
    " iif(crc = checksum(session, header), checksum(:new, header), crc) FROM transcripts WHERE session = :old",
    "INSERT INTO parts SELECT :new, number, body,"
    " iif(crc = checksum(session, number, body), checksum(:new, number, body), crc) FROM parts WHERE session = :old",
)
_SELECT = "SELECT s.*, count(m.number) AS n FROM sessions s LEFT JOIN messages m ON m.session = s.id"


def _record(row: Row) -> SessionRecord:
    return SessionRecord(
        row["id"], row["title"], row["cwd"], row["model"], row["created"], row["updated"], row["n"], row["parent"]
    )

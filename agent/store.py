"""Sessions in SQLite: one row per message, the token transcript for an exact resume, and a lock per session.

It knows nothing of models and tools; what a session's transcript means is ``agent.transcript``'s.
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Cursor, Row

from agent.clean import clean
from agent.database import BUSY_SECONDS, Database, Schema
from agent.errors import UsageError
from agent.locks import SessionLocks
from agent.message_json import from_json, kind_of, to_json
from agent.messages import Message, UserMessage
from agent.transcript import Snapshot

_SCHEMA = Schema(
    "session store",
    1,
    """
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY, title TEXT NOT NULL, cwd TEXT NOT NULL, model TEXT NOT NULL, parent TEXT,
        created REAL NOT NULL, updated REAL NOT NULL
    );
    CREATE TABLE messages (
        session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE, number INTEGER NOT NULL,
        kind TEXT NOT NULL, generation INTEGER NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (session, number)
    );
    CREATE TABLE transcripts (
        session TEXT PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE,
        generation INTEGER NOT NULL, messages INTEGER NOT NULL, dump BLOB NOT NULL
    );
    """,
)
_TITLE_CHARACTERS = 60


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

    ``snapshot`` is None before the first message; it covers the first ``covered`` messages. ``marks`` are the
    conversation's marks before the user messages that belong to the snapshot's conversation. ``lost`` counts messages
    that could not be read.
    """

    record: SessionRecord
    messages: tuple[Message, ...]
    snapshot: Snapshot | None
    covered: int
    marks: dict[str, int]
    lost: int = 0


def new_session_id() -> str:
    """Short, readable, sorted by time: ``1124-093012-7f3a``."""
    return f"{datetime.now(UTC).astimezone():%m%d-%H%M%S}-{secrets.token_hex(2)}"


class SessionStore:
    """All sessions of this user; ``folder`` None keeps everything in memory. Every method raises StoreError."""

    def __init__(self, folder: Path | None, busy_seconds: float = BUSY_SECONDS) -> None:
        self._database = Database(None if folder is None else folder / "sessions.db", _SCHEMA, busy_seconds)
        self._locks = SessionLocks(None if folder is None else folder / "locks")

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
        marks: dict[str, int] = {}
        kept = self._database.rows("SELECT * FROM messages WHERE session = ? ORDER BY number", session_id)
        for row in kept:
            try:
                message = from_json(row["body"])
            except (ValueError, KeyError, TypeError):
                continue
            messages.append(message)
            if snapshot is not None and row["generation"] == snapshot.generation and isinstance(message, UserMessage):
                marks[message.id] = row["position"]
        lost = len(kept) - len(messages)
        return StoredSession(_record(rows[0]), tuple(messages), snapshot, covered, marks, lost)

    def fork(self, session_id: str) -> str:
        """A copy of a session under a new id."""
        new = new_session_id()
        now = time.time()
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO sessions SELECT ?, title, cwd, model, id, ?, ? FROM sessions WHERE id = ?",
                (new, now, now, session_id),
            )
            cursor.execute(
                "INSERT INTO messages SELECT ?, number, kind, generation, position, body FROM messages"
                " WHERE session = ?",
                (new, session_id),
            )
            cursor.execute(
                "INSERT INTO transcripts SELECT ?, generation, messages, dump FROM transcripts WHERE session = ?",
                (new, session_id),
            )
        return new

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title."""
        with self._database.transaction() as cursor:
            cursor.execute("UPDATE sessions SET title = ? WHERE id = ?", (title, session_id))

    def remove(self, session_id: str) -> None:
        """Delete a session; raises UsageError while a process holds it."""
        self.hold(session_id)
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
        self.release(session_id)

    def export(self, session_id: str) -> Iterator[str]:
        """The session as JSON lines: first its record, then one message a line."""
        stored = self.load(session_id)
        record = stored.record
        yield json.dumps({"kind": "session", "id": record.id, "title": record.title, "cwd": record.cwd})
        for message in stored.messages:
            yield json.dumps(to_json(message), ensure_ascii=False)

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
        try:
            dump = zlib.decompress(rows[0]["dump"]).decode("utf-8", "surrogatepass")
        except (zlib.error, UnicodeDecodeError, TypeError):
            return None, 0
        return Snapshot(dump, rows[0]["generation"]), rows[0]["messages"]


class SessionLog:
    """Writes one session (a ``transcript.TranscriptLog``): messages and transcript in one transaction."""

    def __init__(self, database: Database, session_id: str) -> None:
        self._database = database
        self._session = session_id
        rows = database.rows("SELECT count(*) AS n FROM messages WHERE session = ?", session_id)
        self._count = int(rows[0]["n"])

    def append(self, messages: Sequence[Message], positions: Sequence[int], snapshot: Snapshot) -> None:
        """Keep new messages and the transcript that includes them."""
        with self._database.transaction() as cursor:
            cursor.executemany(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        self._session,
                        self._count + number,
                        kind_of(message),
                        snapshot.generation,
                        position,
                        _body(message),
                    )
                    for number, (message, position) in enumerate(zip(messages, positions, strict=True))
                ],
            )
            count = self._count + len(messages)
            self._keep_transcript(cursor, snapshot, count)
            first = next((each.text for each in messages if isinstance(each, UserMessage)), "")
            cursor.execute(
                "UPDATE sessions SET updated = ?, title = CASE title WHEN '' THEN ? ELSE title END WHERE id = ?",
                (time.time(), _title(first), self._session),
            )
        self._count = count

    def truncate(self, count: int, snapshot: Snapshot) -> None:
        """Keep the first ``count`` messages."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM messages WHERE session = ? AND number >= ?", (self._session, count))
            self._keep_transcript(cursor, snapshot, count)
        self._count = count

    def _keep_transcript(self, cursor: Cursor, snapshot: Snapshot, count: int) -> None:
        dump = zlib.compress(snapshot.dump.encode("utf-8", "surrogatepass"), 1)
        cursor.execute(
            "INSERT OR REPLACE INTO transcripts VALUES (?, ?, ?, ?)",
            (self._session, snapshot.generation, count, dump),
        )


_SELECT = "SELECT s.*, count(m.number) AS n FROM sessions s LEFT JOIN messages m ON m.session = s.id"


def _record(row: Row) -> SessionRecord:
    return SessionRecord(
        row["id"], row["title"], row["cwd"], row["model"], row["created"], row["updated"], row["n"], row["parent"]
    )


def _body(message: Message) -> str:
    """JSON with every character escaped: lone surrogates, which SQLite refuses, stay as they are."""
    return json.dumps(to_json(message))


def _title(text: str) -> str:
    line = clean(text).strip().split("\n", 1)[0]
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1] + "…"

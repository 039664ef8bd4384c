"""Writes one session to the store as it goes on: messages and the conversation's new parts in one transaction.

It reads nothing back; ``agent.store`` does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from sqlite3 import Cursor

from agent.clean import clean
from agent.database import Database
from agent.database_schema import checksum
from agent.messages import Message, UserMessage
from agent.store_tables import message_row
from agent.transcript import Snapshot

_TITLE_CHARACTERS = 60


class SessionLog:
    """A ``transcript.TranscriptLog``; every call is durable when it returns, or raises StoreError."""

    def __init__(self, database: Database, session_id: str) -> None:
        self._database = database
        self._session = session_id
        self._count = self._next_number()
        self._header = ""

    def append(self, messages: Sequence[Message], positions: Sequence[int], snapshot: Snapshot) -> None:
        """Keep new messages and the parts of the conversation that came with them."""
        count = self._count + len(messages)
        rows = [
            message_row(self._session, self._count + number, (snapshot.generation, position), message)
            for number, (message, position) in enumerate(zip(messages, positions, strict=True))
        ]
        first = next((each.text for each in messages if isinstance(each, UserMessage)), "")
        with self._database.transaction() as cursor:
            cursor.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._keep_conversation(cursor, snapshot, count)
            cursor.execute(
                "UPDATE sessions SET updated = ?, title = CASE title WHEN '' THEN ? ELSE title END WHERE id = ?",
                (time.time(), _title(first), self._session),
            )
        self._count = count

    def truncate(self, count: int, snapshot: Snapshot) -> None:
        """Keep the first ``count`` messages."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "DELETE FROM messages WHERE session = ? AND number >="
                " (SELECT coalesce((SELECT number FROM messages WHERE session = ? ORDER BY number LIMIT 1 OFFSET ?),"
                " ?))",
                (self._session, self._session, count, self._count),
            )
            self._keep_conversation(cursor, snapshot, count)
        self._count = self._next_number()  # where damaged messages were left out, that is not ``count``

    def _next_number(self) -> int:
        query = "SELECT coalesce(max(number), -1) + 1 AS n FROM messages WHERE session = ?"
        return int(self._database.rows(query, self._session)[0]["n"])

    def _keep_conversation(self, cursor: Cursor, snapshot: Snapshot, count: int) -> None:
        dump, session = snapshot.dump, self._session
        cursor.execute("DELETE FROM parts WHERE session = ? AND number >= ?", (session, snapshot.first))
        cursor.executemany(
            "INSERT INTO parts VALUES (?, ?, ?, ?)",
            [
                (session, number, body, checksum(session, number, body))
                for number, body in enumerate(dump.parts, snapshot.first)
            ],
        )
        facts = (snapshot.generation, snapshot.first + len(dump.parts), count)
        if dump.header == self._header:
            cursor.execute(
                "UPDATE transcripts SET generation = ?, parts = ?, messages = ? WHERE session = ?", (*facts, session)
            )
        else:
            row = (session, *facts, dump.header, checksum(session, dump.header))
            cursor.execute("INSERT OR REPLACE INTO transcripts VALUES (?, ?, ?, ?, ?, ?)", row)
            self._header = dump.header


def _title(text: str) -> str:
    line = clean(text).strip().split("\n", 1)[0]
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1] + "…"

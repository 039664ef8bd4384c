"""The session store's tables, and how rows become messages and conversations again.

It writes nothing; ``agent.store`` does.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from sqlite3 import Row

from agent.database_schema import Schema, checksum
from agent.message_json import from_json, to_json
from agent.messages import Message
from agent.model import Dump

# messages.generation and .position: the conversation that a message belongs to, and its mark before the message.
# parts are those of the present generation; transcripts.messages are covered by them. ``crc`` covers the whole row.
_Row = Mapping[str, object]


def _is_session(row: _Row) -> bool:
    times = (row["created"], row["updated"])
    return isinstance(row["id"], str) and isinstance(row["title"], str) and all(isinstance(at, float) for at in times)


def _is_message(row: _Row) -> bool:
    return checksum(*(row[key] for key in ("session", "number", "generation", "position", "body"))) == row["crc"]


def _is_transcript(row: _Row) -> bool:
    return checksum(row["session"], row["header"]) == row["crc"]


def _is_part(row: _Row) -> bool:
    return checksum(row["session"], row["number"], row["body"]) == row["crc"]


_BELONGS: Mapping[str, Callable[[_Row], bool]] = {
    "sessions": _is_session,
    "messages": _is_message,
    "transcripts": _is_transcript,
    "parts": _is_part,
}
SCHEMA = Schema(
    "session store",
    2,
    """
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY, title TEXT NOT NULL, cwd TEXT NOT NULL, model TEXT NOT NULL, parent TEXT,
        created REAL NOT NULL, updated REAL NOT NULL
    );
    CREATE TABLE messages (
        session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE, number INTEGER NOT NULL,
        generation INTEGER NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (session, number)
    );
    CREATE TABLE transcripts (
        session TEXT PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE,
        generation INTEGER NOT NULL, parts INTEGER NOT NULL, messages INTEGER NOT NULL, header TEXT NOT NULL,
        crc INTEGER NOT NULL
    );
    CREATE TABLE parts (
        session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE, number INTEGER NOT NULL, body TEXT NOT NULL,
        crc INTEGER NOT NULL, PRIMARY KEY (session, number)
    );
    """,
    {
        1: """
        INSERT INTO sessions SELECT * FROM old.sessions;
        INSERT INTO messages SELECT session, number, generation, position, body,
            checksum(session, number, generation, position, body) FROM old.messages;
        INSERT INTO parts SELECT session, key, value, checksum(session, key, value)
            FROM old.transcripts, json_each(unpacked(dump), '$.segments');
        INSERT INTO transcripts SELECT session, generation, json_array_length(unpacked(dump), '$.segments'), messages,
            json_remove(unpacked(dump), '$.segments'),
            checksum(session, json_remove(unpacked(dump), '$.segments')) FROM old.transcripts;
        """,
    },
    mend="""
    INSERT OR IGNORE INTO sessions SELECT session, '(recovered)', '', '', NULL, strftime('%s'), strftime('%s')
        FROM messages GROUP BY session;
    DELETE FROM parts WHERE session NOT IN (SELECT id FROM sessions);
    DELETE FROM transcripts WHERE session NOT IN (SELECT id FROM sessions);
    """,
    belongs=lambda table, row: _BELONGS[table](row),
    functions={"unpacked": lambda dump: zlib.decompress(dump).decode("utf-8", "replace")},
)


def message_row(session: str, number: int, mark: tuple[int, int], message: Message) -> tuple[object, ...]:
    """The row of a message; ``mark`` is its generation and position."""
    # Every character is escaped: lone surrogates, which SQLite refuses, stay as they are.
    values = (session, number, *mark, json.dumps(to_json(message)))
    return (*values, checksum(*values))


def read_message(row: Row) -> Message | None:
    """The message of a row; None when the row is damaged."""
    if not _is_message(_values(row)):
        return None
    try:
        return from_json(row["body"])
    except (ValueError, KeyError, TypeError):
        return None


def read_dump(transcript: Row, parts: Sequence[Row]) -> Dump | None:
    """The conversation of a session; None when any of it is missing or damaged. ``parts`` come in their order."""
    whole = [row["number"] for row in parts] == list(range(transcript["parts"]))
    if not whole or not _is_transcript(_values(transcript)) or not all(_is_part(_values(row)) for row in parts):
        return None
    return Dump(transcript["header"], tuple(row["body"] for row in parts))


def _values(row: Row) -> _Row:
    return {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates over its values

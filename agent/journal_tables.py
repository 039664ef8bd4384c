"""The journal's tables: their schema, the images in them, and what a stretch of rows means for files.

It writes no file; ``agent.restore`` does.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from sqlite3 import Cursor, Row

from agent.database import Database
from agent.database_schema import Schema
from agent.restore import Step, digest
from tools.errors import ToolError

# changes.run and .message: ids of the user message that began the run, and of the latest one in it (it may be a steer).
# changes.kind: file, or command (then path is its text, and what it did is not known).
# changes.state: open (intent recorded, outcome unknown), done, undone, void (never happened).
# undos.state: open (being undone), done (undone), reopened (being redone).
_CHANGE_STATES = ("open", "done", "undone", "void")
_UNDO_STATES = ("open", "done", "reopened")


def _belongs(table: str, row: Mapping[str, object]) -> bool:
    if table == "images":
        data = row["data"]
        return isinstance(data, bytes) and isinstance(row["hash"], str) and len(row["hash"]) == 64
    states = _CHANGE_STATES if table == "changes" else _UNDO_STATES
    return row["state"] in states and isinstance(row["at"], float) and isinstance(row["session"], str)


SCHEMA = Schema(
    "change journal",
    2,
    """
    CREATE TABLE images (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, data BLOB NOT NULL);
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, run TEXT NOT NULL, message TEXT NOT NULL,
        root TEXT NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, before TEXT, after TEXT, mode_before INTEGER,
        mode_after INTEGER, made TEXT NOT NULL, state TEXT NOT NULL, undo INTEGER, at REAL NOT NULL
    );
    CREATE INDEX changes_by_session ON changes (session, id);
    CREATE INDEX changes_by_state ON changes (state);
    CREATE INDEX changes_by_undo ON changes (undo);
    CREATE TABLE undos (
        id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, root TEXT NOT NULL, state TEXT NOT NULL,
        at REAL NOT NULL
    );
    """,
    {
        1: """
        INSERT INTO images (hash, data) SELECT hash, data FROM old.images;
        INSERT INTO changes (id, session, run, message, root, kind, path, before, after, mode_before, mode_after, made,
            state, at)
            SELECT id, session, run, run, root, 'file', substr(path, length(root) + 2), before, after, mode,
            iif(after IS NULL, NULL, mode), '', state, at FROM old.changes;
        """,
    },
    belongs=_belongs,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A stretch of the journal: its rows, the steps back for its files, and the commands that cannot be taken back.

    ``foreign`` are files that someone else changed between two of our changes: going back would lose that.
    """

    rows: tuple[int, ...]
    steps: tuple[Step, ...]
    commands: tuple[str, ...]
    foreign: tuple[str, ...] = ()


def keep_image(cursor: Cursor, content: bytes | None) -> str | None:
    """Store an image under its digest, once."""
    if content is None:
        return None
    name = digest(content)
    cursor.execute("INSERT OR IGNORE INTO images (hash, data) VALUES (?, ?)", (name, zlib.compress(content, 1)))
    return name


def read_image(database: Database, name: str) -> bytes:
    """The image of a digest; raises ToolError when it is missing or damaged: nothing wrong is ever restored."""
    rows = database.rows("SELECT data FROM images WHERE hash = ?", name)
    try:
        content = zlib.decompress(rows[0]["data"])
    except (IndexError, zlib.error, TypeError):
        content = None
    if content is None or digest(content) != name:
        raise ToolError("cannot be restored, because its image in the change journal is damaged")
    return content


def plan_back(rows: Sequence[Row]) -> Plan:
    """Back over rows, oldest first: each file from after its last change to before its first one."""
    steps: dict[str, Step] = {}
    foreign: dict[str, None] = {}
    commands: dict[str, None] = {}
    excused: set[str] = set()  # changed before the latest command, which may have changed them further
    for row in rows:
        path = row["path"]
        if row["kind"] == "command":
            commands[path] = None
            excused = set(steps)
            continue
        first = steps.get(path)
        if first is None:
            steps[path] = Step(path, row["after"], row["before"], row["mode_after"], row["mode_before"], row["made"])
            continue
        if row["before"] != first.now and path not in excused:
            foreign[path] = None
        excused.discard(path)
        steps[path] = replace(first, now=row["after"], mode_now=row["mode_after"], made=first.made or row["made"])
    return Plan(tuple(row["id"] for row in rows), tuple(steps.values()), tuple(commands), tuple(foreign))

"""Before-images of the files that tools change: undo, rewind and crash recovery.

It sees only what goes through it: what a command did to files is not recorded. It shows nothing to anybody.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.database import Database, Schema
from tools.base import FileChange
from tools.workspace import Workspace

# state: open (intent recorded, outcome unknown), done, undone, void (never happened)
_SCHEMA = Schema(
    "change journal",
    1,
    """
    CREATE TABLE images (hash TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, run TEXT NOT NULL, root TEXT NOT NULL,
        path TEXT NOT NULL, before TEXT, after TEXT, mode INTEGER, state TEXT NOT NULL, at REAL NOT NULL
    );
    CREATE INDEX changes_by_session ON changes (session, id);
    CREATE INDEX changes_by_state ON changes (state);
    """,
)


@dataclass(frozen=True, slots=True)
class UndoReport:
    """Paths relative to the workspace: restored, or refused with the reason. Refused files mean nothing was touched."""

    restored: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    def sentence(self) -> str:
        """One sentence for a person."""
        if self.refused:
            reasons = "; ".join(f"{path} {why}" for path, why in self.refused)
            return f"Nothing was undone: {reasons}."
        return f"Restored {', '.join(self.restored)}." if self.restored else "There is nothing to undo."


@dataclass(frozen=True, slots=True)
class _Span:
    """A file over several changes: how it was before the first and after the last."""

    path: Path
    before: str | None
    after: str | None
    mode: int | None
    ids: tuple[int, ...]


class Journal:
    """The recorder of one session (a ``tools.base.ChangeRecorder``); ``path`` None keeps it in memory."""

    def __init__(self, path: Path | None, session: str, workspace: Workspace) -> None:
        self._database = Database(path, _SCHEMA)
        self._session = session
        self._workspace = workspace
        self._run = ""

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def begin_run(self, run: str) -> None:
        """Changes from now on belong to ``run`` (the id of the user message)."""
        self._run = run

    @contextmanager
    def change(self, path: Path, before: bytes | None, after: bytes | None) -> Generator[None]:
        """Record the intent durably, let the caller write, record that it is done."""
        mode = path.stat().st_mode & 0o7777 if before is not None and path.exists() else None
        row = (self._session, self._run, str(self._workspace.root), str(path))
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO changes (session, run, root, path, before, after, mode, state, at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?)",
                (*row, _keep(cursor, before), _keep(cursor, after), mode, time.time()),
            )
            change_id = cursor.lastrowid
        yield
        self._set_state("done", [change_id or 0])

    def mark(self) -> int:
        """A point to come back to."""
        rows = self._database.rows("SELECT max(id) AS last FROM changes WHERE session = ?", self._session)
        return int(rows[0]["last"] or 0)

    def mark_before(self, run: str) -> int | None:
        """The mark just before the first change of ``run``; None when it changed nothing."""
        query = "SELECT min(id) AS first FROM changes WHERE session = ? AND run = ?"
        first = self._database.rows(query, self._session, run)[0]["first"]
        return None if first is None else int(first) - 1

    def last_run(self) -> str | None:
        """The latest run whose changes stand."""
        query = "SELECT run FROM changes WHERE session = ? AND state = 'done' ORDER BY id DESC LIMIT 1"
        rows = self._database.rows(query, self._session)
        return str(rows[0]["run"]) if rows else None

    def net_changes(self, since: int = 0) -> tuple[FileChange, ...]:
        """What became of each file since a mark, first before to last after; files back at their start are left out."""
        spans = [span for span in self._spans(since) if span.before != span.after]
        return tuple(
            FileChange(self._relative(span.path), self._image(span.before), self._image(span.after)) for span in spans
        )

    def undo_since(self, mark: int) -> UndoReport:
        """Restore every file changed since ``mark``, or none when one of them was changed by someone else."""
        spans = self._spans(mark)
        refused = tuple(
            (self._relative(span.path), "was changed since by someone else")
            for span in spans
            # As before already: an undo that a crash cut short had restored it.
            if _hash_file(span.path) not in (span.after, span.before)
        )
        if refused:
            return UndoReport(refused=refused)
        for span in spans:
            self._restore(span)
        return UndoReport(restored=tuple(self._relative(span.path) for span in spans))

    def undo_last_run(self) -> UndoReport:
        """Restore the files of the latest run whose changes stand."""
        run = self.last_run()
        mark = None if run is None else self.mark_before(run)
        return UndoReport() if mark is None else self.undo_since(mark)

    def recover(self, alive: Callable[[str], bool]) -> list[str]:
        """Settle intents that a crash left open, unless their session is ``alive``; a sentence for each unclear one.

        Writes are atomic: the file is either as before (the change never happened) or as after (it is done).
        Anything else was written by someone else, and is left alone.
        """
        unclear: list[str] = []
        for row in self._database.rows("SELECT * FROM changes WHERE state = 'open' ORDER BY id"):
            if alive(row["session"]):
                continue
            found = _hash_file(Path(row["path"]))
            state = "done" if found == row["after"] else "void"
            if found not in (row["after"], row["before"]):
                unclear.append(
                    f"{row['path']} was being changed when session {row['session']} ended, and is now neither."
                )
            self._set_state(state, [row["id"]])
        return unclear

    def _spans(self, since: int) -> list[_Span]:
        query = "SELECT * FROM changes WHERE session = ? AND id > ? AND state = 'done' ORDER BY id"
        spans: dict[str, _Span] = {}
        for row in self._database.rows(query, self._session, since):
            earlier = spans.get(row["path"])
            first = earlier or _Span(Path(row["path"]), row["before"], None, row["mode"], ())
            spans[row["path"]] = _Span(first.path, first.before, row["after"], first.mode, (*first.ids, row["id"]))
        return list(spans.values())

    def _restore(self, span: _Span) -> None:
        """Raises ToolError when the file cannot be written."""
        relative, content = self._relative(span.path), self._image(span.before)
        if content is None:
            span.path.unlink(missing_ok=True)
        elif _hash_file(span.path) != span.before:
            now = span.path.read_bytes() if span.path.exists() else None
            self._workspace.write(relative, content, before=now)
            if now is None and span.mode is not None:
                span.path.chmod(span.mode)
        self._workspace.forget(relative)
        self._set_state("undone", span.ids)

    def _set_state(self, state: str, ids: Sequence[int]) -> None:
        with self._database.transaction() as cursor:
            cursor.executemany("UPDATE changes SET state = ? WHERE id = ?", [(state, each) for each in ids])

    def _image(self, digest: str | None) -> bytes | None:
        if digest is None:
            return None
        rows = self._database.rows("SELECT data FROM images WHERE hash = ?", digest)
        return zlib.decompress(rows[0]["data"])

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._workspace.root).as_posix()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hash_file(path: Path) -> str | None:
    """None when there is no such file."""
    try:
        return _hash(path.read_bytes())
    except FileNotFoundError:
        return None


def _keep(cursor: sqlite3.Cursor, content: bytes | None) -> str | None:
    """Store an image under its hash, once."""
    if content is None:
        return None
    digest = _hash(content)
    cursor.execute("INSERT OR IGNORE INTO images VALUES (?, ?)", (digest, zlib.compress(content, 1)))
    return digest

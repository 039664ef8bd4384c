"""Judgements by content: the same passage is never judged twice by the same model.

A small SQLite file in the state directory; whatever is wrong with it only costs the judging.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from agent.review.judge import Judgement

_MOST_ROWS = 20_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS judgement (
    model TEXT NOT NULL, passage TEXT NOT NULL, confidence REAL NOT NULL, line INTEGER NOT NULL, used REAL NOT NULL,
    PRIMARY KEY (model, passage)
) WITHOUT ROWID
"""


class JudgementCache:
    """Judgements of one model; ``path`` None keeps nothing. ``line`` counts from the passage's first line as 0."""

    def __init__(self, path: Path | None, model: str) -> None:
        self._path = path
        self._model = model

    def get(self, keys: Iterable[str]) -> dict[str, Judgement]:
        """The known ones among these passages' keys."""
        found: dict[str, Judgement] = {}
        try:
            with closing(self._open()) as database, database:
                for key in keys:
                    query = "SELECT confidence, line FROM judgement WHERE model = ? AND passage = ?"
                    row = database.execute(query, (self._model, key)).fetchone()
                    if row is not None:
                        found[key] = Judgement(float(row[0]), int(row[1]))
                        update = "UPDATE judgement SET used = ? WHERE model = ? AND passage = ?"
                        database.execute(update, (time.time(), self._model, key))
        except (sqlite3.Error, OSError):
            return {}
        return found

    def put(self, key: str, judgement: Judgement) -> None:
        """Keep one; the longest unused ones go when there are too many."""
        values = (self._model, key, judgement.confidence, judgement.line, time.time())
        oldest = "DELETE FROM judgement WHERE used <= (SELECT used FROM judgement ORDER BY used DESC LIMIT 1 OFFSET ?)"
        try:
            with closing(self._open()) as database, database:
                database.execute("INSERT OR REPLACE INTO judgement VALUES (?, ?, ?, ?, ?)", values)
                database.execute(oldest, (_MOST_ROWS,))
        except (sqlite3.Error, OSError):
            return

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            raise OSError("nothing is kept")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=2.0)
        database.execute(_SCHEMA)
        return database

"""A small SQLite database of ours: opened safely, written in transactions, its failures told in one sentence.

It knows no table; ``agent.store`` and ``agent.journal`` bring their schemas.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.errors import StoreError

BUSY_SECONDS = 5.0  # how long another process may hold the database before it is an error


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one database; ``version`` is kept in ``PRAGMA user_version``. ``noun`` names it in messages."""

    noun: str
    version: int
    script: str


class Database:
    """One connection, used by one thread at a time; ``path`` None keeps everything in memory.

    Write-ahead log and ``synchronous=FULL``: what a transaction wrote survives a crash of the machine.
    """

    def __init__(self, path: Path | None, schema: Schema, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._schema = schema
        self._lock = threading.RLock()
        with self._sentences():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(path or ":memory:", timeout=busy_seconds, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Cursor]:
        """All or nothing; raises StoreError when the database cannot be read or written."""
        with self._lock, self._sentences(), self._connection, closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            yield cursor

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The answer to a query; raises StoreError."""
        with self._lock, self._sentences(), closing(self._connection.execute(query, values)) as cursor:
            return cursor.fetchall()

    def close(self) -> None:
        """Close the connection; nothing can be lost, every transaction is already durable."""
        with self._lock, self._sentences():
            self._connection.close()

    def _prepare(self) -> None:
        self._connection.isolation_level = None
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        if found > self._schema.version:
            raise StoreError(
                f"{self._name} was written by a newer version of this program (format {found}, this one knows "
                f"{self._schema.version}); update the program, or move the file away."
            )
        if found < self._schema.version:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {self._schema.script} PRAGMA user_version={self._schema.version}; COMMIT;"
            )
        else:
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()

    @property
    def _name(self) -> str:
        return f"The {self._schema.noun} {self.path or '(in memory)'}"

    @contextmanager
    def _sentences(self) -> Generator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self._name} {_operational(str(error))}") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise StoreError(
                f"{self._name} is damaged ({error}); it was left as it is: move it away to begin a new one."
            ) from error
        except OSError as error:
            raise StoreError(f"{self._name} cannot be opened: {error.strerror or error}.") from error


def _operational(message: str) -> str:
    """The second half of the sentence for the failures that are nobody's bug."""
    if "locked" in message or "busy" in message:
        return "is locked by another process; close that program, or wait until it is done."
    if "readonly" in message:
        return "cannot be written: it is read-only; check its permissions."
    if "full" in message:
        return "cannot be written: the disk is full; free some space."
    if "unable to open" in message:
        return "cannot be opened; check that its folder exists and is writable."
    return f"cannot be used ({message}); move it away to begin a new one."

"""A small SQLite database of ours: opened safely, written in transactions, its failures told in one sentence.

It knows no table; ``agent.store`` and ``agent.journal`` bring their schemas. Damage is mended by ``agent.salvage``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from agent import salvage
from agent.database_schema import BUSY_SECONDS, Schema, connect, create, table_names
from agent.database_users import DatabaseUsers
from agent.errors import StoreError

# Up to this size the whole file is checked when it is opened, indexes too: a bit that flipped in one hides rows. A
# larger one is checked after something in it could not be read.
_CHECK_BYTES = 64_000_000


class Database:
    """One connection, used by one thread at a time; ``path`` None keeps everything in memory.

    Write-ahead log and ``synchronous=FULL``: what a transaction wrote survives a crash of the machine. ``notices`` are
    sentences on what had to be done to open it.
    """

    def __init__(self, path: Path | None, schema: Schema, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self.notices: list[str] = []
        self._schema = schema
        self._busy_seconds = busy_seconds
        self._lock = threading.RLock()
        self._users = DatabaseUsers(path)
        try:
            with self._sentences():
                self._connection = self._open()
        except BaseException:
            self._users.leave()
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

    def shrink(self) -> None:
        """Give the room of deleted rows back to the disk; raises StoreError."""
        self.rows("PRAGMA incremental_vacuum")

    def close(self) -> None:
        """Close the connection; nothing can be lost, every transaction is already with the system."""
        try:
            with self._lock, self._sentences():
                self._connection.close()
        finally:
            self._users.leave()

    def _open(self) -> sqlite3.Connection:
        """A connection to tables of this version; an older or damaged file is rebuilt first, and a copy of it kept."""
        if self.path is None:
            return self._prepared(None)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._users.enter()
        try:
            return self._prepared(self.path)
        except (_Older, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            if not self._users.alone():
                raise StoreError(
                    f"{self._name} has to be rebuilt ({error}), and another window has it open; close that one first."
                ) from error
            try:
                older = error.version if isinstance(error, _Older) else None
                self.notices.append(salvage.rebuild(self.path, self._schema, older))
                return self._prepared(self.path)
            finally:
                self._users.enter()

    def _prepared(self, path: Path | None) -> sqlite3.Connection:
        connection = connect(path, self._busy_seconds)
        try:
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if found > self._schema.version:
                raise StoreError(
                    f"{self._name} was written by a newer version of this program (format {found}, this one knows "
                    f"{self._schema.version}); update the program, or move the file away."
                )
            if found == 0 and tables:
                raise sqlite3.DatabaseError("its version is missing")
            if found == 0:
                create(connection, self._schema)
            elif found < self._schema.version:
                raise _Older(found)
            self._check(connection)
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Raises DatabaseError when the structure is damaged."""
        if self.path is None or (self.path.stat().st_size > _CHECK_BYTES and not self._suspect.exists()):
            return
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found.removeprefix("*** in database main ***\n").split("\n")[0])
        expected = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        missing = [name for name in table_names(self._schema) if name not in expected]
        if missing:
            raise sqlite3.DatabaseError(f"the table {missing[0]} is missing")
        self._suspect.unlink(missing_ok=True)

    @property
    def _suspect(self) -> Path:
        """A file that says: check everything when you open this the next time."""
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}.suspect")

    @property
    def _name(self) -> str:
        return f"The {self._schema.noun} {self.path or '(in memory)'}"

    @contextmanager
    def _sentences(self) -> Generator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self._name} {_operational(str(error))}") from error
        except sqlite3.DatabaseError as error:
            if self.path is not None:
                self._suspect.touch()
            raise StoreError(f"{self._name} is damaged ({error}); start again, and it is mended.") from error
        except OSError as error:
            raise StoreError(f"{self._name} cannot be opened: {error.strerror or error}.") from error


class _Older(sqlite3.DatabaseError):
    """The file has the tables of an older version."""

    def __init__(self, version: int) -> None:
        super().__init__(f"format {version}")
        self.version = version


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

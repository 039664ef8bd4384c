"""What a database file of ours is made of: the tables of a version, and how a connection to them is set up.

It mends nothing and knows no table.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

BUSY_SECONDS = 5.0  # how long another process may hold the database before it is an error


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one database; ``version`` is kept in ``PRAGMA user_version``. ``noun`` names it in messages.

    ``migrations`` fill the new tables from those of an older version, which is attached as ``old``. ``mend`` puts
    right what is missing between the tables after rows were lost. Both may call the ``functions``, of one argument.
    Tables have row ids: a damaged one is read by them; ``belongs`` says of a row that was found without its table
    whether it is one of ``table``.
    """

    noun: str
    version: int
    script: str
    migrations: Mapping[int, str] = field(default_factory=dict[int, str])
    mend: str = ""
    belongs: Callable[[str, Mapping[str, object]], bool] | None = None
    functions: Mapping[str, Callable[[bytes], str]] = field(default_factory=dict[str, Callable[[bytes], str]])


def connect(path: Path | None, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in write-ahead mode; raises sqlite3.Error. Text that is no UTF-8 any more does not stop a query."""
    connection = sqlite3.connect(path or ":memory:", timeout=busy_seconds, check_same_thread=False)
    connection.isolation_level = None
    connection.row_factory = sqlite3.Row
    connection.text_factory = _tolerant
    connection.create_function("checksum", -1, checksum, deterministic=True)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # What is deleted is gone: from the disk, and for the reading of damaged files.
        connection.execute("PRAGMA secure_delete=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def create(connection: sqlite3.Connection, schema: Schema) -> None:
    """Make the tables in an empty database."""
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.executescript(f"BEGIN IMMEDIATE; {schema.script} PRAGMA user_version={schema.version}; COMMIT;")


def table_names(schema: Schema) -> list[str]:
    """The tables that a schema makes, in its order."""
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(schema.script)
        found = empty.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        return [row[0] for row in found]


def checksum(*values: object) -> int:
    """The CRC-32 of a row's values; also a function in SQL. SQLite itself does not notice a changed bit in a text."""
    return zlib.crc32("\0".join(map(str, values)).encode("utf-8", "surrogatepass"))


def _tolerant(content: bytes) -> str:
    return content.decode("utf-8", "replace")

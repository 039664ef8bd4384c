"""Rebuilds a database file: from an older version's tables, or from what can still be read of a damaged one.

The old file is never written; it stays beside the new one under another name. It knows no table.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from agent.carving import PAGE_BYTES, carve
from agent.database_schema import Schema, connect, create, table_names

_LAST_ROW = 2**40  # above any row id that we give
_MAX_ATTEMPTS = 20_000  # of reading a stretch of rows around damaged places: some seconds at most


def rebuild(path: Path, schema: Schema, older: int | None) -> str:
    """Put a whole database of the present version in place; a sentence on what was kept, and where the old file is.

    ``older`` is the version to migrate from; None: the file is damaged. The caller is the only one who has it open.
    Raises OSError or sqlite3.Error, and then the old file is in its place.
    """
    stamp = f"{datetime.now(UTC).astimezone():%Y%m%d-%H%M%S}"
    kept = _free_name(path, f"format-{older}" if older is not None else f"damaged-{stamp}")
    work, new = path.with_name(f"{path.name}.work"), path.with_name(f"{path.name}.new")
    _remove(work, new)
    try:
        for source, copy in ((path, work), (_wal(path), _wal(work))):
            if source.exists():
                shutil.copyfile(source, copy)
        with closing(connect(new)) as connection:
            create(connection, schema)
            for name, function in schema.functions.items():
                connection.create_function(name, 1, function)
            rows = _migrate(connection, work, schema, older) if older is not None else _rescue(connection, work, schema)
        _exchange(path, new, kept)
    finally:
        _remove(work, new)
    if older is not None:
        return f"The {schema.noun} was brought to a newer format; the old file is kept as {kept}."
    return f"The {schema.noun} {path} was damaged; {rows:,} rows could be kept, and the damaged file is now {kept}."


def _exchange(path: Path, new: Path, kept: Path) -> None:
    """The old file gets a second name, then the new one takes its place; its log must not meet the new file."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    os.link(path, kept)
    if _wal(path).exists():
        _wal(path).replace(_wal(kept))
    _shm(path).unlink(missing_ok=True)
    new.replace(path)


def _migrate(connection: sqlite3.Connection, work: Path, schema: Schema, older: int) -> int:
    connection.execute("ATTACH ? AS old", (str(work),))
    connection.executescript(f"BEGIN IMMEDIATE; {schema.migrations[older]} COMMIT;")
    connection.execute("DETACH old")
    return 0


def _rescue(connection: sqlite3.Connection, work: Path, schema: Schema) -> int:
    """Copy every row that can be read; how many."""
    names = table_names(schema)
    if not _readable(work, names):
        _borrow_first_page(work, schema)
    with suppress(sqlite3.Error), closing(connect(work)) as damaged:
        damaged.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # carving reads the file alone
    count = sum(_copy_table(connection, work, table) for table in names)
    count += _copy_stray_rows(connection, work, schema)
    connection.executescript(f"BEGIN IMMEDIATE; {schema.mend} COMMIT;")
    return count


def _readable(work: Path, names: Sequence[str]) -> bool:
    """Whether the list of tables in the damaged file is whole."""
    try:
        with closing(connect(work)) as damaged:
            found = {row[0] for row in damaged.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return found.issuperset(names)
    except sqlite3.Error:
        return False


def _borrow_first_page(work: Path, schema: Schema) -> None:
    """Give the damaged file the first page of a new one: tables begin at the same pages in all files of a version."""
    fresh = work.with_name(f"{work.name}.fresh")
    _remove(fresh)
    try:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
            create(connection, schema)
        page = bytearray(fresh.read_bytes()[:PAGE_BYTES])
    finally:
        _remove(fresh)
    pages = -(-work.stat().st_size // PAGE_BYTES)
    page[28:32] = pages.to_bytes(4, "big")  # size of the file
    page[32:40] = bytes(8)  # no free pages that we would know of
    with work.open("r+b") as file:
        file.write(page)
        file.truncate(pages * PAGE_BYTES)


def _copy_table(connection: sqlite3.Connection, work: Path, table: str) -> int:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    listed = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join("?" * (len(columns) + 1))
    query = f"SELECT rowid, {listed} FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid"  # noqa: S608 - names of ours
    insert = f"INSERT OR IGNORE INTO {table} (rowid, {listed}) VALUES ({marks})"  # noqa: S608 - as above
    count = 0
    connection.execute("BEGIN IMMEDIATE")
    for row in _rows(lambda: connect(work), query):
        with suppress(sqlite3.Error):  # a value that no such column can have
            count += connection.execute(insert, row).rowcount
    connection.execute("COMMIT")
    return count


def _copy_stray_rows(connection: sqlite3.Connection, work: Path, schema: Schema) -> int:
    """Copy the rows of pages that no tree leads to any more. Deleted rows are not among them: they are overwritten."""
    tables = {table: connection.execute(f"PRAGMA table_info({table})").fetchall() for table in table_names(schema)}
    count = 0
    connection.execute("BEGIN IMMEDIATE")
    for row in carve(work):
        for table, columns in tables.items():
            if len(row.values) != len(columns):
                continue
            # The row id stands for an INTEGER PRIMARY KEY, whose own place in the row is empty.
            pairs = zip(columns, row.values, strict=True)
            values = {column["name"]: row.rowid if _is_row_id(column) else value for column, value in pairs}
            if schema.belongs is not None and schema.belongs(table, values):
                count += _insert(connection, table, {"rowid": row.rowid, **values})
                break
    connection.execute("COMMIT")
    return count


def _insert(connection: sqlite3.Connection, table: str, values: Mapping[str, object]) -> int:
    names, marks = ", ".join(f'"{name}"' for name in values), ", ".join("?" * len(values))
    try:
        statement = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - names of ours
        return connection.execute(statement, tuple(values.values())).rowcount
    except sqlite3.Error:  # a value that no such column can have
        return 0


def _is_row_id(column: sqlite3.Row) -> bool:
    return column["pk"] == 1 and column["type"] == "INTEGER"


def _rows(opened: Callable[[], sqlite3.Connection], query: str) -> Iterator[tuple[object, ...]]:
    """Every row that can be read: around a damaged place by halving the stretch of row ids."""
    stretches = [(-(2**40), _LAST_ROW)]
    attempts = 0
    try:
        damaged = opened()
    except sqlite3.Error:
        return
    with closing(damaged):
        damaged.row_factory = None
        while stretches and attempts < _MAX_ATTEMPTS:
            attempts += 1
            first, last = stretches.pop()
            try:
                for row in damaged.execute(query, (first, last)):
                    first = int(row[0]) + 1
                    yield row
            except (sqlite3.Error, OverflowError):
                if first < last:
                    middle = (first + last) // 2
                    stretches += [(middle + 1, last), (first, middle)]


def _free_name(path: Path, ending: str) -> Path:
    names = (path.with_name(f"{path.name}.{ending}{number or ''}") for number in range(1000))
    return next(name for name in names if not name.exists())


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _shm(path: Path) -> Path:
    return path.with_name(f"{path.name}-shm")


def _remove(*paths: Path) -> None:
    for path in paths:
        for each in (path, _wal(path), _shm(path)):
            each.unlink(missing_ok=True)

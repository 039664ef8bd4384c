"""Reads rows out of the leaf pages of a SQLite file, wherever they lie: for pages that no tree leads to any more.

The format is https://www.sqlite.org/fileformat.html, section 2; only table leaves and their overflow pages are read.
It knows no table; ``agent.salvage`` decides which rows belong where.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = 4096  # SQLite's default, which all our files have
_LEAF = 13
_MOST_LOCAL = PAGE_BYTES - 35  # bytes of a payload that lie on the leaf itself
_LEAST_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
_MAX_PAYLOAD = 1_000_000_000
_FIXED = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}  # serial type -> bytes

Value = int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Carved:
    """A row as it lies on a page; a column that aliases the row id is None."""

    rowid: int
    values: tuple[Value, ...]


def carve(path: Path) -> Iterator[Carved]:
    """Every row on a leaf page that can be read; what is damaged within a page is passed over."""
    with path.open("rb") as file:
        content = file.read()
    for start in range(0, len(content) - PAGE_BYTES + 1, PAGE_BYTES):
        header = start + (100 if start == 0 else 0)
        if content[header] != _LEAF:
            continue
        cells = int.from_bytes(content[header + 3 : header + 5], "big")
        for number in range(min(cells, PAGE_BYTES // 4)):
            at = header + 8 + 2 * number
            offset = int.from_bytes(content[at : at + 2], "big")
            if header - start + 8 <= offset < PAGE_BYTES and (row := _cell(content, start, offset)) is not None:
                yield row


def _cell(content: bytes, page: int, offset: int) -> Carved | None:
    try:
        size, at = _varint(content, page + offset)
        rowid, at = _varint(content, at)
        if not 0 < size <= min(_MAX_PAYLOAD, len(content)):
            return None
        local = size
        if size > _MOST_LOCAL:
            local = _LEAST_LOCAL + (size - _LEAST_LOCAL) % (PAGE_BYTES - 4)
            local = local if local <= _MOST_LOCAL else _LEAST_LOCAL
        if at + local > page + PAGE_BYTES:
            return None
        payload = content[at : at + local]
        if local < size:
            payload += _overflow(content, content[at + local : at + local + 4], size - local)
        return Carved(rowid, _record(payload))
    except (IndexError, ValueError, KeyError, OverflowError):
        return None


def _overflow(content: bytes, first: bytes, size: int) -> bytes:
    """The rest of a payload; raises ValueError where the chain of pages is broken."""
    pieces: list[bytes] = []
    number = int.from_bytes(first, "big")
    while size > 0:
        start = (number - 1) * PAGE_BYTES
        piece = content[start + 4 : start + min(PAGE_BYTES, 4 + size)] if number > 0 else b""
        if not piece:
            raise ValueError("the chain of overflow pages is broken")
        pieces.append(piece)
        size -= len(piece)
        number = int.from_bytes(content[start : start + 4], "big")
    return b"".join(pieces)


def _record(payload: bytes) -> tuple[Value, ...]:
    """Raises ValueError, IndexError or KeyError for what is no record."""
    header_size, at = _varint(payload, 0)
    types: list[int] = []
    while at < header_size:
        kind, at = _varint(payload, at)
        types.append(kind)
    values: list[Value] = []
    position = header_size
    for kind in types:
        size = _FIXED[kind] if kind < 12 else (kind - 12) // 2
        piece = payload[position : position + size]
        if len(piece) != size:
            raise ValueError("the record is cut off")
        values.append(_value(kind, piece))
        position += size
    if position != len(payload):
        raise ValueError("the record is longer than its columns")
    return tuple(values)


def _value(kind: int, piece: bytes) -> Value:
    if kind == 0:
        return None
    if kind == 7:
        return float(struct.unpack(">d", piece)[0])
    if kind in (8, 9):
        return kind - 8
    if kind < 12:
        return int.from_bytes(piece, "big", signed=True)
    return piece if kind % 2 == 0 else piece.decode("utf-8")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for index in range(8):
        byte = content[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    value = value << 8 | content[at + 8]
    return value - (1 << 64) if value >= 1 << 63 else value, at + 9

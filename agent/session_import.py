"""Reads a session that ``agent sessions export`` wrote: one JSON object a line, from a file that may hold anything.

It keeps nothing; ``agent.store`` does. Token ids are not taken over: they are only good for the process that made them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agent.errors import UsageError
from agent.message_json import from_json
from agent.messages import Message

_MAX_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ImportedSession:
    """What the file held; ``lost`` counts lines that are no message."""

    title: str
    messages: tuple[Message, ...]
    lost: int


def read_export(name: str) -> ImportedSession:
    """The session in a file, or on standard input (``-``); raises UsageError when there is none."""
    try:
        if name == "-":
            return _read(sys.stdin, "standard input")
        path = Path(name)
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{name} is larger than {_MAX_BYTES // 1_000_000_000} GB; that is no session.")
        with path.open(encoding="utf-8", errors="replace") as file:
            return _read(file, name)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.") from error


def _read(lines: Iterable[str], name: str) -> ImportedSession:
    title: str | None = None
    messages: list[Message] = []
    lost = 0
    for line in lines:
        if not line.strip():
            continue
        if title is None:
            title = _title(line, name)
            continue
        try:
            messages.append(from_json(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            lost += 1
    if not messages:
        raise UsageError(f"{name} holds no messages; `agent sessions export ID` writes a file that can be imported.")
    return ImportedSession(title or "", tuple(messages), lost)


def _title(line: str, name: str) -> str:
    """The title in the first line; raises UsageError when that is no session's record."""
    try:
        record = cast("dict[str, object]", json.loads(line))
        if record["kind"] == "session":
            return str(record.get("title", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise UsageError(f"{name} is no exported session: its first line is not a session's record.")

"""Completion while typing: what stands before the cursor, and which candidates fit it; pure.

Where files come from is the caller's matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import TypeVar

MOST = 50  # candidates that are worth scrolling through
_FILE = re.compile(r"(?:^|(?<=\s))@([^\s@]*)$")
_ARGUMENT = re.compile(r"/([\w-]+) (\S*)")
_BOUNDARY = frozenset("/_-. ")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One line of the list: what it shows, what it inserts, and what is said of it."""

    label: str
    insert: str
    help: str = ""
    takes: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is being completed: ``kind`` is "command", "argument" (of ``command``) or "file", ``typed`` the word so far,
    ``start`` its column."""

    kind: str
    typed: str
    start: int
    command: str = ""


def wanted(line: str, column: int, *, first_line: bool) -> Wanted | None:
    """What stands before the cursor and can be completed."""
    before = line[:column]
    if first_line and before.startswith("/") and " " not in before and "/" not in before[1:]:
        return Wanted("command", before[1:], 0)
    if first_line and (match := _ARGUMENT.fullmatch(before)):
        return Wanted("argument", match[2], match.start(2), match[1])
    if match := _FILE.search(before):
        return Wanted("file", match[1], match.start())
    return None


def files(typed: str, names: Sequence[str]) -> list[Candidate]:
    """The files that fit, best first; a name with blanks is quoted."""
    found = fuzzy(typed, names, lambda name: name) if typed else list(names[:MOST])
    return [Candidate(name, f'@"{name}" ' if " " in name else f"@{name} ") for name in found]


def fuzzy(typed: str, items: Iterable[T], text_of: Callable[[T], str]) -> list[T]:
    """The items whose text has the typed characters in this order, best first."""
    needle = typed.lower()
    rated = ((rate(needle, text_of(item)), at, item) for at, item in enumerate(items))
    found = [(score, -at, item) for score, at, item in rated if score > 0]
    return [item for _, _, item in nlargest(MOST, found, key=lambda each: each[:2])]


def rate(needle: str, text: str) -> float:
    """How well ``needle`` (lower case) fits; 0 when its characters do not come in this order.

    Runs and beginnings of words count most, the file's own name more than its folders, short names more than long.
    """
    low = text.lower()
    name = low.rfind("/") + 1
    if (at := low.find(needle, name)) >= 0 or (at := low.find(needle)) >= 0:
        start = 30 if at == name else (20 if at == 0 or low[at - 1] in _BOUNDARY else 10)
        return 100 + start + (10 if at >= name else 0) - len(text) / 100
    score, at, before = 0.0, -1, -2
    for character in needle:
        at = low.find(character, at + 1)
        if at < 0:
            return 0.0
        score += 3 if at == before + 1 else (2 if at == 0 or low[at - 1] in _BOUNDARY else 0.5)
        before = at
    return max(0.01, score - len(text) / 100)


def mentioned(text: str, names: Iterable[str]) -> list[str]:
    """The files that a message names with ``@``, in order, each once."""
    known = set(names)
    found = (
        match[1] or match[2].rstrip(".,;:!?)") for match in re.finditer(r'(?:^|(?<=\s))@(?:"([^"\n]+)"|(\S+))', text)
    )
    return list(dict.fromkeys(name for name in found if name in known))

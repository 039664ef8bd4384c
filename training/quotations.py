"""How an edit quotes a file: from the beginning of the line until it is told what is wrong, and what names one place.

A small model finds a line more easily than a token: failures quote lines, and a line's first words say which it is. It
goes on until the mistake, whole words of it, and as far as it must so that the piece stands in the file once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.matching import Match, find

Pair = tuple[str, str]
"""Text of a file, and what comes in its place."""

_WORD = re.compile(r"\w+")
_NEXT = re.compile(r"\s*(?:\w+|[^\w\s]|$)")
_BLANKS = " \t"


def common_ends(old: Sequence[object], new: Sequence[object]) -> tuple[int, int]:
    """How many elements both begin with, and with how many of the others both end."""
    shorter = min(len(new), len(old))
    before = next((at for at in range(shorter) if new[at] != old[at]), shorter)
    behind = next((at for at in range(shorter - before) if new[-1 - at] != old[-1 - at]), shorter - before)
    return before, behind


def shortened(pair: Pair, text: str) -> Pair:
    """The same change of ``text`` by a shorter quotation; the pair itself where there is none.

    ``pair`` holds whole lines that stand in the text once.
    """
    offset = text.index(pair[0])
    wanted = text[:offset] + pair[1] + text[offset + len(pair[0]) :]
    before, behind = common_ends(pair[0], pair[1])
    first = offset + before
    start, end = _start(text, wanted, first), _end(text, first, offset + len(pair[0]) - behind)
    while end < len(text) and (text[end - 1] in _BLANKS or not _names(text, start, end)):
        match = _NEXT.match(text, end)
        end = max(end + 1, match.end() if match else 0)
    if not _names(text, start, end):
        return pair
    return text[start:end], wanted[start : end + len(wanted) - len(text)]


def _start(text: str, wanted: str, place: int) -> int:
    """Where the line's words begin that the place is in; the line itself where its margin changes."""
    line = text.rfind("\n", 0, place) + 1
    words = line
    while words < len(text) and text[words] in _BLANKS:
        words += 1
    wider = words == place and wanted[place : place + 1] in tuple(_BLANKS)
    return line if wider or words > place else words


def _end(text: str, first: int, last: int) -> int:
    """The end of the word that ``last`` is in; of the next one, where nothing of the line would be quoted."""
    if last < len(text) and _WORD.match(text, last) and (last == first or _WORD.match(text, last - 1)):
        match = _WORD.match(text, last)
        return match.end() if match else last
    return last


def _names(text: str, start: int, end: int) -> bool:
    """Whether the edit tool takes the piece to mean the place that it is from."""
    found = find(text, text[start:end], "") if text[start:end].strip() else None
    return isinstance(found, Match) and found.start == start

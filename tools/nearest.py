"""Which lines of a text are most like a quotation that was not found in it, to show them; bounded in time.

It never says that they are what was meant.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from difflib import SequenceMatcher

_MAX_LINES = 20_000
_MAX_COMPARED = 3_000  # lines that difflib looks at; about 0.1 s
_MAX_PLACES = 50  # a line that stands in more places tells nothing
_MIN_RATIO = 0.5


def nearest_lines(text: str, old: str) -> tuple[int, int] | None:
    """First and last line (from 1) of the region most like ``old``; None when nothing is."""
    lines = [" ".join(line.split()) for line in text.split("\n")[:_MAX_LINES]]
    wanted = [" ".join(line.split()) for line in old.strip("\n").split("\n")][:200]
    if not any(wanted):
        return None
    start = _by_equal_lines(lines, wanted)
    if start is None:
        start = _by_similar_line(lines, wanted)
    if start is None:
        return None
    first = max(0, start)
    return first + 1, max(first + 1, min(len(lines), start + len(wanted)))


def _by_equal_lines(lines: list[str], wanted: list[str]) -> int | None:
    """The start that most of the quotation's lines agree on; longer lines weigh more."""
    places: dict[str, list[int]] = defaultdict(list)
    needed = {line for line in wanted if len(line) > 3}
    for at, line in enumerate(lines):
        if line in needed:
            places[line].append(at)
    votes: Counter[int] = Counter()
    for index, line in enumerate(wanted):
        if len(places.get(line, ())) <= _MAX_PLACES:
            for at in places.get(line, ()):
                votes[at - index] += len(line)
    return max(votes, key=lambda start: (votes[start], -start)) if votes else None


def _by_similar_line(lines: list[str], wanted: list[str]) -> int | None:
    """Where the line most like the quotation's longest one stands."""
    longest = max(wanted, key=len)[:300]
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(longest)
    best, best_ratio = None, _MIN_RATIO
    for at, line in enumerate(lines[:_MAX_COMPARED]):
        if not line:
            continue
        matcher.set_seq1(line[:300])
        if matcher.real_quick_ratio() > best_ratio and matcher.quick_ratio() > best_ratio:
            ratio = matcher.ratio()
            if ratio > best_ratio:
                best, best_ratio = at, ratio
    return None if best is None else best - wanted.index(max(wanted, key=len))

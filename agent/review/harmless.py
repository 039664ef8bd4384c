"""Which of a change's hunks certainly do the same as what they replaced.

It asks no model. A hunk is put back alone (or two of them, for what is changed in two places): where the code
around has the same normal form either way, it need not be judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

from agent.review.equivalent import same_code
from tools.code import Symbol
from tools.git_changes import ChangedFile, Hunk

_MOST_HUNKS = 40  # of one definition, or of the code outside of any; a larger change is judged as it is
_MOST_FOR_PAIRS = 6


def harmful_hunks(file: ChangedFile, symbols: Sequence[Symbol]) -> list[Hunk]:
    """The hunks that may do something else than before, in order. ``symbols`` are the new file's definitions."""
    if file.old is None or file.new is None:
        return list(file.hunks)
    lines = (file.old.splitlines(), file.new.splitlines())
    harmless: set[Hunk] = set()
    for place, hunks in _by_place(file.hunks, symbols, len(lines[1])).items():
        if len(hunks) <= _MOST_HUNKS:
            harmless.update(_harmless(file.path, lines, place, hunks))
    return [hunk for hunk in file.hunks if hunk not in harmless]


def _harmless(path: str, lines: tuple[list[str], list[str]], place: tuple[int, int], hunks: list[Hunk]) -> set[Hunk]:
    """Those of one place's hunks that change nothing: all together, else one by one, else in pairs."""

    def keeps(*some: Hunk) -> bool:
        new = "\n".join(lines[1][place[0] - 1 : place[1]])
        return same_code(path, "\n".join(_put_back(lines, place, some)), new, whole=True)

    if keeps(*hunks):
        return set(hunks)
    found = {hunk for hunk in hunks if len(hunks) > 1 and keeps(hunk)}
    left = [hunk for hunk in hunks if hunk not in found]
    if 2 < len(left) <= _MOST_FOR_PAIRS:
        found.update(hunk for pair in combinations(left, 2) if keeps(*pair) for hunk in pair)
    return found


def _put_back(lines: tuple[list[str], list[str]], place: tuple[int, int], hunks: Iterable[Hunk]) -> list[str]:
    """The new lines of ``place`` (first and last, from 1) with the old ones where ``hunks`` are."""
    old, new = lines
    text = list(new[: place[1]])
    for hunk in sorted(hunks, key=lambda each: -each.new_start):
        start = hunk.new_start - 1
        text[start : start + hunk.new_count] = old[hunk.old_start - 1 : hunk.old_start - 1 + hunk.old_count]
    return text[place[0] - 1 :]


def _by_place(hunks: Sequence[Hunk], symbols: Sequence[Symbol], count: int) -> dict[tuple[int, int], list[Hunk]]:
    """The hunks by the outermost definition that holds all of their lines; those in none by the whole file."""
    places: dict[tuple[int, int], list[Hunk]] = defaultdict(list)
    for hunk in hunks:
        last = hunk.new_start + max(1, hunk.new_count) - 1
        around = [s for s in symbols if s.start_line <= hunk.new_start and last <= s.end_line]
        outer = max(around, key=lambda s: s.end_line - s.start_line, default=None)
        places[(outer.start_line, outer.end_line) if outer else (1, count)].append(hunk)
    return places

"""A change as passages to be judged: changed lines in one definition, before and after, with what stands around them.

It asks no model.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from agent.review.equivalent import renames, same_code
from agent.review.harmless import harmful_hunks
from tools.code import Symbol, definitions
from tools.git_changes import ChangedFile, Hunk
from tools.syntax import language_of

_MOST_LINES = 40  # of one passage; a longer piece of new code is judged in parts
_TAIL = 3  # unchanged lines behind a change: where it does not fit, they become unlikely
_ABOVE = 14  # lines right above a change; on two cores a line costs a small model about 50 ms
_TOP = 12  # first lines of a longer definition: its parameters and what it promises


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines ``start``..``end`` (from 1, of the new file) around those that the change wrote, ``changed``.

    ``context`` stands before them in both versions; ``old`` and ``new`` are the two versions, each with the same few
    unchanged lines, ``tail``, at its end. ``old`` is empty where there was nothing: such code is not judged by a model.
    Variables that were renamed have their old names.
    """

    path: str
    name: str
    start: int
    end: int
    changed: tuple[int, ...]
    context: str
    old: str
    new: str
    tail: str = ""

    @property
    def versions(self) -> tuple[str, str]:
        """Old and new as they are compared: without the tail, unless nothing would be left of one of them.

        Lines behind a change cost as much to read as the change, and comparing what both versions do to them tells
        mistakes from other changes no better (docs/decisions/0008-review-by-likelihood.md).
        """
        old, new = self.old.removesuffix(self.tail), self.new.removesuffix(self.tail)
        return (old, new) if old.strip() and new.strip() else (self.old, self.new)

    @property
    def size(self) -> int:
        """How much there is to read, in characters."""
        return len(self.context) + sum(map(len, self.versions))

    @property
    def key(self) -> str:
        """A hash of all that a judgement depends on."""
        parts = (self.path, self.context, *self.versions)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def passages(file: ChangedFile) -> list[Passage]:
    """The passages of a file, in order; none for a file in no language that we know, or that is gone."""
    if file.new is None or language_of(file.path) is None:
        return []
    symbols = _symbols(file.path, file.new)
    pairs = _pairs(file, symbols)
    lines = ((file.old or "").splitlines(), file.new.splitlines())
    hunks = harmful_hunks(file, symbols)
    found: list[Passage] = []
    for group in _groups(hunks, symbols):
        symbol = _around(symbols, group[0])
        passage = _passage(file, group, symbol, lines, was_there=symbol in pairs)
        if symbol in pairs:
            passage = _seen_through(passage, renames(file.path, *pairs[symbol]))
        if not same_code(file.path, passage.old, passage.new, whole=False) and passage.new.strip():
            found.append(passage)
    return found


def _symbols(path: str, text: str) -> list[Symbol]:
    return [s for s in definitions(path, text.encode("utf-8", "replace")) if s.kind != "class"]


def _pairs(file: ChangedFile, symbols: Sequence[Symbol]) -> dict[Symbol, tuple[str, str]]:
    """For definitions of the new file that the old one has too: their old and new text."""
    assert file.new is not None
    if file.old is None:
        return {}
    before = {symbol.qualified_name: symbol for symbol in _symbols(file.path, file.old)}
    old_lines, new_lines = file.old.splitlines(), file.new.splitlines()
    return {
        symbol: (_code(old_lines, before[symbol.qualified_name]), _code(new_lines, symbol))
        for symbol in symbols
        if symbol.qualified_name in before
    }


def _seen_through(passage: Passage, names: dict[str, str]) -> Passage:
    """The passage with the old names of renamed variables: a new name is no mistake, and would look like one."""
    context, new = passage.context, passage.new
    for came, gone in names.items():
        pattern = re.compile(rf"(?<![\w.]){re.escape(came)}(?!\w)")
        context, new = pattern.sub(gone, context), pattern.sub(gone, new)
    return replace(passage, context=context, new=new)


def _code(lines: list[str], symbol: Symbol) -> str:
    return textwrap.dedent(_text(lines[symbol.start_line - 1 : symbol.end_line]))


def _around(symbols: Sequence[Symbol], hunk: Hunk) -> Symbol | None:
    around = [s for s in symbols if s.start_line <= hunk.new_start <= s.end_line]
    return min(around, key=lambda s: s.end_line - s.start_line, default=None)


def _groups(hunks: Sequence[Hunk], symbols: Sequence[Symbol]) -> list[list[Hunk]]:
    """Hunks of one definition that stand near one another; long new code in parts."""
    groups: list[list[Hunk]] = []
    for hunk in (part for whole in hunks for part in _parts(whole, symbols)):
        last = groups[-1][-1] if groups else None
        near = last is not None and hunk.new_start - (last.new_start + last.new_count) <= _TAIL
        if last is not None and near and _around(symbols, last) == _around(symbols, hunk):
            first = groups[-1][0]
            if hunk.new_start + hunk.new_count - first.new_start <= _MOST_LINES:
                groups[-1].append(hunk)
                continue
        groups.append([hunk])
    return groups


def _parts(hunk: Hunk, symbols: Sequence[Symbol]) -> list[Hunk]:
    """New code without an old side is cut where definitions begin, and again where it is too long."""
    if hunk.old_count or hunk.new_count <= 1:
        return [hunk]
    end = hunk.new_start + hunk.new_count
    edges = sorted({hunk.new_start, end, *(s.start_line for s in symbols if hunk.new_start < s.start_line < end)})
    return [
        Hunk(hunk.old_start, 0, at, min(_MOST_LINES, stop - at))
        for start, stop in pairwise(edges)
        for at in range(start, stop, _MOST_LINES)
    ]


def _passage(
    file: ChangedFile,
    group: Sequence[Hunk],
    symbol: Symbol | None,
    lines: tuple[list[str], list[str]],
    *,
    was_there: bool,
) -> Passage:
    old_lines, new_lines = lines
    first, last = group[0], group[-1]
    old_from, new_from = first.old_start - 1, first.new_start - 1
    old_to, new_to = last.old_start - 1 + last.old_count, last.new_start - 1 + last.new_count
    tail = new_lines[new_to : min(new_to + _TAIL, symbol.end_line if symbol else len(new_lines))]
    return Passage(
        path=file.path,
        name=symbol.qualified_name if symbol else file.path,
        start=new_from + 1,
        end=max(new_to, new_from + 1),
        changed=tuple(n for hunk in group for n in range(hunk.new_start, hunk.new_start + hunk.new_count)),
        context=_context(new_lines, new_from, symbol),
        old=_text([*old_lines[old_from:old_to], *tail]) if old_to > old_from or was_there else "",
        new=_text([*new_lines[new_from:new_to], *tail]),
        tail=_text(tail),
    )


def _context(lines: list[str], upto: int, symbol: Symbol | None) -> str:
    """The lines right above the change, below the head of its definition where that is further up."""
    if symbol is None or symbol.start_line - 1 >= upto:
        return _text(lines[max(0, upto - _ABOVE) : upto])
    start = symbol.start_line - 1
    if upto - start <= _TOP + _ABOVE:
        return _text(lines[start:upto])
    return _text([*lines[start : start + _TOP], "    # ...", *lines[upto - _ABOVE : upto]])


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)

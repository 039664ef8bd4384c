"""Unified diffs as lines with syntax colours: one column where it is narrow, two side by side where it is wide.

It computes no diff; what it cannot read as one is shown as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from tui.palette import Palette
from tui.rendering.highlight import TAB, highlight
from tui.rendering.lines import Canvas, Line, filled

SIDE_BY_SIDE = 110  # cells; two columns of less than 50 would fold most lines
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a hunk; ``sign`` is a space, ``+``, ``-`` or a backslash; numbers are None where a side has none."""

    sign: str
    old: int | None
    new: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """Neighbouring changes; ``title`` is what stands behind the ``@@``."""

    title: str
    rows: tuple[Row, ...]


def parse(diff: str) -> tuple[Hunk, ...]:
    """The hunks of one file's unified diff; none when it has none (binary files, an empty new file)."""
    hunks: list[Hunk] = []
    rows: list[Row] = []
    old = new = 0
    for line in diff.split("\n"):
        if match := _HUNK.match(line):
            rows = []
            old, new = int(match[1]), int(match[2])
            hunks.append(Hunk(match[3], ()))
        elif hunks and line[:1] in (" ", "+", "-", "\\") and line:
            sign = line[0]
            rows.append(Row(sign, old if sign in " -" else None, new if sign in " +" else None, line[1:]))
            old += sign in " -"
            new += sign in " +"
            hunks[-1] = Hunk(hunks[-1].title, tuple(rows))
    return tuple(hunks)


class DiffRenderer:
    """Renders diffs in one width and palette."""

    def __init__(self, width: int, palette: Palette) -> None:
        self._canvas = Canvas(width)
        self._palette = palette

    def lines(self, path: str, diff: str) -> list[Line]:
        """The lines of one file's diff."""
        hunks = parse(diff)
        if not hunks:
            body = [Text(line.expandtabs(TAB), self._palette.muted) for line in diff.split("\n") if line]
            return [line for each in body for line in self._canvas.wrapped(each)]
        wide = self._canvas.width >= SIDE_BY_SIDE and any(row.sign == "-" for hunk in hunks for row in hunk.rows)
        lines: list[Line] = []
        for number, hunk in enumerate(hunks):
            if number:
                lines.append([Segment("⋮", Style.parse(self._palette.faint))])
            lines += self._split(path, hunk) if wide else self._unified(path, hunk)
        return lines

    def _unified(self, path: str, hunk: Hunk) -> list[Line]:
        width = _digits(hunk)
        lines: list[Line] = []
        for row, text in zip(hunk.rows, self._coloured(path, hunk), strict=True):
            number = row.new if row.new is not None else row.old
            lines += self._cell(row.sign, number, text, (self._canvas.width, width))
        return lines

    def _split(self, path: str, hunk: Hunk) -> list[Line]:
        """Old on the left, new on the right; changed lines stand beside each other."""
        digits = _digits(hunk)
        half = (self._canvas.width - 1) // 2
        texts = dict(zip((id(row) for row in hunk.rows), self._coloured(path, hunk), strict=True))
        gap = Segment("│", Style.parse(self._palette.faint))
        lines: list[Line] = []
        for left, right in _pairs(hunk.rows):
            one = [] if left is None else self._cell(left.sign, left.old, texts[id(left)].copy(), (half, digits))
            two = [] if right is None else self._cell(right.sign, right.new, texts[id(right)].copy(), (half, digits))
            lines += [
                [*filled(a, half, Style.null()), gap, *b] for a, b in zip_longest(one, two, fillvalue=list[Segment]())
            ]
        return lines

    def _cell(self, sign: str, number: int | None, text: Text, widths: tuple[int, int]) -> list[Line]:
        """One line of a side: number, sign, text; on its colour over the whole width."""
        width, digits = widths
        palette = self._palette
        back = Style.parse({"+": palette.added, "-": palette.removed}.get(sign, ""))
        mark = Style.parse({"+": palette.added_mark, "-": palette.removed_mark}.get(sign, palette.faint))
        shown = f"{number if number is not None else '':>{digits}} "
        lines: list[Line] = []
        for part in self._canvas.wrapped(text, width - digits - 3) or [[]]:
            head = [Segment(shown, Style.parse(palette.faint)), Segment(f"{sign} ", mark)]
            lines.append(filled([*head, *part], width, back) if sign in "+-" else [*head, *part])
            shown, sign = " " * (digits + 1), " " if sign == "\\" else sign
        return lines

    def _coloured(self, path: str, hunk: Hunk) -> Iterator[Text]:
        """The text of each row; old and new are highlighted apart, as each is a program of its own."""
        language = path.rsplit("/", 1)[-1] or "text"
        old = iter(highlight("\n".join(row.text for row in hunk.rows if row.sign in " -"), language, self._palette))
        new = iter(highlight("\n".join(row.text for row in hunk.rows if row.sign in " +"), language, self._palette))
        for row in hunk.rows:
            if row.sign == " ":
                next(old, None)
            source = old if row.sign == "-" else new
            plain = Text(row.text.expandtabs(TAB), self._palette.muted, end="")
            yield plain if row.sign == "\\" else next(source, plain)


def _pairs(rows: tuple[Row, ...]) -> Iterator[tuple[Row | None, Row | None]]:
    removed: list[Row] = []
    added: list[Row] = []
    for row in rows:
        if row.sign == "-":
            if added:
                yield from zip_longest(removed, added)
                removed, added = [], []
            removed.append(row)
        elif row.sign == "+":
            added.append(row)
        elif row.sign == " ":
            yield from zip_longest(removed, added)
            removed, added = [], []
            yield row, row
    yield from zip_longest(removed, added)


def _digits(hunk: Hunk) -> int:
    return max(2, max((len(str(max(row.old or 0, row.new or 0))) for row in hunk.rows), default=1))

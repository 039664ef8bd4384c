"""Entries as strips of the transcript: the latest are kept, and rows that an entry had before are used again.

It knows neither heights nor places; the transcript does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.palette import Palette
from tui.rendering.entries import EntryRenderer, Look
from tui.rendering.lines import Line
from tui.view_state import Entry

# A strip is some thirty objects to Python's garbage collector, whose pauses grow with their number: a few screens.
KEPT_ROWS = 600

_LEAST_KEPT = 8  # entries, however long: as many may be in view at once

Rendered = tuple[Entry | None, list[Line], list[Strip]]


class EntryStrips:
    """Renders entries in one width, palette and base style."""

    def __init__(self, width: int, palette: Palette, style: Style) -> None:
        self.width = width
        self._style = style
        self._renderer = EntryRenderer(width - 2, palette)
        # Not CSS's padding: with it textual builds each row anew in each frame, and nothing that a strip keeps is used.
        self._margin = Segment(" ", style)
        self._kept: OrderedDict[int, Rendered] = OrderedDict()
        self._rows = 0

    def of(self, entry: Entry, look: Look) -> list[Strip]:
        """The rows of an entry. The same entry gives the same rows until it is ``stale``, whatever the look."""
        before = self._kept.get(entry.key)
        if before is not None and before[0] is entry:
            self._kept.move_to_end(entry.key)
            return before[2]
        lines = self._renderer.lines(entry, look)
        strips = [self._strip(line) for line in lines] if before is None else self._changed(lines, before)
        self._keep(entry.key, (entry, lines, strips))
        return strips

    def kept(self, entry: Entry) -> list[Strip]:
        """The rows that an entry of this key was last shown with; none when they are not kept."""
        before = self._kept.get(entry.key)
        return [] if before is None else before[2]

    def stale(self, entry: Entry) -> None:
        """Render this entry anew when it is next asked for: its look, or the time, has changed."""
        if (before := self._kept.get(entry.key)) is not None:
            self._kept[entry.key] = (None, *before[1:])

    def _changed(self, lines: list[Line], before: Rendered) -> list[Strip]:
        """The strips of lines, those that were there before at the same place used again."""
        _, old, strips = before
        same = min(len(old), len(lines))
        return [
            strips[at] if at < same and (line is old[at] or line == old[at]) else self._strip(line)
            for at, line in enumerate(lines)
        ]

    def _keep(self, key: int, rendered: Rendered) -> None:
        if (before := self._kept.pop(key, None)) is not None:
            self._rows -= len(before[2])
        self._kept[key] = rendered
        self._rows += len(rendered[2])
        while self._rows > KEPT_ROWS and len(self._kept) > _LEAST_KEPT:
            _, (_, _, strips) = self._kept.popitem(last=False)
            self._rows -= len(strips)

    def _strip(self, line: Line) -> Strip:
        style = self._style
        segments = [Segment(each.text, style + each.style if each.style else style) for each in line]
        cells = 1 + sum(cell_len(each.text) for each in line)
        return Strip([self._margin, *segments], cells).adjust_cell_length(self.width, style)


def selected(strip: Strip, span: tuple[int, int]) -> Strip:
    """The strip with its cells from ``span[0]`` to ``span[1]`` (-1: the end) shown as selected."""
    length = strip.cell_length
    start, end = span[0], length if span[1] == -1 else min(length, span[1])
    if start >= end:
        return strip
    before, chosen, after = strip.crop(0, start), strip.crop(start, end), strip.crop(end, length)
    reverse = Style(reverse=True)
    chosen = Strip([Segment(each.text, (each.style or Style.null()) + reverse) for each in chosen])
    return Strip.join([before, chosen, after])


def same_rows(before: Sequence[Strip], after: Sequence[Strip]) -> int:
    """How many rows at the beginning are the very same."""
    same = 0
    for one, other in zip(before, after, strict=False):
        if one is not other:
            break
        same += 1
    return same

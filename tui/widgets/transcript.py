"""The conversation on the screen: a list of any length of which only the visible part is ever rendered.

It knows entries and lines, no session; what a click or a key on an entry means is posted as a message.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

from rich.style import Style
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from tui.palette import Palette
from tui.rendering.entries import Look
from tui.view_state import CallState, Entry, Prompted, Thought, ToolCard
from tui.widgets.entry_strips import EntryStrips, same_rows, selected

_ALWAYS_EXACT = 3  # entries at the end whose height is measured at once
_MOVING = (CallState.RUNNING, CallState.WAITING)


class TranscriptView(ScrollView, can_focus=False):
    """Shows entries; follows the end until the user scrolls away from it.

    Heights of entries that were never visible are estimated. When one comes into view its true height is put in, and
    the position is moved along, so that what the user looks at stays where it is.
    """

    ALLOW_SELECT = True

    def __init__(self, palette: Palette, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._palette = palette
        self._strips = EntryStrips(0, palette, Style.null())
        self._entries: tuple[Entry, ...] = ()
        self._heights: list[int] = []
        self._exact: list[bool] = []
        self._ends: list[int] = []  # row behind each entry
        self._expanded: frozenset[int] = frozenset()
        self._all_expanded = False
        self._thoughts_shown = False
        self._now = 0.0
        self._settling = False
        self.following = True

    def show(self, entries: tuple[Entry, ...], now: float) -> None:
        """Show these entries; those that are the same objects as before cost nothing."""
        self._now = now
        first = self._first_change(entries)
        if first is None:
            return
        self._entries = entries
        before = self._strips.kept(entries[first]) if first < len(entries) else []
        del self._heights[first:], self._exact[first:]
        for at in range(first, len(entries)):
            exact = at >= len(entries) - _ALWAYS_EXACT
            self._heights.append(len(self._strips_of(at)) if exact else self._estimate(entries[at]))
            self._exact.append(exact)
        after = self._strips.kept(entries[first]) if before else []
        self._lay_out(first, same_rows(before, after))

    def tick(self, now: float) -> None:
        """Let running clocks show ``now``."""
        self._now = now
        for at in range(max(0, len(self._entries) - 12), len(self._entries)):
            entry = self._entries[at]
            moving = isinstance(entry, ToolCard) and entry.state in _MOVING
            if moving or (isinstance(entry, Thought) and not entry.done):
                self._strips.stale(entry)
                self._refresh_rows(at)

    def use_palette(self, palette: Palette) -> None:
        """Draw everything in other colours."""
        self._palette = palette
        self._rebuild()

    def toggle_all(self) -> bool:
        """Unfold everything, or fold it again; whether it is unfolded now."""
        self._all_expanded = not self._all_expanded
        self._expanded = frozenset()
        self._rebuild()
        return self._all_expanded

    def show_thoughts(self, shown: bool) -> None:
        """Unfold thoughts, or fold them."""
        self._thoughts_shown = shown
        self._rebuild()

    def to_end(self) -> None:
        """Follow the end again."""
        self.following = True
        self.scroll_end(animate=False, immediate=True, x_axis=False)

    def to_prompt(self, step: int) -> None:
        """Scroll to the message of the user's that is ``step`` (-1 or 1) away from the top row."""
        rows = [end - height for entry, end, height in self._rows() if isinstance(entry, Prompted)]
        top = round(self.scroll_y)
        wanted = [row for row in rows if (row < top if step < 0 else row > top)]
        if wanted:
            self.scroll_to(y=wanted[-1] if step < 0 else wanted[0], animate=False)

    # --- textual's calls

    def on_resize(self, event: Resize) -> None:
        """Everything folds anew in another width."""
        del event  # its size is with the scrollbar
        if self._width != self._strips.width:
            self._rebuild()
        elif self.following:
            self.to_end()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Rows that come into view get their true height."""
        super().watch_scroll_y(old_value, new_value)
        if not self._settling:
            self.following = new_value >= self.max_scroll_y - 1
            self._settle()

    def on_click(self, event: Click) -> None:
        """Fold or unfold the entry under the pointer."""
        at = self._entry_at(round(self.scroll_y) + event.y)
        if at is None or not isinstance(self._entries[at], ToolCard | Thought) or self.text_selection is not None:
            return
        self._expanded = self._expanded ^ {self._entries[at].key}
        self._strips.stale(self._entries[at])
        self._heights[at] = len(self._strips_of(at))
        self._exact[at] = True
        self._lay_out(at)

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        row = round(self.scroll_y) + y
        width = self._width
        at = self._entry_at(row)
        if at is None:
            return Strip.blank(width, self.rich_style)
        strips = self._strips_of(at)
        inside = row - (self._ends[at] - self._heights[at])
        strip = strips[inside] if inside < len(strips) else Strip.blank(width, self.rich_style)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(row)) is not None:
            strip = selected(strip, span)
        return strip.apply_offsets(0, row)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text that is selected with the mouse."""
        first = selection.start.y if selection.start is not None else 0
        last = selection.end.y if selection.end is not None else (self._ends[-1] if self._ends else 0)
        lines: list[str] = []
        for row in range(first, last + 1):
            at = self._entry_at(row)
            strips = [] if at is None else self._strips_of(at)
            inside = row - (self._ends[at] - self._heights[at]) if at is not None else 0
            text = strips[inside].text if inside < len(strips) else ""
            span = selection.get_span(row) or (0, -1)
            lines.append(text[span[0] : None if span[1] == -1 else span[1]].rstrip())
        return "\n".join(lines), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw what is selected."""
        del selection  # drawing asks for it again
        self.refresh()

    def notify_style_update(self) -> None:
        """The theme changed."""
        super().notify_style_update()
        self._strips = EntryStrips(self._strips.width, self._palette, self.rich_style)

    # --- heights and rows

    def _first_change(self, entries: tuple[Entry, ...]) -> int | None:
        before = self._entries
        if before is entries:
            return None
        for at, (one, other) in enumerate(zip(before, entries, strict=False)):
            if one is not other:
                return at
        return None if len(before) == len(entries) else min(len(before), len(entries))

    def _rebuild(self) -> None:
        """Render everything anew: another width, palette or folding."""
        top = self._entry_at(round(self.scroll_y))
        self._strips = EntryStrips(self._width, self._palette, self.rich_style)
        self._heights = [self._estimate(entry) for entry in self._entries]
        self._exact = [False] * len(self._entries)
        for at in range(max(0, len(self._entries) - _ALWAYS_EXACT), len(self._entries)):
            self._heights[at], self._exact[at] = len(self._strips_of(at)), True
        self._lay_out(0)
        if not self.following and top is not None:
            self.scroll_to(y=self._ends[top] - self._heights[top], animate=False)

    def _lay_out(self, first: int, unchanged: int = 0) -> None:
        """Recompute rows from an entry on, and show what changed; its first ``unchanged`` rows did not."""
        start = self._ends[first - 1] if first else 0
        before = self._ends[-1] if self._ends else 0
        del self._ends[first:]
        self._ends += list(accumulate(self._heights[first:], initial=start))[1:]
        size = Size(self._strips.width, self._ends[-1] if self._ends else 0)
        if size != self.virtual_size:
            # The widget's own size never depends on its content: no layout of the screen is needed.
            self.set_reactive(cast("Reactive[Size]", Widget.virtual_size), size)
            self._scroll_update(size)
        if self.following:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
        self._settle()
        scrolled = round(self.scroll_y)
        top = max(0, start + unchanged - scrolled)
        bottom = min(self.size.height, max(before, size.height) - scrolled)
        if bottom > top:
            self.refresh(Region(0, top, self.size.width, bottom - top))

    def _settle(self) -> None:
        """Measure every entry in view; keep what is looked at in its place."""
        self._settling = True
        try:
            for _ in range(8):  # each round may bring another entry into view
                if not self._settle_once():
                    return
        finally:
            self._settling = False

    def _settle_once(self) -> bool:
        top = round(self.scroll_y)
        first = self._entry_at(top)
        if first is None:
            return False
        for at in range(first, len(self._entries)):
            start = self._ends[at] - self._heights[at]
            if start > top + self.size.height:
                break
            if self._exact[at]:
                continue
            height = len(self._strips_of(at))
            grown = height - self._heights[at]
            self._heights[at], self._exact[at] = height, True
            if grown == 0:
                continue
            self._ends[at:] = [end + grown for end in self._ends[at:]]
            size = Size(self._strips.width, self._ends[-1])
            self.set_reactive(cast("Reactive[Size]", Widget.virtual_size), size)
            self._scroll_update(size)
            if self.following:
                self.scroll_end(animate=False, immediate=True, x_axis=False)
            elif start < top:
                self.scroll_to(y=max(0, top + grown), animate=False)
            self.refresh()
            return True
        return False

    def _rows(self) -> Sequence[tuple[Entry, int, int]]:
        return list(zip(self._entries, self._ends, self._heights, strict=True))

    def _entry_at(self, row: int) -> int | None:
        at = bisect_right(self._ends, row)
        return at if row >= 0 and at < len(self._entries) else None

    def _refresh_rows(self, at: int) -> None:
        start = self._ends[at] - self._heights[at] - round(self.scroll_y)
        self.refresh(Region(0, start, self.size.width, self._heights[at]))

    def _estimate(self, entry: Entry) -> int:
        """Rows that an entry may take; cheap, and put right when it comes into view."""
        match entry:
            case ToolCard():
                return 3 + min(40, sum(each.added + each.removed + 6 for each in entry.diffs))
            case Thought():
                return 2
            case _:
                text = getattr(entry, "text", "")
                width = max(10, self._strips.width - 4)
                return 1 + sum(1 + len(line) // width for line in text.split("\n")) if text else 2

    # --- rendering

    def _strips_of(self, at: int) -> list[Strip]:
        entry = self._entries[at]
        expanded = self._all_expanded or (self._thoughts_shown and isinstance(entry, Thought))
        return self._strips.of(entry, Look(expanded=expanded != (entry.key in self._expanded), now=self._now))

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width or self.size.width

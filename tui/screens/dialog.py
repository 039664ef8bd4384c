"""What every dialog has: its place at the bottom, a title, a line of keys, and Escape to leave it without an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from tui.palette import PALETTES, Palette
from tui.rendering.lines import Line

T = TypeVar("T")

SHORT = 22  # rows of a screen below which nothing is spent on looks


class Dialog(ModalScreen[T | None]):
    """A box at the bottom of the screen; subclasses say what is in it. Escape answers None."""

    BINDINGS = [Binding("escape", "leave", show=False)]  # noqa: RUF012 - as textual declares it

    def __init__(self, title: str, keys: str = "") -> None:
        super().__init__()
        self._title = title
        self._keys = keys

    @property
    def palette(self) -> Palette:
        """The colours of the theme."""
        theme = self.app.theme  # pyright: ignore[reportUnknownMemberType] - of an App of any result
        return PALETTES.get(theme, PALETTES["dark"])

    def compose(self) -> ComposeResult:
        """Title, body, keys."""
        with Vertical(id="box"):
            yield Static(Content(self._title), id="title")
            yield from self.body()
            if self._keys:
                yield Static(Content(self._keys), id="keys")

    def on_resize(self, event: Resize) -> None:
        """Spend no line on looks where there are few; textual calls this beside a subclass's own."""
        self.set_class(event.size.height < SHORT, "short")

    def body(self) -> ComposeResult:
        """What is asked."""
        yield from ()

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class LinesView(ScrollView, can_focus=True):
    """Rendered lines that can be scrolled; as high as they are, within what CSS allows."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines from their beginning."""
        self._lines = lines
        width = max((sum(each.cell_length for each in line) for line in lines), default=0)
        self.virtual_size = Size(width, len(lines))
        self.refresh(layout=True)

    def render_line(self, y: int) -> Strip:
        """One row."""
        row, width, style = round(self.scroll_y) + y, self.size.width, self.rich_style
        if row >= len(self._lines):
            return Strip.blank(width, style)
        segments = [Segment(each.text, style + (each.style or Style.null())) for each in self._lines[row]]
        return Strip(segments).adjust_cell_length(width, style)


def option_text(*parts: tuple[str, str] | str) -> Text:
    """A line for a list, without markup."""
    return Text.assemble(*parts, end="", no_wrap=True, overflow="ellipsis")

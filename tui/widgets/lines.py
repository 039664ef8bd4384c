"""Widgets of a few lines of styled text that are drawn without a layout of the screen."""

from __future__ import annotations

from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from tui.rendering.lines import Canvas, Line


class TextLines(Widget):
    """Shows lines of text; ``show`` changes them. Its height follows the number of lines unless CSS says otherwise."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._lines: list[Line] = []
        self._texts: list[Text] = []

    def show(self, *texts: Text) -> None:
        """Show these lines; what is too long is cut. Without lines the widget goes away."""
        if list(texts) == self._texts and [text.spans for text in texts] == [text.spans for text in self._texts]:
            return
        before = len(self._texts)
        self._texts = list(texts)
        if len(texts) != before:
            self.display = bool(texts)
            self.styles.height = len(texts)
        self.refresh()

    @property
    def plain(self) -> str:
        """What is shown, without styles."""
        return "\n".join(text.plain for text in self._texts)

    def render_line(self, y: int) -> Strip:
        """One line."""
        width, style = self.size.width, self.rich_style
        if y >= len(self._texts) or width == 0:
            return Strip.blank(width, style)
        text = self._texts[y].copy()
        text.no_wrap = True
        text.truncate(width, overflow="ellipsis")
        line = (Canvas(width).lines(text) or [[]])[0]
        return Strip(line).apply_style(style).adjust_cell_length(width, style)

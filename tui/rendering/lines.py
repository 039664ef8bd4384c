"""Rich renderables to lines of segments that are safe to print.

The last door: whatever a library made of clean text (Markdown knows entities such as ``&#x202e;``) is cleaned again.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from agent.clean import clean

Line = list[Segment]


class Canvas:
    """Turns renderables into lines of at most ``width`` cells."""

    def __init__(self, width: int) -> None:
        self.width = max(1, width)
        self._console = Console(
            file=io.StringIO(),
            width=self.width,
            height=1_000,
            force_terminal=True,
            color_system="truecolor",
            legacy_windows=False,
            markup=False,
            emoji=False,
            highlight=False,
            _environ={},
        )

    def lines(self, renderable: RenderableType, width: int | None = None) -> list[Line]:
        """The lines of one renderable, not padded."""
        options = self._console.options.update(width=max(1, self.width if width is None else width), height=None)
        return [safe(line) for line in self._console.render_lines(renderable, options, pad=False)]

    def wrapped(self, text: Text, width: int | None = None) -> list[Line]:
        """The lines of a text that may be folded anywhere, so that nothing is lost."""
        room = self.width if width is None else width
        if "\n" not in text.plain and cell_len(text.plain) <= room:  # most lines: no need to look for a place to fold
            text.end = ""
            if not text.spans:  # rich leaves the style out then
                return [safe([Segment(text.plain, self._console.get_style(text.style))])]
            return [safe(text.render(self._console))]
        text.overflow = "fold"
        text.no_wrap = False
        return self.lines(text, width)


def safe(line: Iterable[Segment]) -> Line:
    """The segments without control codes, links, actions, and invisible characters."""
    return [_safe(segment) for segment in line if not segment.control and segment.text]


def _safe(segment: Segment) -> Segment:
    text, style = segment.text, segment.style
    if not text.isascii() or not text.isprintable():
        text = clean(text).replace("\n", " ").replace("\t", "    ")
    if style is not None and (style.link or style.meta):
        style = Style.combine([style.without_color, Style(color=style.color, bgcolor=style.bgcolor)])
        style = style.clear_meta_and_links()
    return Segment(text, style)


def text_line(*parts: tuple[str, str] | str) -> Text:
    """A line of styled pieces, without markup."""
    return Text.assemble(*parts, end="", no_wrap=True, overflow="ellipsis")


def prefixed(lines: list[Line], first: Segment, rest: Segment | None = None) -> list[Line]:
    """The lines with something before each."""
    rest = rest or Segment(" " * cell_len(first.text))
    return [[first if number == 0 else rest, *line] for number, line in enumerate(lines)]


def plain(line: Line) -> str:
    """The text of a line."""
    return "".join(segment.text for segment in line)


def filled(line: Line, width: int, style: Style) -> Line:
    """The line on a background that reaches to ``width``."""
    missing = width - sum(segment.cell_length for segment in line)
    styled = [Segment(each.text, style + each.style if each.style else style) for each in line]
    return [*styled, Segment(" " * missing, style)] if missing > 0 else styled

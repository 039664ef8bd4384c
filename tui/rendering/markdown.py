"""Markdown as lines: calm headings, highlighted code, no links or actions for the terminal to follow.

A text that still grows is parsed from its last finished block on, never as a whole.
"""

from __future__ import annotations

import re
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme

from tui.palette import PALETTES, Palette
from tui.rendering.highlight import GrowingCode, highlight
from tui.rendering.lines import Canvas, Line, filled

_FENCE = re.compile(r"(`{3,}|~{3,})\s*([^`\s]*)")


class MarkdownRenderer:
    """Renders Markdown of one width and palette; keeps where growing texts stand, by their key.

    ``margin`` stands before each line and is not part of the width.
    """

    def __init__(self, width: int, palette: Palette, margin: str = "") -> None:
        self._canvas = Canvas(width)
        self._margin = Segment(margin)
        self._palette = palette
        self._theme = _theme(palette)
        self._growing: dict[int, _Growing] = {}

    def lines(self, text: str) -> list[Line]:
        """A whole text."""
        return self._placed(_trimmed(self._canvas.lines(_Themed(text, self._palette, self._theme))))

    def growing(self, key: int, text: str) -> list[Line]:
        """A text that began with what was given for this key before; call ``forget`` when it is complete.

        Lines that cannot change any more are the same objects each time.
        """
        state = self._growing.get(key)
        if state is None or not text.startswith(state.settled_text):
            state = self._growing[key] = _Growing()
        cut = settled_end(text, len(state.settled_text))
        if cut > len(state.settled_text):
            state.settled += self._block(text[len(state.settled_text) : cut])
            state.settled_text = text[:cut]
            state.code = None
        rest = text[cut:]
        return _trimmed(state.settled + (self._open_fence(state, rest) or self._block(rest)))

    def forget(self, key: int) -> None:
        """The text of this key is complete."""
        self._growing.pop(key, None)

    def _placed(self, lines: list[Line]) -> list[Line]:
        return [[self._margin, *line] for line in lines] if self._margin.text else lines

    def _block(self, text: str) -> list[Line]:
        lines = self.lines(text)
        return [*lines, []] if lines else []

    def _open_fence(self, state: _Growing, text: str) -> list[Line]:
        """The lines of a code block that is being written; none when ``text`` is something else."""
        opening, _, code = text.partition("\n")
        fence = _FENCE.match(opening)
        if fence is None or f"\n{fence[1]}" in f"\n{code}":
            return []
        if state.code is None:
            state.code, state.code_lines = GrowingCode(fence[2], self._palette), []
        settled, still_open = state.code.advance(code.rstrip("\n"))
        if settled:
            state.code_lines += self._code_lines(settled)
        return state.code_lines + self._code_lines(still_open)

    def _code_lines(self, code: list[Text]) -> list[Line]:
        return self._placed(code_lines(code, self._canvas, self._palette))


class _Growing:
    """How much of a growing text is settled, its lines, and the code block that is being written."""

    def __init__(self) -> None:
        self.settled_text = ""
        self.settled: list[Line] = []
        self.code: GrowingCode | None = None
        self.code_lines: list[Line] = []


def settled_end(text: str, start: int) -> int:
    """How far blocks from ``start`` on are complete: before an unfinished paragraph, list or code block."""
    settled, fence, blank = start, "", False
    at = start
    while (end := text.find("\n", at)) >= 0:
        line = text[at:end]
        opening = _FENCE.match(line)
        if fence:
            if line.startswith(fence) and not line.strip(fence[0]).strip():
                fence, settled = "", end + 1
        elif opening is not None:
            fence, settled = opening[1], at
        elif blank and line[:1].strip():
            settled = at  # a new block begins at the margin, so nothing before it can change
        blank = not line.strip()
        at = end + 1
    return settled


def code_lines(code: list[Text], canvas: Canvas, palette: Palette) -> list[Line]:
    """Highlighted code on its own background, folded where it is too wide."""
    back = Style.parse(palette.code_back)
    lines = [line for each in code for line in canvas.wrapped(each, canvas.width - 2) or [[]]]
    return [filled([Segment(" "), *line], canvas.width, back) for line in lines or [[]]]


class _Heading(Heading):
    """At the margin, whatever its level."""

    LEVEL_ALIGN: ClassVar = dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "left")


class _Code(CodeBlock):
    """Coloured with our palette."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        palette = PALETTES[self.theme]
        canvas = Canvas(options.max_width)
        code = highlight(str(self.text).rstrip("\n"), self.lexer_name, palette)
        for line in code_lines(code, canvas, palette):
            yield from line
            yield Segment("\n")


class _OurMarkdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
    }


class _Themed:
    """Markdown together with the styles that it is drawn in."""

    def __init__(self, text: str, palette: Palette, theme: Theme) -> None:
        self._text = text
        self._palette = palette
        self._theme = theme

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with console.use_theme(self._theme):
            shown = _OurMarkdown(self._text, self._palette.name, hyperlinks=False, style=self._palette.text)
            yield from console.render(shown, options)


def _theme(palette: Palette) -> Theme:
    return Theme(
        {
            "markdown.code": palette.code,
            "markdown.code_block": palette.text,
            "markdown.block_quote": palette.muted,
            "markdown.item.bullet": palette.accent,
            "markdown.item.number": palette.accent,
            "markdown.hr": palette.faint,
            "markdown.link": palette.accent,
            "markdown.link_url": palette.muted,
            "markdown.table.border": palette.faint,
            "markdown.table.header": f"{palette.muted} bold",
            "markdown.strong": "bold",
            "markdown.em": "italic",
            "markdown.s": "strike",
            **{f"markdown.h{level}": palette.heading for level in range(1, 7)},
        },
        inherit=True,
    )


def _trimmed(lines: list[Line]) -> list[Line]:
    """Without the blank lines at both ends."""
    first, last = 0, len(lines)
    while first < last and not _has_ink(lines[first]):
        first += 1
    while last > first and not _has_ink(lines[last - 1]):
        last -= 1
    return lines[first:last]


def _has_ink(line: Line) -> bool:
    return any(segment.text.strip() or (segment.style and segment.style.bgcolor) for segment in line)

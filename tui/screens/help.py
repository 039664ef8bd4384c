"""Help: the keys and the commands, on one page."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding

from tui.commands import COMMANDS
from tui.palette import Palette
from tui.rendering.lines import Line
from tui.screens.dialog import Dialog, LinesView

KEYS: Sequence[tuple[str, str]] = (
    ("Enter", "send; while it works: tell it with its next turn"),
    ("Tab", "queue: send when the present run has ended"),
    ("Shift+Enter, Ctrl+J", "new line (so does \\ before Enter)"),
    ("Esc", "interrupt, and keep what was done"),
    ("Esc Esc", "rewind to an earlier message"),
    ("Shift+Tab", "mode: ask first, accept edits, plan only"),
    ("@  /  !", "a file, a command, a shell line of your own"),
    ("↑ ↓", "earlier prompts"),
    ("Ctrl+R", "search earlier prompts"),
    ("Ctrl+G", "write the prompt in your editor"),
    ("Ctrl+O", "whole output of tools, or folded"),
    ("Ctrl+T", "todos and thoughts"),
    ("PgUp PgDn", "scroll; Ctrl+End follows again"),
    ("Ctrl+↑ Ctrl+↓", "to your message before or behind"),
    ("Ctrl+C", "copy the selection, else clear, else quit (twice)"),
    ("Ctrl+D", "quit"),
    ("?  F1", "this page"),
)


class HelpScreen(Dialog[None]):
    """Everything on one page that can be scrolled."""

    BINDINGS = [Binding("q,question_mark,enter", "leave", show=False)]  # noqa: RUF012 - as textual declares it

    def __init__(self) -> None:
        super().__init__("Help", "↑↓ PgUp PgDn scroll · Esc closes")

    def body(self) -> ComposeResult:
        """The page."""
        yield LinesView(id="page")

    def on_resize(self, event: events.Resize) -> None:
        """In one column or two, as the width allows."""
        lines = help_lines(max(40, event.size.width - 6), self.palette)
        page = self.query_one("#page", LinesView)
        page.styles.height = max(3, min(len(lines), event.size.height - 7))
        page.show(lines)
        page.focus()


def help_lines(width: int, palette: Palette) -> list[Line]:
    """The page, for a width."""
    commands = [(f"/{each.name}" + (f" [{each.takes}]" if each.takes else ""), each.help) for each in COMMANDS]
    if width < 120:
        return [_title("Keys", palette), *_column(KEYS, width, palette), [], _title("Commands", palette),
                *_column(commands, width, palette)]  # fmt: skip
    half = width // 2 - 1
    left = [_title("Keys", palette), *_column(KEYS, half, palette)]
    right = [_title("Commands", palette), *_column(commands, half, palette)]
    rows = max(len(left), len(right))
    left += [[] for _ in range(rows - len(left))]
    right += [[] for _ in range(rows - len(right))]
    return [
        [*a, Segment(" " * (half + 2 - sum(each.cell_length for each in a))), *b]
        for a, b in zip(left, right, strict=True)
    ]


def _title(text: str, palette: Palette) -> Line:
    return [Segment(text, Style.parse(palette.heading))]


def _column(rows: Sequence[tuple[str, str]], width: int, palette: Palette) -> list[Line]:
    first = max(cell_len(key) for key, _ in rows) + 2
    room = max(10, width - first)
    lines: list[Line] = []
    for key, text in rows:
        words, parts = text.split(), [""]
        for word in words:
            if parts[-1] and cell_len(parts[-1]) + 1 + cell_len(word) > room:
                parts.append(word)
            else:
                parts[-1] = f"{parts[-1]} {word}".strip()
        for at, part in enumerate(parts):
            shown = (key if at == 0 else "").ljust(first)
            shown += " " * (first - cell_len(shown))
            lines.append([Segment(shown, Style.parse(palette.accent)), Segment(part, Style.parse(palette.text))])
    return lines

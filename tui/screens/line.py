"""Asks for one line of text: a title, a file's name."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Input

from tui.screens.dialog import Dialog


class LineScreen(Dialog[str]):
    """Answers with the line; never with an empty one."""

    def __init__(self, title: str, value: str = "") -> None:
        super().__init__(title, "Enter keeps · Esc leaves")
        self._value = value

    def body(self) -> ComposeResult:
        """The line."""
        yield Input(self._value, id="line", compact=True, select_on_focus=False)

    def on_mount(self) -> None:
        """Typing goes on behind what is there."""
        self.query_one("#line", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        if event.value.strip():
            self.dismiss(event.value.strip())

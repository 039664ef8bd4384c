"""A question with a few answers, each with a key: trust, what a rewind restores, what becomes of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from agent.clean import clean
from tui.screens.dialog import Dialog, option_text


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: its key, what it is called by the caller, and what it says."""

    key: str
    id: str
    label: str


class QuestionScreen(Dialog[str]):
    """Answers with the id of the chosen reply."""

    def __init__(self, title: str, text: str, replies: Sequence[Reply]) -> None:
        super().__init__(title, f"{' '.join(reply.key for reply in replies)} or ↑↓ Enter · Esc leaves")
        self._text = clean(text)
        self._replies = replies

    def body(self) -> ComposeResult:
        """Text and answers."""
        if self._text:
            yield Static(Content(self._text), id="text")
        options = [Option(option_text(f"{reply.key}  {reply.label}"), id=reply.id) for reply in self._replies]
        yield OptionList(*options, id="answers", compact=True)

    def on_mount(self) -> None:
        """The arrows work at once."""
        self.query_one("#answers").focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(event.option_id)

    def on_key(self, event: events.Key) -> None:
        """A reply's own key."""
        reply = next((each for each in self._replies if each.key == event.character), None)
        if reply is not None:
            event.stop()
            self.dismiss(reply.id)

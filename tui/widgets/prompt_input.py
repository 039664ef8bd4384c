"""The prompt: multi-line editing, history, completion keys, large pastes as attachments.

It posts what the user wants; files, commands and history are given to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from agent.clean import clean
from tui.attachments import Attachments, is_large
from tui.prompt_history import HistoryWalk

_NEWLINE = ("shift+enter", "ctrl+j", "alt+enter")


class PromptInput(TextArea):
    """A text area that sends with Enter."""

    @dataclass
    class Sent(Message):
        """The user wants this said; ``queue`` asks to wait for the end of the run."""

        text: str
        queue: bool = False

    @dataclass
    class Typed(Message):
        """Text or cursor changed."""

    @dataclass
    class CompletionKey(Message):
        """A key for the open list of candidates: "up", "down", "accept", "run" or "close"."""

        action: str

    @dataclass
    class HelpWanted(Message):
        """A question mark at the beginning."""

    BINDINGS: ClassVar = []

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(
            id=id,
            soft_wrap=True,
            show_line_numbers=False,
            tab_behavior="focus",
            compact=True,
            highlight_cursor_line=False,
        )
        self._history: tuple[str, ...] = ()
        self._walk: HistoryWalk | None = None
        self.attachments = Attachments()
        self.completing = False

    def use_history(self, prompts: tuple[str, ...]) -> None:
        """The prompts that the arrow keys go through."""
        self._history = prompts
        self._walk = None

    def put(self, text: str) -> None:
        """Replace what is typed, the cursor behind it."""
        self.load_text(clean(text))
        self.move_cursor(self.document.end)

    def insert_completion(self, start: int, text: str) -> None:
        """Replace the word from column ``start`` to the cursor."""
        row, column = self.cursor_location
        self.replace(text, (row, start), (row, column), maintain_selection_offset=False)
        self.move_cursor((row, start + len(text)))

    def take(self) -> str:
        """What is typed, attachments put in; the prompt is empty then."""
        text = self.attachments.expand(self.text)
        self.attachments = Attachments()
        self.load_text("")
        self._walk = None
        return text

    async def _on_key(self, event: events.Key) -> None:
        """Our keys first; everything else is the text area's."""
        if self._handle(event.key):
            event.stop()
            event.prevent_default()

    def _handle(self, key: str) -> bool:
        if self.completing and (action := _COMPLETION_KEYS.get(key)):
            self.post_message(self.CompletionKey(action))
            return True
        match key:
            case "enter":
                self._send(queue=False)
            case "question_mark" if not self.text:
                self.post_message(self.HelpWanted())
            case "tab" if self.text.strip():
                self._send(queue=True)
            case "tab":
                return True
            case "up" if self.cursor_location[0] == 0 and self.cursor_at_first_line:
                return self._recall(up=True)
            case "down" if self.cursor_at_last_line:
                return self._recall(up=False)
            case _ if key in _NEWLINE:
                self.insert("\n")
            case _:
                return False
        return True

    async def _on_paste(self, event: events.Paste) -> None:
        """A large text becomes an attachment; controls are taken out of any."""
        event.prevent_default()
        event.stop()
        text = clean(event.text)
        if is_large(text):
            self.attachments, text = self.attachments.add(text)
        self.insert(text)

    def on_text_area_changed(self) -> None:
        """Tell of new text."""
        self.post_message(self.Typed())

    def _send(self, *, queue: bool) -> None:
        if self.text.endswith("\\") and not queue:  # the old way to say that more follows
            row, column = self.document.end
            self.replace("\n", (row, column - 1), (row, column))
        elif self.text.strip():
            self.post_message(self.Sent(self.take(), queue))

    def _recall(self, *, up: bool) -> bool:
        if self._walk is None:
            if not up:
                return False
            self._walk = HistoryWalk(self._history)
        found = self._walk.up(self.text) if up else self._walk.down()
        if found is None:
            return up
        self.load_text(clean(found))
        self.move_cursor((0, 0) if up else self.document.end)
        return True


_COMPLETION_KEYS = {
    "up": "up",
    "ctrl+p": "up",
    "down": "down",
    "ctrl+n": "down",
    "tab": "accept",
    "enter": "run",
    "escape": "close",
}

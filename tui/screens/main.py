"""The main screen: transcript, todos, what goes on, the prompt, the status line.

It shows the conductor's state and turns keys into messages; what they mean is the application's matter.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from tui.palette import Palette
from tui.status_text import Loading, activity_line, status_line, welcome
from tui.view_state import ViewState
from tui.widgets.candidates import CandidateList
from tui.widgets.lines import TextLines
from tui.widgets.prompt_input import PromptInput
from tui.widgets.transcript import TranscriptView

_MOST_TODOS = 8
_MOST_PENDING = 3
_MARKS = {"completed": ("✔", "ok"), "in_progress": ("▶", "accent"), "pending": ("○", "faint")}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the screen shows beside the state; ``memory`` in bytes, ``now`` on the fold's clock."""

    now: float
    memory: int = 0
    loading: Loading | None = None
    details: bool = True


class MainScreen(Screen[None]):
    """Everything but the dialogs."""

    @dataclass
    class Wanted(Message):
        """The user pressed a key that stands for an action of the application."""

        action: str

    BINDINGS = [  # noqa: RUF012 - as textual declares it
        Binding("escape", "want('escape')", show=False),
        Binding("shift+tab", "want('mode')", show=False, priority=True),
        Binding("ctrl+c", "want('clear')", show=False, priority=True),
        Binding("ctrl+d", "want('leave')", show=False, priority=True),
        Binding("ctrl+o", "want('expand')", show=False, priority=True),
        Binding("ctrl+t", "want('details')", show=False, priority=True),
        Binding("ctrl+g", "want('editor')", show=False, priority=True),
        Binding("ctrl+r", "want('search')", show=False, priority=True),
        Binding("ctrl+l", "want('redraw')", show=False, priority=True),
        Binding("f1", "want('help')", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
        Binding("ctrl+home", "top", show=False, priority=True),
        Binding("ctrl+end", "end", show=False, priority=True),
        Binding("ctrl+up", "prompt(-1)", show=False, priority=True),
        Binding("ctrl+down", "prompt(1)", show=False, priority=True),
    ]

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self._palette = palette
        self._second = 0

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield TranscriptView(self._palette, id="transcript")
        yield TextLines(id="welcome")
        yield TextLines(id="todos")
        yield TextLines(id="pending")
        yield TextLines(id="activity")
        yield CandidateList(self._palette, id="candidates")
        with Horizontal(id="prompt-row"):
            yield Static(Content("❯"), id="sign")
            yield PromptInput(id="prompt")
        yield TextLines(id="status")

    def on_mount(self) -> None:
        """Typing goes into the prompt."""
        self.prompt.focus()

    @property
    def prompt(self) -> PromptInput:
        """Where the user types."""
        return self.query_one("#prompt", PromptInput)

    @property
    def transcript(self) -> TranscriptView:
        """The conversation."""
        return self.query_one("#transcript", TranscriptView)

    @property
    def candidates(self) -> CandidateList:
        """The open list of completions."""
        return self.query_one("#candidates", CandidateList)

    def show(self, state: ViewState, facts: Facts) -> None:
        """Draw what changed."""
        palette, width = self._palette, self.size.width
        self.transcript.show(state.entries, facts.now)
        if int(facts.now) != self._second:
            self._second = int(facts.now)
            self.transcript.tick(facts.now)
        greeting = [] if state.entries else welcome(state.status, palette, width - 4)
        self.query_one("#welcome", TextLines).show(*greeting)
        activity = activity_line(state, facts.loading, facts.now, palette, width - 2)
        self.query_one("#activity", TextLines).show(*([activity] if activity.plain else []))
        self.query_one("#status", TextLines).show(status_line(state.status, facts.memory, palette, width - 2))
        self.query_one("#todos", TextLines).show(*(self._todos(state) if facts.details else []))
        self.query_one("#pending", TextLines).show(*self._pending(state))

    def use_palette(self, palette: Palette) -> None:
        """Draw in other colours."""
        self._palette = palette
        self.transcript.use_palette(palette)
        self.candidates.use_palette(palette)

    def action_want(self, action: str) -> None:
        """Hand a key on."""
        self.post_message(self.Wanted(action))

    def action_page(self, pages: int) -> None:
        """Scroll the conversation by nearly a screen."""
        view = self.transcript
        view.scroll_relative(y=pages * max(1, view.size.height - 2), animate=False)

    def action_top(self) -> None:
        """To the beginning."""
        self.transcript.scroll_home(animate=False)

    def action_end(self) -> None:
        """To the end, and follow it."""
        self.transcript.to_end()

    def action_prompt(self, step: int) -> None:
        """To the user's message before or behind."""
        self.transcript.to_prompt(step)

    def _todos(self, state: ViewState) -> list[Text]:
        items = state.todos
        if not items or all(item.status == "completed" for item in items):
            return []
        first = next((at for at, item in enumerate(items) if item.status != "completed"), 0)
        first = max(0, min(first - 1, len(items) - _MOST_TODOS))
        lines: list[Text] = []
        for item in items[first : first + _MOST_TODOS]:
            mark, role = _MARKS.get(item.status, _MARKS["pending"])
            style = self._palette.faint if item.status == "completed" else self._palette.text
            lines.append(
                Text.assemble((f"{mark} ", getattr(self._palette, role)), (" ".join(item.text.split()), style), end="")
            )
        done = sum(item.status == "completed" for item in items)
        return [Text(f"todo · {done} of {len(items)} done", self._palette.faint, end=""), *lines]

    def _pending(self, state: ViewState) -> list[Text]:
        shown = state.pending[-_MOST_PENDING:]
        return [
            Text.assemble(
                ("↳ " if each.steer else "≡ ", self._palette.accent),
                ("with the next turn: " if each.steer else "next: ", self._palette.faint),
                (" ".join(each.text.split()), self._palette.muted),
                end="",
            )
            for each in shown
        ]

"""A list to choose from, narrowed by typing; keys of its own may stand for other actions on the chosen line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tui.completion import fuzzy
from tui.screens.dialog import Dialog


@dataclass(frozen=True, slots=True)
class Choice:
    """One line: its id, what it shows, and the plain text that typing searches."""

    id: str
    text: Text
    searched: str


@dataclass(frozen=True, slots=True)
class Picked:
    """What was chosen; ``action`` is "choose" or what one of the keys stands for."""

    id: str
    action: str = "choose"


@dataclass(frozen=True, slots=True)
class PickerOptions:
    """How a picker looks: ``keys`` maps keys to actions, ``chosen`` is the id to begin with."""

    title: str
    keys: Mapping[str, str]
    legend: str
    chosen: str | None = None
    placeholder: str = "Type to search"


class PickerScreen(Dialog[Picked]):
    """Shows choices; Enter chooses."""

    BINDINGS = [  # noqa: RUF012 - as textual declares it
        Binding("down,ctrl+n", "move(1)", show=False, priority=True),
        Binding("up,ctrl+p", "move(-1)", show=False, priority=True),
        Binding("pagedown", "move(8)", show=False, priority=True),
        Binding("pageup", "move(-8)", show=False, priority=True),
    ]

    def __init__(self, choices: Sequence[Choice], options: PickerOptions) -> None:
        super().__init__(options.title, options.legend)
        self._choices = choices
        self._options = options

    def body(self) -> ComposeResult:
        """Search, list."""
        yield Input(placeholder=self._options.placeholder, id="search", compact=True)
        yield OptionList(id="choices", compact=True)

    def on_mount(self) -> None:
        """Everything is shown; typing narrows it."""
        self._fill(self._choices)
        chosen = next((at for at, each in enumerate(self._choices) if each.id == self._options.chosen), 0)
        self._list.highlighted = chosen if self._choices else None
        self.query_one("#search").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        typed = event.value.strip()
        self._fill(fuzzy(typed, self._choices, lambda each: each.searched) if typed else self._choices)
        self._list.highlighted = 0 if self._list.option_count else None

    def on_input_submitted(self) -> None:
        """Enter."""
        self._pick("choose")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        self.dismiss(Picked(event.option_id or ""))

    def on_key(self, event: events.Key) -> None:
        """The keys that stand for other actions."""
        if action := self._options.keys.get(event.key):
            event.stop()
            event.prevent_default()
            self._pick(action)

    def action_move(self, step: int) -> None:
        """Another line."""
        count = self._list.option_count
        if count:
            at = (self._list.highlighted or 0) + step
            self._list.highlighted = at % count if abs(step) == 1 else max(0, min(count - 1, at))

    @property
    def _list(self) -> OptionList:
        return self.query_one("#choices", OptionList)

    def _fill(self, choices: Sequence[Choice]) -> None:
        self._list.clear_options()
        self._list.add_options([Option(each.text, id=each.id) for each in choices])

    def _pick(self, action: str) -> None:
        at = self._list.highlighted
        if at is not None:
            self.dismiss(Picked(self._list.get_option_at_index(at).id or "", action))

"""The approval dialog: what would happen, unabridged, and the answers once, session, always, no with a reason.

It decides nothing: the answer goes back to the caller. What could deceive the eye is named by who asks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from agent.permissions import Decision
from tui.palette import Palette
from tui.rendering.diffs import DiffRenderer
from tui.rendering.highlight import highlight
from tui.rendering.lines import Canvas, Line, plain
from tui.screens.dialog import SHORT, Dialog, LinesView, option_text
from tui.view_state import Approval

_CHANGED = re.compile(r"\s*\d+ +[+-] |.*│ *\d+ +[+-] ")


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer; ``interrupt`` ends the run as well."""

    decision: Decision
    note: str = ""
    interrupt: bool = False


class ApprovalScreen(Dialog[Answered]):
    """Asks about one call."""

    BINDINGS = [  # noqa: RUF012 - as textual declares it
        Binding("y,1", "choose('allow')", show=False),
        Binding("s,2", "choose('allow_session')", show=False),
        Binding("a,3", "choose('allow_always')", show=False),
        Binding("n,4", "choose('deny')", show=False),
        Binding("pageup", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(1)", show=False),
    ]

    def __init__(self, asked: Approval) -> None:
        what = "Run this command?" if asked.is_command else f"{asked.name.capitalize()} {asked.path or 'this'}?"
        super().__init__(what, "y s a n or ↑↓ Enter · PgUp PgDn scroll · Esc refuses and interrupts")
        self._asked = asked

    def body(self) -> ComposeResult:
        """Reason, warnings, the thing itself, the answers."""
        yield Static(Content(self._asked.reason[:1].upper() + self._asked.reason[1:]), id="reason")
        yield LinesView(id="preview")
        yield Static(id="warning")
        yield OptionList(*self._options(), id="answers", compact=True)
        yield Input(placeholder="Why not? The model is told. (Enter without a reason is a plain no)", id="why")

    def on_mount(self) -> None:
        """The answers have the focus; nothing dangerous is one key repeat away."""
        self.query_one("#why").display = False
        self.query_one("#answers").focus()

    def on_resize(self, event: events.Resize) -> None:
        """Fold the preview for this width."""
        width = max(20, event.size.width - 6)
        lines = preview_lines(self._asked, width, self.palette)
        room = self._room(event.size.height, width)
        if len(lines) > room:
            room = max(3, room - 1 - (40 + len(_last_line(self._asked.preview))) // width)  # the sentence that says so
        view = self.query_one("#preview", LinesView)
        view.styles.height = min(len(lines), room)
        view.show(lines)
        if len(lines) > room and not self._asked.is_command:
            # What changes is to be seen first, not the lines above it.
            self.call_after_refresh(view.scroll_to, y=max(0, _first_change(lines) - 1), animate=False)
        warning = self.query_one("#warning", Static)
        said = list(self._asked.warnings)
        if len(lines) > room and not any("ends with" in each for each in said):
            said.append(f"{len(lines) - room} more lines below; it ends with: {_last_line(self._asked.preview)}")
        warning.update(Content("\n".join(said)))
        warning.display = bool(said)

    def _room(self, height: int, width: int) -> int:
        """Rows for the preview: what border, title, reason, warnings, answers and keys leave of nine tenths."""
        warnings = sum(1 + len(each) // width for each in self._asked.warnings)
        margins = 0 if height < SHORT else 3
        return max(3, int(0.9 * height) - 6 - margins - warnings - len(self._decisions()))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click on an answer."""
        self.action_choose(event.option_id or "deny")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The reason is complete."""
        self.dismiss(Answered(Decision.DENY, event.value.strip()))

    def action_choose(self, name: str) -> None:
        """Answer, or ask for the reason first."""
        decision = Decision(name)
        if decision not in self._decisions():
            return
        if decision is not Decision.DENY:
            self.dismiss(Answered(decision))
            return
        self.query_one("#answers").display = False
        why = self.query_one("#why", Input)
        why.display = True
        why.focus()

    def action_scroll(self, pages: int) -> None:
        """Move through a long preview."""
        self.query_one("#preview", LinesView).scroll_relative(y=pages * 8, animate=False)

    def action_leave(self) -> None:
        """Escape: back from the reason, else refuse and interrupt."""
        why = self.query_one("#why", Input)
        if why.display:
            why.display = False
            answers = self.query_one("#answers")
            answers.display = True
            answers.focus()
        else:
            self.dismiss(Answered(Decision.DENY, interrupt=True))

    def _decisions(self) -> tuple[Decision, ...]:
        asked = self._asked
        session = (Decision.ALLOW_SESSION,) if asked.remember or not asked.is_command else ()
        always = (Decision.ALLOW_ALWAYS,) if asked.remember else ()
        return (Decision.ALLOW, *session, *always, Decision.DENY)

    def _options(self) -> list[Option]:
        muted = self.palette.muted if self.is_attached else ""
        rule = self._asked.remember or ""
        covered = f"`{rule[1:]}`" if rule.startswith("=") else f"`{rule} …`"
        session = covered if self._asked.is_command else "all edits"
        said = {
            Decision.ALLOW: ("y", "Yes, once", ""),
            Decision.ALLOW_SESSION: ("s", "Yes, for this session", session),
            Decision.ALLOW_ALWAYS: ("a", "Yes, always in this repository", covered),
            Decision.DENY: ("n", "No, and say why", ""),
        }
        return [
            Option(option_text(f"{key}  {label}", (f"  {more}" if more else "", muted)), id=decision.value)
            for decision in self._decisions()
            for key, label, more in (said[decision],)
        ]


def preview_lines(asked: Approval, width: int, palette: Palette) -> list[Line]:
    """The command or the diff, folded so that nothing of it is cut off."""
    if not asked.is_command:
        return DiffRenderer(width, palette).lines(asked.path, asked.preview)
    canvas = Canvas(width)
    return [
        line
        for text in highlight(asked.preview, "bash", palette)
        for line in canvas.wrapped(_marked(text, palette)) or [[]]
    ]


def _marked(text: Text, palette: Palette) -> Text:
    """What was made visible, and characters beyond ASCII, stand out."""
    text.highlight_regex(r"<U\+[0-9A-F]+>|<\d+ (?:blanks|empty lines)>|[^\x00-\x7f]+", f"{palette.warn} reverse")
    return text


def _first_change(lines: Sequence[Line]) -> int:
    return next((at for at, line in enumerate(lines) if _CHANGED.match(plain(line))), 0)


def _last_line(text: str) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    return lines[-1].strip()[-200:] if lines else ""

"""What every part of the application works with: host, conductor, main screen, theme; and drawing in time.

It knows no command and no key: ``tui.app`` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import App
from textual.events import Event, InputEvent

from agent.errors import AgentError
from agent.events import (
    AgentEvent,
    PrefillProgressed,
    RunFinished,
    TextStreamed,
    ThoughtStreamed,
    ToolCallStreamed,
    ToolOutputStreamed,
)
from inference.errors import EngineError
from tui.conductor import Conductor
from tui.garbage import QuietCollector
from tui.host import Host
from tui.memory import resident_bytes
from tui.pace import Pace
from tui.palette import PALETTES, Palette, themes
from tui.preferences import Preferences
from tui.prompt_history import PromptHistory
from tui.screens.approval import Answered, ApprovalScreen
from tui.screens.main import Facts, MainScreen
from tui.status_text import Loading
from tui.terminal import LastingDriver
from tui.view_state import Approval, ViewState

_FRAME_SECONDS = 0.1  # between two pictures of a stream at the least
_MEMORY_FRAMES = 20  # frames between two looks at our own memory
_STREAMED = (TextStreamed, ThoughtStreamed, ToolCallStreamed, ToolOutputStreamed, PrefillProgressed)
_REST_SECONDS = 5.0  # between two thoughts of looking for garbage
_BELL_AFTER = 10.0  # seconds of a run after which its end is worth a bell


class Desk(App[int]):
    """The application without its commands."""

    def __init__(self, host: Host, *, colourless: bool = False) -> None:
        # Said here already: from NO_COLOR textual would else make shades of grey, black on black where colours are the
        # terminal's own.
        super().__init__(driver_class=LastingDriver, ansi_color=True if colourless else None)
        self.animation_level = "none"
        self.host = host
        self.conductor = Conductor(self._changed)
        self.preferences = Preferences(host.setup.state / "tui.json")
        self.history = PromptHistory(host.setup.state / "prompts.jsonl")
        self.collector = QuietCollector()
        self.loading_state: Loading | None = None
        self.details = True
        self._main: MainScreen | None = None
        self._next: asyncio.TimerHandle | None = None
        self._pace = Pace()
        self._frames = 0
        self._memory = 0
        self._dirty = True
        self._asking: str | None = None
        for theme in themes():
            self.register_theme(theme)
        self.theme = "plain" if colourless else self.preferences.theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What our style sheet names beyond textual's own variables."""
        return {"faint": "#808080", "border": "#808080", "chosen": "#808080"}

    @property
    def main(self) -> MainScreen:
        """The main screen."""
        assert self._main is not None
        return self._main

    @property
    def palette(self) -> Palette:
        """The colours of the theme."""
        return PALETTES.get(self.theme, PALETTES["dark"])

    @property
    def state(self) -> ViewState:
        """What is shown."""
        return self.conductor.state

    def on_mount(self) -> None:
        """The main screen."""
        self._main = MainScreen(self.palette)
        self.push_screen(self._main)
        self.set_interval(_REST_SECONDS, self.collector.rest)

    async def on_event(self, event: Event) -> None:
        """Every key and click comes through here first."""
        if isinstance(event, InputEvent):
            self.collector.key()
        await super().on_event(event)

    def work(self, job: Callable[[], Awaitable[None]]) -> None:
        """Run a job beside the screen; what goes wrong in the world is told in the transcript."""

        async def guarded() -> None:
            try:
                await job()
            except (AgentError, EngineError) as error:
                self.show_loading(None)
                self.conductor.say(str(error), is_error=True)

        self.run_worker(guarded(), exit_on_error=True)

    async def ask(self, screen: Any) -> Any:
        """Show a dialog and wait for its answer; only for jobs of ``work``."""
        return await self.push_screen_wait(screen)

    def show_loading(self, loading: Loading | None) -> None:
        """Say what is waited for before the session is open; None: nothing any more."""
        self.loading_state = loading
        self.redraw()

    def show_details(self, shown: bool) -> None:
        """Todos, or thoughts in their place."""
        self.details = shown
        self.main.transcript.show_thoughts(not shown)
        self.redraw()

    def use_theme(self, name: str) -> None:
        """Draw in other colours, now and at the next start."""
        self.theme = name
        self.preferences.keep_theme(name)
        self.main.use_palette(self.palette)
        self.redraw()

    def call_attention(self) -> None:
        """Somebody who looks elsewhere should look here."""
        if self.preferences.bell:
            self.bell()

    def redraw(self) -> None:
        """Something beside the session changed."""
        self._changed(None)

    def run_ended(self, event: RunFinished) -> None:
        """What follows a run."""

    def _changed(self, event: AgentEvent | None) -> None:
        self._dirty = True
        if isinstance(event, RunFinished):
            self.run_ended(event)
            if event.seconds >= _BELL_AFTER:
                self.call_attention()
        if not isinstance(event, _STREAMED):
            self.call_later(self._frame)
        self._draw_in(_FRAME_SECONDS)

    def _draw_in(self, seconds: float) -> None:
        """Draw then, unless that is arranged already: a clock that ticks all the time costs as much as drawing."""
        if self._next is None and self._main is not None:
            self._next = asyncio.get_running_loop().call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._next = None
        if (left := self._pace.wait()) > 0:
            self._draw_in(left)
            return
        self._pace.drawn()
        self.call_later(self._frame)

    def _frame(self) -> None:
        """Draw, and once more later as long as something moves."""
        if self._main is None or not self._main.is_mounted:
            return
        moving = self.state.running or self.loading_state is not None
        if not (self._dirty or moving):
            return
        if moving:
            self._draw_in(_FRAME_SECONDS)
        self._dirty = False
        if self._frames % _MEMORY_FRAMES == 0:
            self._memory = resident_bytes()
        self._frames += 1
        facts = Facts(self.conductor.now, self._memory, self.loading_state, self.details)
        self._main.show(self.state, facts)
        self._follow_approvals()

    def _follow_approvals(self) -> None:
        """Show the dialog for an open approval; take it away when the run went on without it."""
        asked = self.state.approvals[0] if self.state.approvals else None
        if asked is not None and self._asking is None:
            self._ask_about(asked)
        elif self._asking is not None and all(each.request_id != self._asking for each in self.state.approvals):
            self._asking = None
            if isinstance(self.screen, ApprovalScreen):
                self.screen.dismiss(None)

    def _ask_about(self, asked: Approval) -> None:
        def answered(answer: Answered | None) -> None:
            self._asking = None
            if answer is None:
                return
            self.conductor.answer(asked.request_id, answer.decision, answer.note)
            if answer.interrupt:
                self.conductor.interrupt()
            self.redraw()

        self._asking = asked.request_id
        self.call_attention()
        self.push_screen(ApprovalScreen(asked), answered)

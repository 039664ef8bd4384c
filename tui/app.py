"""The application: what the user types and presses goes to ``tui.actions``, the start to ``tui.opening``.

Thin on purpose: what is shown is the desk's and the screens', what is done the conductor's and the host's.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Resize

from agent.events import RunFinished
from tui.actions import Actions
from tui.desk import Desk
from tui.host import Host
from tui.opening import Opening
from tui.prompting import Prompting
from tui.screens.dialog import SHORT
from tui.screens.main import MainScreen
from tui.status_text import Loading
from tui.terminal import hang_up_with_terminal
from tui.widgets.prompt_input import PromptInput

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class AgentApp(Desk):
    """One window on one host."""

    CSS_PATH = Path(__file__).with_name("app.tcss")
    TITLE = "agent"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", show=False, priority=True)]

    def __init__(self, host: Host, *, colourless: bool = False) -> None:
        super().__init__(host, colourless=colourless)
        self._actions = Actions(self)
        self._prompting = Prompting(self, self._actions.obey)

    def on_mount(self) -> None:
        """Open the session while the first picture is there already."""
        super().on_mount()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.main.prompt.use_history(self.history.prompts)
        self.work(Opening(self).run)

    async def action_quit(self) -> None:
        """Leave; a run is ended and its work kept."""
        self.show_loading(Loading("closing"))
        await self.conductor.end_apart()
        await self.host.close()
        self.exit(0)

    def run_ended(self, event: RunFinished) -> None:
        """What follows a run."""
        self._actions.after_run(event)

    def on_prompt_input_sent(self, event: PromptInput.Sent) -> None:
        """A message, a command, or a shell line."""
        self._prompting.sent(event.text, queue=event.queue)

    def on_prompt_input_typed(self) -> None:
        """Completions for what stands before the cursor."""
        self._prompting.complete()

    def on_prompt_input_completion_key(self, event: PromptInput.CompletionKey) -> None:
        """A key for the list of completions."""
        self._prompting.completion_key(event.action)

    def on_prompt_input_help_wanted(self) -> None:
        """A question mark."""
        self._actions.key("help")

    def on_main_screen_wanted(self, event: MainScreen.Wanted) -> None:
        """A key of the main screen."""
        self._actions.key(event.action)

    def on_resize(self, event: Resize) -> None:
        """Spend no line on looks where there are few."""
        self.screen.set_class(event.size.height < SHORT, "short")
        self.redraw()


async def run_app(app: AgentApp) -> int:
    """Run the application until the user leaves, its terminal is gone, or a signal ends it; the exit code."""
    loop = asyncio.get_running_loop()
    ended_by: list[int] = []

    def end(number: int) -> None:
        if number != signal.SIGHUP:  # a closing terminal sends several: from the system, the shell and our own watch
            loop.remove_signal_handler(number)  # the second one acts as usual
        if not ended_by:
            app.run_worker(app.action_quit(), group="quit")
        ended_by.append(number)

    for number in _ENDING:
        loop.add_signal_handler(number, end, number)
    hang_up_with_terminal()
    app.collector.begin()
    try:
        await app.run_async()
    finally:
        # Also when the screen failed: the session is whole, and the next one finds it.
        await asyncio.shield(app.host.close())
        app.collector.end()
    return 128 + ended_by[0] if ended_by else app.return_code or 0

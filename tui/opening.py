"""From the first picture to a session that answers: trust, a model, loading; typing is possible all the while.

Which questions are asked depends on what is known already: on most starts none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agent.assembly import Opened, Talk
from agent.clean import clean
from agent.models.display import duration_text
from agent.models.progress import Progress
from agent.visible import visible
from tui.desk import Desk
from tui.model_choice import has_local_model, model_choices
from tui.rendering.words import bytes_text
from tui.screens.picker import Picked, PickerOptions, PickerScreen
from tui.screens.question import QuestionScreen, Reply
from tui.status_text import Loading

_LEGEND = "Enter takes it, and fetches it first where it is not here (○) · Esc leaves"
_SHORT_LEGEND = "Enter takes it; ○ is fetched first · Esc leaves"
_TRUST = (Reply("y", "yes", "Yes, trust it"), Reply("n", "no", "Not now: its settings are not read"))


class Opening:
    """What happens before the first answer, and when the model is changed."""

    def __init__(self, app: Desk) -> None:
        self._app = app

    async def run(self) -> None:
        """Ask what must be asked, load the model, open the session, send what was typed meanwhile."""
        host = self._app.host
        self._app.conductor.introduce(str(host.setup.root), host.setup.config.mode)
        if not host.trusted and host.what_trust_turns_on:
            await self._ask_trust()
        if host.model is None and host.setup.config.model is None and not has_local_model():
            await self.begin_with_a_model()
        else:
            await self.open(lambda: host.open(self._talk()))

    async def begin_with_a_model(self) -> None:
        """Ask which, load it and open the session."""
        name = await self.pick_model("Choose a model to begin with")
        if name is None:
            self._app.conductor.say("No model is loaded; /model chooses one.")
            return
        self._app.host.choose_model(name)
        await self.open(lambda: self._app.host.open(self._talk()))

    async def change_model(self, name: str) -> None:
        """Load another model and go on with the same session."""
        self._app.conductor.detach()
        await self.open(lambda: self._app.host.change_model(name, self._talk()))

    async def open(self, opener: Callable[[], Awaitable[Opened]]) -> None:
        """Show what ``opener`` brings."""
        app = self._app
        app.show_loading(Loading("loading the model"))
        try:
            opened = await opener()
        finally:
            app.show_loading(None)
        app.conductor.attach(opened.session, app.host.options, tuple(clean(each) for each in opened.notices))
        app.show_loading(None)
        await app.conductor.work()

    async def pick_model(self, title: str) -> str | None:
        """Let the user choose a model; its name."""
        app = self._app
        width = app.size.width - 8
        choices, best = await asyncio.to_thread(model_choices, app.palette, width)
        loaded = app.state.status.model or best
        options = PickerOptions(title, {}, _LEGEND if width >= len(_LEGEND) else _SHORT_LEGEND, loaded)
        picked: Picked | None = await app.ask(PickerScreen(choices, options))
        return None if picked is None else picked.id

    async def _ask_trust(self) -> None:
        host = self._app.host
        settings = "\n".join(f"  {visible(line)}" for line in host.what_trust_turns_on)
        text = (
            f"{visible(str(host.setup.root))} brings its own settings. Trusting it would turn on:\n{settings}\n"
            "They count until they change. Edits and commands are asked about as the mode says."
        )
        answer = await self._app.ask(QuestionScreen("Do you trust this folder?", text, _TRUST))
        if answer == "yes":
            host.trust()

    def _talk(self) -> Talk:
        """How fetching and loading, which happen in other threads, speak to the screen."""
        app = self._app

        def say(sentence: str) -> None:
            app.call_from_thread(app.conductor.say, clean(sentence), quiet=True)

        def progress(done: Progress) -> None:
            app.call_from_thread(app.show_loading, _fetching(done))

        def on_load(share: float) -> None:
            loading = Loading("loading the model", share) if share < 1.0 else Loading("loading the model")
            # One that is loaded again for a session that is open: nobody else would take the line away.
            app.show_loading(None if share >= 1.0 and app.host.session_id is not None else loading)

        return Talk(say=say, ask=None, progress=progress, on_load=on_load)


def _fetching(progress: Progress) -> Loading:
    share = progress.done / progress.total if progress.total else None
    rate = f", {bytes_text(int(progress.rate))}/s" if progress.rate >= 1_000 else ""
    left = f", {duration_text(progress.seconds_left)} left" if progress.seconds_left is not None else ""
    return Loading(
        f"{clean(progress.what)}: {bytes_text(progress.done)} of {bytes_text(progress.total)}{rate}{left}", share
    )

"""What keys and slash commands do: each a few lines that call the conductor, the host or a dialog."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.clean import clean
from agent.events import RunEnd, RunFinished
from agent.permissions import Mode
from agent.rewind import RewindPoint
from agent.test_guess import guess_test_command
from prompts import load
from tui.attachments import is_large
from tui.desk import Desk
from tui.editor import edit_text
from tui.opening import Opening
from tui.palette import PALETTES, TITLES, Palette
from tui.screens.dialog import option_text
from tui.screens.help import HelpScreen
from tui.screens.line import LineScreen
from tui.screens.picker import Choice, Picked, PickerOptions, PickerScreen
from tui.screens.question import QuestionScreen, Reply
from tui.session_actions import SessionActions
from tui.view_state import Answer

_TWICE_SECONDS = 1.5  # between two presses that belong together
_PLAN = (
    Reply("y", "accept-edits", "Carry it out; edits need no further question"),
    Reply("d", "default", "Carry it out; ask before each edit"),
    Reply("n", "plan", "Go on planning: say what to change"),
)
_REWIND = (
    Reply("b", "both", "Files and conversation"),
    Reply("c", "conversation", "The conversation only; files stay as they are"),
    Reply("f", "files", "The files only; the conversation stays"),
)


class Actions:
    """Everything that the user can do."""

    def __init__(self, app: Desk) -> None:
        self._app = app
        self._conductor = app.conductor
        self._sessions = SessionActions(app)
        self._test_command = ""
        self._pressed: tuple[str, float] = ("", 0.0)

    def after_run(self, event: RunFinished) -> None:
        """What follows a run: late steering comes back to the prompt, a plan asks for its approval."""
        self._app.call_later(self._return_steers)
        state = self._conductor.state
        planned = event.end is RunEnd.DONE and state.status.mode == Mode.PLAN.value and bool(event.text.strip())
        if planned and all(each.steer for each in state.pending):
            self._app.work(self._approve_plan)

    def _return_steers(self) -> None:
        prompt = self._app.main.prompt
        if late := self._conductor.returned:
            self._conductor.returned = []
            prompt.put("\n".join([*late, prompt.text] if prompt.text else late))

    async def _approve_plan(self) -> None:
        answer = await self._app.ask(QuestionScreen("Carry out this plan?", "", _PLAN))
        if answer in ("accept-edits", "default"):
            self._conductor.set_mode(Mode(answer))
            await self._conductor.submit(load("plan_approved"))

    # --- keys

    def key(self, name: str) -> None:
        """A key of the main screen."""
        keys: dict[str, Callable[[], None]] = {
            "escape": self._escape,
            "mode": lambda: self._say_mode(self._conductor.cycle_mode()),
            "clear": self._clear,
            "leave": self._leave,
            "expand": self._expand,
            "details": self._details,
            "editor": self._editor,
            "search": lambda: self._app.work(self._search),
            "redraw": self._redraw,
            "help": lambda: self._help(""),
        }
        keys[name]()

    def _escape(self) -> None:
        if self._conductor.interrupt():
            self._pressed = ("", 0.0)
            return
        if (queued := self._conductor.unqueue()) is not None:
            self._app.main.prompt.put(queued)
        elif self._is_second("escape"):
            self._app.work(self._rewind)

    def _clear(self) -> None:
        if selected := self._app.main.get_selected_text():
            self._app.copy_to_clipboard(selected)
            self._app.main.clear_selection()
            self._app.notify("Copied.", timeout=1.5)
        elif self._app.main.prompt.text:
            self._app.main.prompt.take()
        elif self._conductor.interrupt():
            return
        elif self._is_second("clear"):
            self._quit("")
        else:
            self._app.notify("Ctrl+C again leaves.", timeout=_TWICE_SECONDS)

    def _leave(self) -> None:
        prompt = self._app.main.prompt
        if prompt.text:
            prompt.action_delete_right()
        else:
            self._quit("")

    def _expand(self) -> None:
        self._app.main.transcript.toggle_all()

    def _details(self) -> None:
        self._app.show_details(not self._app.details)

    def _redraw(self) -> None:
        self._app.refresh(layout=True)

    def _editor(self) -> None:
        prompt = self._app.main.prompt
        text = prompt.attachments.expand(prompt.text)
        edited, trouble = edit_text(self._app, text)
        if trouble:
            self._app.notify(trouble, severity="warning", markup=False)
        elif edited is not None:
            prompt.take()
            if is_large(edited):
                prompt.attachments, edited = prompt.attachments.add(edited)
            prompt.put(edited)

    async def _search(self) -> None:
        prompts = list(reversed(self._app.history.prompts))
        palette = self._app.palette
        choices = [
            Choice(str(at), option_text((" ".join(each.split()), palette.text)), each)
            for at, each in enumerate(prompts)
        ]
        options = PickerOptions("Earlier prompts", {}, "Enter puts it into the prompt · Esc leaves")
        picked: Picked | None = await self._app.ask(PickerScreen(choices, options))
        if picked is not None:
            self._app.main.prompt.put(prompts[int(picked.id)])

    async def _rewind(self) -> None:
        session, palette = self._conductor.session, self._app.palette
        points = () if session is None or session.running else session.rewind_points
        if not points or session is None:
            self._app.notify("There is no message to go back to now.", timeout=2)
            return
        choices = [rewind_choice(point, palette) for point in points]
        options = PickerOptions("Go back to before which message?", {}, "Enter chooses · Esc leaves")
        picked: Picked | None = await self._app.ask(PickerScreen(choices, options))
        if picked is None:
            return
        point = next(each for each in points if each.message_id == picked.id)
        replies = [each for each in _REWIND if point.conversation or each.id == "files"]
        said = f"Files: {session.preview_rewind(point.message_id).sentence()}"
        what: str | None = await self._app.ask(QuestionScreen("What should go back?", said, replies))
        if what is not None:
            text = self._conductor.rewind(picked.id, files=what != "conversation", conversation=what != "files")
            if text is not None:
                self._app.main.prompt.put(text)

    def _is_second(self, key: str) -> bool:
        before, at = self._pressed
        now = time.monotonic()
        self._pressed = (key, now)
        return before == key and now - at < _TWICE_SECONDS

    # --- commands

    def obey(self, name: str, rest: str) -> None:
        """A slash command, with the rest of its line."""
        self._commands()[name](rest)

    def _commands(self) -> dict[str, Callable[[str], None]]:
        work, sessions = self._app.work, self._sessions
        return {
            "help": self._help,
            "new": lambda _: work(sessions.new),
            "sessions": lambda _: work(sessions.choose),
            "rename": lambda rest: work(lambda: sessions.rename(rest)),
            "fork": lambda _: work(sessions.fork),
            "export": lambda rest: work(lambda: sessions.export(rest)),
            "rewind": lambda _: work(self._rewind),
            "undo": lambda _: self._conductor.undo(),
            "redo": lambda _: self._conductor.redo(),
            "fix": lambda rest: work(lambda: self._fix(rest)),
            "compact": lambda rest: work(lambda: self._conductor.compact(rest)),
            "mode": self._mode,
            "model": lambda rest: work(lambda: self._model(rest)),
            "queue": lambda rest: self._conductor.queue(rest) if rest else None,
            "todos": lambda _: self._details(),
            "expand": lambda _: self._expand(),
            "copy": lambda _: self._copy(),
            "theme": lambda rest: work(lambda: self._theme(rest)),
            "editor": lambda _: self._editor(),
            "quit": self._quit,
        }

    def _help(self, _: str) -> None:
        self._app.push_screen(HelpScreen())

    def _quit(self, _: str) -> None:
        self._app.run_worker(self._app.action_quit(), group="quit")

    def _mode(self, name: str) -> None:
        if not name:
            self._say_mode(Mode(self._conductor.state.status.mode))
            return
        try:
            mode = Mode(name)
        except ValueError:
            self._conductor.say(f"There is no mode {name}; the modes are {', '.join(Mode)}.")
            return
        self._conductor.set_mode(mode)
        self._say_mode(mode)

    def _say_mode(self, mode: Mode) -> None:
        said = {
            Mode.DEFAULT: "Reads run; edits and commands ask first.",
            Mode.ACCEPT_EDITS: "Edits run too; commands ask first.",
            Mode.PLAN: "Nothing is changed; a plan is made first.",
            Mode.YOLO: "Everything runs, except what would be a catastrophe.",
        }
        self._app.notify(said[mode], timeout=2.5, markup=False)

    async def _fix(self, command: str) -> None:
        app, conductor = self._app, self._conductor
        if conductor.state.running:
            conductor.say("A run is in progress; interrupt it first (Esc).")
            return
        if conductor.state.status.mode == Mode.PLAN.value:
            conductor.say("In plan mode nothing is changed; Shift+Tab leaves it.")
            return
        guess = self._test_command or guess_test_command(app.host.setup.root)
        command = command or await app.ask(LineScreen("Which command must pass?", guess)) or ""
        if not command:
            return
        self._test_command = command
        outcome = await conductor.run_apart(f"/fix {command}", lambda emit: app.host.fix(command, emit))
        if outcome is not None:
            await conductor.own_calls.apply(outcome)
        await conductor.work()

    async def _model(self, name: str) -> None:
        if self._conductor.state.running:
            self._conductor.say("A run is in progress; interrupt it first (Esc).")
            return
        opening = Opening(self._app)
        chosen = name or await opening.pick_model("Choose a model")
        if chosen is not None and chosen != self._conductor.state.status.model:
            await opening.change_model(chosen)

    async def _theme(self, name: str) -> None:
        if not name:
            choices = [Choice(each, option_text(title), title) for each, title in TITLES.items()]
            options = PickerOptions("Choose colours", {}, "Enter takes them · Esc leaves", self._app.theme)
            picked: Picked | None = await self._app.ask(PickerScreen(choices, options))
            name = "" if picked is None else picked.id
        meant = [each for each, title in TITLES.items() if name and (each.startswith(name) or title.startswith(name))]
        if len(meant) == 1:
            self._app.use_theme(meant[0])
        elif name:
            self._conductor.say(f"There is no theme {name}; there are {', '.join(PALETTES)}.")

    def _copy(self) -> None:
        answers = [each for each in self._conductor.state.entries if isinstance(each, Answer)]
        if answers:
            self._app.copy_to_clipboard(answers[-1].text)
            self._app.notify("Copied the last answer.", timeout=1.5)


def rewind_choice(point: RewindPoint, palette: Palette) -> Choice:
    """One line of the list of points to go back to."""
    text = " ".join(clean(point.text).split())
    files = f"  {len(point.files)} file{'s' if len(point.files) > 1 else ''} changed since" if point.files else ""
    return Choice(point.message_id, option_text((text, palette.text), (files, palette.faint)), text)

"""What becomes of what is typed: a message, a command, a shell line; and the completions while it is typed.

Commands themselves are ``tui.actions``'.
"""

from __future__ import annotations

from collections.abc import Callable

from tui.commands import arguments, candidates, parse
from tui.completion import Candidate, Wanted, files, wanted
from tui.desk import Desk
from tui.opening import Opening
from tui.workspace_files import WorkspaceFiles


class Prompting:
    """The way from the prompt to the session; ``obey`` carries out a command by its name, with the rest of its line."""

    def __init__(self, app: Desk, obey: Callable[[str, str], None]) -> None:
        self._app = app
        self._conductor = app.conductor
        self._obey = obey
        self._files = WorkspaceFiles(app.host.setup.root)

    def sent(self, text: str, *, queue: bool) -> None:
        """A message, a command or a shell line was typed."""
        app = self._app
        app.main.candidates.offer([])
        app.main.prompt.completing = False
        app.main.transcript.to_end()
        text = text.strip()
        app.history.add(text)
        app.main.prompt.use_history(app.history.prompts)
        if (parsed := parse(text)) is not None:
            if parsed.command is None:
                self._conductor.say(f"There is no command /{parsed.word}; /help lists them.")
            else:
                self._obey(parsed.command.name, parsed.rest)
        elif text.startswith("!") and text[1:].strip():
            app.work(lambda: self._conductor.own_calls.shell(text[1:].strip()))
        elif queue and (self._conductor.state.running or app.loading_state is not None):
            self._conductor.queue(text)
        else:
            app.work(lambda: self._submit(text))

    async def _submit(self, text: str) -> None:
        if self._conductor.session is not None:
            for path in self._files.mentioned(text):
                await self._conductor.own_calls.attach_file(path)
        await self._conductor.submit(text)
        if self._app.host.model is None and self._app.loading_state is None:
            await Opening(self._app).begin_with_a_model()

    def complete(self) -> None:
        """Offer what fits before the cursor."""
        prompt, shown = self._app.main.prompt, self._app.main.candidates
        row, column = prompt.cursor_location
        found = wanted(prompt.document.get_line(row), column, first_line=row == 0)
        offered = [] if found is None else self._candidates(found)
        typed = [f"/{found.typed}"] if found is not None else []
        complete = [each.label for each in offered] == typed  # then it says what the command is, and Enter is Enter
        shown.offer(offered)
        prompt.completing = bool(offered) and not complete

    def _candidates(self, found: Wanted) -> list[Candidate]:
        match found.kind:
            case "command":
                return candidates(found.typed)
            case "argument":
                return arguments(found.command, found.typed)
            case _:
                self._files.refresh(self._app, self.complete)
                return files(found.typed, self._files.names)

    def completion_key(self, action: str) -> None:
        """Move in the list, take a line of it, or close it."""
        prompt, shown = self._app.main.prompt, self._app.main.candidates
        chosen = shown.chosen
        if action in ("up", "down"):
            shown.move(-1 if action == "up" else 1)
            return
        row, column = prompt.cursor_location
        found = wanted(prompt.document.get_line(row), column, first_line=row == 0)
        shown.offer([])
        prompt.completing = False
        if action == "close" or chosen is None or found is None:
            return
        if action == "run" and found.kind != "file" and not chosen.takes:
            prompt.take()
            self.sent(f"/{found.command} {chosen.label}" if found.command else chosen.label, queue=False)
        else:
            prompt.insert_completion(found.start, chosen.insert)

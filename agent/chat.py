"""A plain line chat on the terminal: streams answers, asks approvals, obeys a few slash commands.

The full-screen interface is another matter; this one needs nothing but a terminal that prints lines.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import signal
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console
from rich.text import Text

from agent.assembly import Wish, open_model, open_session, run_options
from agent.chat_house import HOUSE_COMMANDS, ChatHouse, Leave
from agent.clean import clean
from agent.errors import AgentError, UsageError
from agent.event_lines import describe
from agent.events import AgentEvent, ApprovalRequested, Notice
from agent.interrupts import cancelling
from agent.live_view import LiveView
from agent.own_calls import OwnCalls
from agent.permissions import Decision, Mode
from agent.run import RunOptions
from agent.session import Session
from agent.session_choice import choose_session
from agent.setup import read_setup
from agent.talk import make_talk
from agent.trust_question import ask_for_trust
from agent.visible import visible
from inference.errors import EngineError

_HELP = """/help            this text
/fix [command]   let the tests judge repairs until the command passes; /undo takes it back
/new             begin a new session; /fork goes on in a copy of this one
/sessions [N]    list the sessions of this repository, or go on with number N
/rename TITLE    give this session a title; /export [file] writes it as JSON lines
/undo            take back the last file changes; /redo brings them back
/rewind [N]      list the points to go back to, or go back to before message N: files and conversation;
                 "/rewind N files" and "/rewind N conversation" take only one of them along
/compact [what]  summarise the conversation, keeping what is named
/mode [name]     show or change what may run without a question: default, accept-edits, plan, yolo
/quit            end (so does Ctrl-D)
Ctrl-C           interrupts an answer and keeps what was done
!command         runs a shell line of your own, which the model is told of
@file            in a message: the model reads the file with it"""

_ANSWERS = {
    "y": Decision.ALLOW,
    "yes": Decision.ALLOW,
    "s": Decision.ALLOW_SESSION,
    "a": Decision.ALLOW_ALWAYS,
    "session": Decision.ALLOW_SESSION,
    "always": Decision.ALLOW_ALWAYS,
}


def run_chat(args: argparse.Namespace) -> int:
    """Chat until the user leaves; raises AgentError or EngineError for what could not start."""
    return asyncio.run(_chat(args))


async def _chat(args: argparse.Namespace) -> int:
    console = Console(highlight=False)
    setup = ask_for_trust(lambda: read_setup(args), console, _read_line)
    wish = Wish(resume=choose_session(args, setup), interactive=True)
    with LiveView(console) as view:
        model = await open_model(setup, make_talk(console, view))
        view.pause()
        try:
            await hold_chats(ChatHouse(setup, model), console, wish)
        finally:
            await model.close()
    return 0


async def hold_chats(
    house: ChatHouse, console: Console, wish: Wish, read: Callable[[str], str | None] | None = None
) -> None:
    """One session after the other, until the user leaves; ``read`` as for a Chat."""
    while True:
        opened = open_session(house.setup, house.model, wish)
        try:
            chat = Chat(opened.session, console, run_options(house.setup), read, house)
            chat.greet(opened.notices)
            following = await chat.talk()
        finally:
            await opened.session.close(keep_model=True)
        if following is None:
            return
        wish = Wish(resume=following.session_id, interactive=True, mode=opened.session.mode)


class Chat:
    """The dialogue of one session; ``read`` gives the next line (None after Ctrl-C) or raises EOFError."""

    def __init__(
        self,
        session: Session,
        console: Console,
        options: RunOptions,
        read: Callable[[str], str | None] | None = None,
        house: ChatHouse | None = None,
    ) -> None:
        self._session = session
        self._house = house
        self.own_calls = OwnCalls(lambda: session, self)
        self._following: Leave | None = None
        self._console = console
        self._options = options
        self._read = read or _read_line

    @property
    def session(self) -> Session:
        """The session that is talked in."""
        return self._session

    def greet(self, notices: tuple[str, ...]) -> None:
        """Say what is open, and what should be known about it."""
        with LiveView(self._console) as view:
            view.handle(self._session.started())
            for notice in notices:
                view.handle(Notice(notice))
        self._say("/help lists the commands.", "dim")

    def take(self, event: AgentEvent) -> None:
        """Show an event of the user's own calls, or of a repair."""
        if (line := describe(event)) is not None:
            self._console.print(line, soft_wrap=True)

    def say(self, text: str, *, is_error: bool = False, quiet: bool = False) -> None:
        """A sentence for the user."""
        self._say(clean(text), "red" if is_error else ("dim" if quiet else ""))

    async def talk(self) -> Leave | None:
        """Prompt, answer, and again; with which session to go on, None for the end."""
        while self._following is None:
            try:
                line = self._read(f"[{self._session.mode.value}] > ")
            except EOFError:
                return None
            if line is None:
                self._say("/quit or Ctrl-D leaves.", "dim")
                continue
            line = line.strip()
            if line in ("/quit", "/exit"):
                return None
            try:
                await self._do(line)
            except (AgentError, EngineError) as error:
                self.say(str(error), is_error=True)
        return self._following

    async def _do(self, line: str) -> None:
        if line.startswith("/"):
            await self._obey(line)
        elif line.startswith("!") and line[1:].strip():
            with cancelling(self.own_calls):
                await self.own_calls.shell(line[1:].strip())
        elif line:
            for path in self._house.mentioned(line) if self._house else ():
                await self.own_calls.attach_file(path)
            await self._submit(line)

    async def _submit(self, text: str) -> None:
        with LiveView(self._console) as view, cancelling(self._session):
            async for event in self._session.submit(text, self._options):
                view.handle(event)
                if isinstance(event, ApprovalRequested):
                    self._approve(event, view)

    def _approve(self, event: ApprovalRequested, view: LiveView) -> None:
        view.pause()
        self._say(visible(event.preview))
        for warning in event.warnings:
            self._say(f"! {clean(warning)}", "yellow")
        always = f"[a]lways (`{clean(event.remember)}`)" if event.remember else "[a]lways"
        try:
            said = self._read(f"Run this? [y]es, yes for this [s]ession, {always}, or no and why: ")
        except EOFError:
            said = "no"
        if said is None:
            self._session.cancel()
        else:
            said = said.strip()
            decision = _ANSWERS.get(said.lower(), Decision.DENY)
            refusal = decision is Decision.DENY and said.lower() not in ("", "n", "no")
            self._session.answer(event.request_id, decision, said if refusal else "")
        view.resume()

    async def _obey(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        match command:
            case "/help":
                self._say(_HELP)
            case "/undo":
                self._say(clean(self._session.undo().sentence()))
            case "/redo":
                self._say(clean(self._session.redo().sentence()))
            case "/rewind":
                self._rewind(rest.split())
            case "/mode":
                self._change_mode(rest.strip())
            case "/compact":
                with LiveView(self._console) as view:
                    async for event in self._session.compact(rest.strip()):
                        view.handle(event)
            case _ if self._house is not None and command in HOUSE_COMMANDS:
                self._following = await self._house.obey(command, rest.strip(), self)
            case _:
                self._say(f"There is no command {clean(command)}; /help lists them.", "yellow")

    def _rewind(self, words: list[str]) -> None:
        points = self._session.rewind_points
        if not words:
            for number, point in reversed(list(enumerate(points, 1))):
                files = f"  ({len(point.files)} files changed since)" if point.files else ""
                self._say(clean(f"{number:3}  {point.text.splitlines()[0][:80] if point.text else ''}{files}"))
            self._say("/rewind N goes back to before message N." if points else "Nothing was said yet.", "dim")
            return
        number = int(words[0]) if words[0].isdecimal() else 0
        what = words[1] if len(words) > 1 else "both"
        if not 1 <= number <= len(points) or what not in ("both", "files", "conversation"):
            self._say("Say /rewind N, /rewind N files or /rewind N conversation; /rewind lists them.", "yellow")
            return
        files, conversation = what != "conversation", what != "files"
        try:
            report = self._session.rewind(points[number - 1].message_id, files=files, conversation=conversation)
        except UsageError as error:
            self._say(clean(str(error)), "yellow")
            return
        if report.refused or report.restored or report.unrecorded or not conversation:
            self._say(clean(report.sentence()))
        if conversation and not report.refused:
            self._say(f"Back before message {number}; /redo undoes that.", "dim")

    def _change_mode(self, name: str) -> None:
        try:
            self._session.mode = Mode(name) if name else self._session.mode
        except ValueError:
            self._say(f"There is no mode {clean(name)}; the modes are {', '.join(Mode)}.", "yellow")
            return
        self._say(f"Mode: {self._session.mode.value}.", "dim")

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)


def _read_line(prompt: str) -> str | None:
    """A line from the terminal; None after Ctrl-C. Raises EOFError at its end.

    It waits in the loop's own thread: a thread that waits for a line could not be interrupted, and nothing else has to
    go on meanwhile. asyncio's handler for Ctrl-C would only be heard after the line, so Python's own stands in for it.
    """
    with suppress(ImportError):
        importlib.import_module("readline")  # makes input() editable
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input(prompt)
    except KeyboardInterrupt:
        print()
        return None
    finally:
        signal.signal(signal.SIGINT, before)

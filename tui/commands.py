"""The slash commands: their names, what they take, and what help says of them; pure.

What a command does is the application's matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui.completion import Candidate, fuzzy


@dataclass(frozen=True, slots=True)
class Command:
    """One command; ``takes`` shows its argument in help (empty: none), ``choices`` are all that it may be."""

    name: str
    help: str
    takes: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """A command line: the command, or None when there is none of that name."""

    word: str
    rest: str
    command: Command | None


COMMANDS: Sequence[Command] = (
    Command("help", "keys and commands"),
    Command("new", "begin a new session"),
    Command("sessions", "resume, rename, fork, export or remove a session"),
    Command("rename", "give this session a title", "title"),
    Command("fork", "go on in a copy of this session"),
    Command("export", "write this session as JSON lines", "file"),
    Command("rewind", "go back to an earlier message: files, conversation or both"),
    Command("undo", "take back the last file changes"),
    Command("redo", "bring back what undo or rewind took away"),
    Command("fix", "repair until a test command passes, the way for small models", "test command"),
    Command("compact", "summarise the conversation, keeping what is named", "what"),
    Command(
        "mode",
        "what may run without a question: default, accept-edits, plan, yolo",
        "name",
        ("default", "accept-edits", "plan", "yolo"),
    ),
    Command("model", "choose or download a model", "name"),
    Command("queue", "send this message when the present run has ended", "message"),
    Command("todos", "show or hide todos and thoughts"),
    Command("expand", "show or fold the whole output of tools"),
    Command("copy", "copy the last answer to the clipboard"),
    Command("theme", "dark, light, contrast or plain", "name", ("dark", "light", "contrast", "plain")),
    Command("editor", "write the message in your editor"),
    Command("quit", "end the program"),
)
_BY_NAME: Mapping[str, Command] = {each.name: each for each in COMMANDS}
_ALIASES: Mapping[str, str] = {"exit": "quit", "resume": "sessions", "clear": "new", "models": "model", "?": "help"}


def parse(text: str) -> Parsed | None:
    """The command that a prompt is; None for an ordinary message (also a path such as ``/etc/hosts is wrong``)."""
    if not text.startswith("/") or "\n" in text.strip():
        return None
    word, _, rest = text[1:].strip().partition(" ")
    if not word or "/" in word:
        return None
    return Parsed(word, rest.strip(), _BY_NAME.get(_ALIASES.get(word, word)))


def arguments(command: str, typed: str) -> list[Candidate]:
    """What may stand behind a command and begins with what was typed; nothing once it is complete."""
    known = _BY_NAME.get(command)
    fitting = [each for each in known.choices if each.startswith(typed)] if known else []
    return [] if fitting == [typed] else [Candidate(each, each) for each in fitting]


def candidates(typed: str) -> list[Candidate]:
    """The commands that fit what was typed behind the slash, best first."""
    entries = [Candidate(f"/{each.name}", f"/{each.name} ", each.help, each.takes) for each in COMMANDS]
    if not typed:
        return entries
    starting = [each for each in entries if each.label[1:].startswith(typed)]
    others = fuzzy(typed, [each for each in entries if each not in starting], lambda each: each.label[1:])
    return [*starting, *others]

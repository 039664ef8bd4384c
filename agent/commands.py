"""How risky a shell command is, judged from its parsed line; only used to decide whether to ask.

It is no sandbox: a program that is allowed can do anything. It runs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from agent.messages import ToolCall
from agent.readonly import reads_only
from agent.shell import ShellLine, SimpleCommand, parse_line, walk_texts
from tools.protected import is_secret


class Risk(StrEnum):
    """From nothing to a question that even ``yolo`` asks."""

    READ_ONLY = "read_only"
    UNKNOWN = "unknown"  # a rule of the user's may cover it
    DANGEROUS = "dangerous"  # no rule covers it: the line does more than its words say
    CATASTROPHIC = "catastrophic"  # hard to take back, and beyond this repository


@dataclass(frozen=True, slots=True)
class JudgedCommand:
    """One simple command of a line: its words, and whether it only reads.

    ``forms`` are other ways to say it: without wrappers, without the program's folder, without git's own options.
    """

    words: tuple[str, ...]
    read_only: bool
    forms: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Assessment:
    """The verdict on a line; ``reason`` is half a sentence; ``remember`` is the rule that would cover it next time."""

    risk: Risk
    reason: str
    commands: tuple[JudgedCommand, ...]
    remember: str | None = None


# Wrappers that change nothing about what the command does, and all that run another command.
_TRANSPARENT = frozenset({"time", "nice", "nohup", "timeout", "stdbuf", "setsid", "ionice"})
_WRAPPERS = _TRANSPARENT | {"env", "xargs", "command", "exec", "builtin"}
_BECOMES_ROOT = frozenset({"sudo", "doas", "su", "pkexec", "runuser"})
_BREAKS_MACHINE = frozenset(
    {"mkfs", "fdisk", "parted", "wipefs", "shutdown", "reboot", "halt", "poweroff", "init", "telinit", "mkswap"}
)
_DOWNLOADERS = frozenset({"curl", "wget", "fetch", "aria2c", "nc", "ncat"})
_INTERPRETERS = frozenset(
    {"sh", "bash", "zsh", "dash", "ksh", "python", "python3", "perl", "ruby", "node", "php", "eval", "source", "."}
)
_WITH_SUBCOMMANDS = frozenset(
    {
        "git",
        "npm",
        "pnpm",
        "yarn",
        "cargo",
        "uv",
        "pip",
        "pip3",
        "go",
        "poetry",
        "docker",
        "make",
        "just",
        "hatch",
        "nox",
    }
)
# Programs whose next use may differ too much from the one that was approved: only the very same command is remembered.
_REMEMBER_WHOLE = (
    _INTERPRETERS | _WRAPPERS | {"rm", "mv", "cp", "chmod", "chown", "dd", "kill", "ln", "tee", "sed", "ssh"}
)
_GIT_OPTIONS_WITH_VALUE = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env"})
_PERILOUS_TARGET = re.compile(r"(/|/\*|~|~/|~/\*|\$HOME.*|\$\{HOME.*|\.\.?/?|\.\./.*|\*|/(?!tmp/).+)")


def assess(text: str) -> Assessment:
    """Judge a command line."""
    line = parse_line(text)
    judged = tuple(
        JudgedCommand(_unwrapped(each, _TRANSPARENT).texts, reads_only(each), _forms(each)) for each in line.commands
    )
    if reason := _catastrophe(line):
        return Assessment(Risk.CATASTROPHIC, reason, judged)
    if reason := _danger(line):
        return Assessment(Risk.DANGEROUS, reason, judged)
    others = [each for each in judged if not each.read_only]
    if judged and not others and not line.compound:
        return Assessment(Risk.READ_ONLY, "", judged)
    reason = (
        f"`{' '.join(others[0].words)}` is not known to be read-only" if others else "it is more than plain reading"
    )
    return Assessment(Risk.UNKNOWN, reason, judged, _rule_for(line, others))


def changing_command(call: ToolCall) -> str | None:
    """The command line of a call, if it may change files; None for one that only reads, or starts no command."""
    command = str(call.arguments.get("command") or "").strip()
    return command if command and assess(command).risk is not Risk.READ_ONLY else None


def commits(text: str) -> bool:
    """Whether a line may change what git keeps, which undoing files does not take back."""
    return any("git" in command.words for command in assess(text).commands if not command.read_only)


def _catastrophe(line: ShellLine) -> str | None:
    programs = {_name(_unwrapped(each)) for each in line.commands}
    if root := programs & _BECOMES_ROOT:
        return f"it runs something with other rights ({', '.join(sorted(root))})"
    if breaking := {each for each in programs if each.split(".")[0] in _BREAKS_MACHINE}:
        return f"it can break the machine ({', '.join(sorted(breaking))})"
    if programs & _DOWNLOADERS and programs & _INTERPRETERS:
        return "it runs a program straight from the network"
    if any(target.startswith("/dev/") for target in line.writes):
        return "it writes to a device"
    return next((reason for each in line.commands if (reason := _destroys(_unwrapped(each)))), None)


def _destroys(command: SimpleCommand) -> str | None:
    name, arguments = _name(command), command.texts[1:]
    operands = [each for each in arguments if not each.startswith("-")]
    perilous = [each for each in operands if _PERILOUS_TARGET.fullmatch(each)]
    if name == "rm" and perilous and _recursive(arguments):
        return f"it deletes {', '.join(perilous)} and everything below"
    if name in ("chmod", "chown", "chgrp") and perilous and _recursive(arguments):
        return f"it changes rights of {', '.join(perilous)} and everything below"
    if name == "dd" and any(each.startswith("of=/dev/") for each in arguments):
        return "it writes to a device"
    if name == "kill" and "-1" in operands + list(arguments[1:]):
        return "it ends every process"
    return None


def _danger(line: ShellLine) -> str | None:
    if line.oddities:
        return line.oddities[0]
    if line.writes:
        return f"it writes to {', '.join(line.writes)} by redirection"
    if secret := next((each for each in walk_texts(line) if is_secret(each.strip("/").split("/"))), None):
        return f"{secret} may hold secrets"
    if _mixes_cd_and_git(line):
        return "git in another folder obeys that folder's settings, which can name programs"
    if any(each.program == "env" and any("=" in text for text in each.texts) for each in line.commands):
        return "it sets variables"
    return next((reason for each in line.commands if (reason := _hides(_unwrapped(each)))), None)


def _hides(command: SimpleCommand) -> str | None:
    """Why a command may do more than its words say."""
    name, arguments = _name(command), command.texts[1:]
    operands = [each for each in arguments if not each.startswith("-")]
    if not name:
        return "the program to run is only known when it runs"
    if name == "rm" and _recursive(arguments):
        return f"it deletes {' '.join(operands)} and everything below"
    if name == "find" and not reads_only(command):
        return "find runs or deletes something here"
    if name in ("eval", "source", ".") or (name in _INTERPRETERS and not operands and not _asks_version(arguments)):
        return f"{name} runs text that is only known when it runs"
    if name == "git" and "push" in operands and any(each.startswith(("-f", "--force", "+")) for each in arguments):
        return "it overwrites what others may have pushed"
    return None


def _asks_version(arguments: tuple[str, ...]) -> bool:
    return arguments in (("--version",), ("-V",), ("-v",))


def _mixes_cd_and_git(line: ShellLine) -> bool:
    programs = {each.program for each in line.commands}
    return {"cd", "git"} <= programs


def _recursive(arguments: tuple[str, ...]) -> bool:
    return any(
        each in ("--recursive", "--no-preserve-root") or re.fullmatch(r"-[a-zA-Z]*[rR][a-zA-Z]*", each)
        for each in arguments
    )


def _unwrapped(command: SimpleCommand, wrappers: frozenset[str] = _WRAPPERS) -> SimpleCommand:
    """The command that a wrapper such as ``env A=1`` or ``timeout 5`` would run."""
    words = list(command.words)
    while len(words) > 1 and words[0].literal and words[0].text in wrappers and not words[1].text.startswith("-v"):
        del words[0]
        while len(words) > 1 and (words[0].text.startswith("-") or "=" in words[0].text or _is_amount(words[0].text)):
            del words[0]
    return SimpleCommand(tuple(words), command.piped)


def _forms(command: SimpleCommand) -> tuple[tuple[str, ...], ...]:
    """What a rule that forbids is compared with, too."""
    bare = _unwrapped(command)
    words = (_name(bare), *bare.texts[1:])
    if words[0] != "git":
        return (bare.texts, words)
    at = 1
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _GIT_OPTIONS_WITH_VALUE else 1
    return (bare.texts, words, ("git", *words[at:]))


def _is_amount(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?[smhd]?", text) is not None


def _name(command: SimpleCommand) -> str:
    """The program without its folder; empty when it is not known."""
    return command.program.rsplit("/", 1)[-1]


def _rule_for(line: ShellLine, others: list[JudgedCommand]) -> str | None:
    """The rule that a "yes, always" adds; None when there is no short and safe one."""
    literal = all(each.literal for each in line.commands)
    if len(others) != 1 or not literal or line.compound:
        return None
    words = list(others[0].words)
    if not words or any(re.search(r"\s", word) or not word for word in words):
        return None
    if words[0] in ("python", "python3") and words[1:2] == ["-m"] and len(words) > 2:
        return " ".join(words[:3])
    if words[0] in _REMEMBER_WHOLE or (words[0] in _WITH_SUBCOMMANDS and words[1:2] and words[1].startswith("-")):
        return f"={' '.join(words)}"
    return " ".join(words[: 2 if words[0] in _WITH_SUBCOMMANDS else 1])

"""Whether a tool call may run: allow, ask or deny, with the reason; a pure function of mode, effect, call and rules.

It asks nobody and runs nothing: ``agent.approvals`` puts the question, ``agent.toolset`` obeys the answer.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from agent.commands import Assessment, Risk, assess
from agent.messages import ToolCall
from tools.base import Effect

_TOOL = "tool:"  # begins a rule for a tool


class Mode(StrEnum):
    """How much may happen without a question."""

    DEFAULT = "default"  # reads run; edits and unknown commands ask
    ACCEPT_EDITS = "accept-edits"  # edits run too
    PLAN = "plan"  # nothing is changed
    YOLO = "yolo"  # everything runs, except what would be a catastrophe


class Decision(StrEnum):
    """An answer to an approval request."""

    ALLOW = "allow"
    ALLOW_SESSION = "allow_session"
    ALLOW_ALWAYS = "allow_always"
    DENY = "deny"


class Verdict(StrEnum):
    """What ``decide`` comes to."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict with its reason in one sentence; for ASK, ``remember`` is the command rule that a "yes, always" adds.

    ``remember`` is None where no rule could ever cover the call. ``reads_only``: allowed because it changes nothing.
    """

    verdict: Verdict
    reason: str = ""
    remember: str | None = None
    reads_only: bool = False


@dataclass(frozen=True, slots=True)
class Protected:
    """Files that tools must not write: a glob on the path (or a folder above it) relative to the workspace, and why."""

    pattern: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What the user settled beforehand; ``deny`` is stronger than ``ask``, and that than ``allow``.

    Each of these holds command beginnings, compared word by word (``git push`` covers ``git push origin`` and not
    ``git pushx``), and the very same command only behind a ``=``; and tools: ``tool:edit``, or ``tool:edit src/*`` for
    what is below such a path. ``ask`` holds in every mode. ``writes`` lets edits run.
    ``network`` are beginnings of commands that may use the network. ``protected`` files are never written, whatever the
    mode.
    """

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    writes: bool = False
    protected: tuple[Protected, ...] = ()

    def allowing(self, command: str) -> Rules:
        """These rules and one more allowed command beginning."""
        return self if command in self.allow else replace(self, allow=(*self.allow, command))

    def protecting(self, *protected: Protected) -> Rules:
        """These rules and more files that must not be written."""
        return replace(self, protected=(*self.protected, *protected))


def decide(mode: Mode, effect: Effect, call: ToolCall, rules: Rules) -> Ruling:
    """Rule on one call whose arguments are already valid; a ``path`` among them is relative to the workspace."""
    path = call.arguments.get("path")
    if effect is Effect.WRITE and isinstance(path, str) and (refusal := _protection(path, rules)):
        return Ruling(Verdict.DENY, refusal)
    assessment = assess(str(call.arguments.get("command") or "")) if effect is Effect.EXECUTE else None
    if denied := _first_match(rules.deny, call, assessment):
        return Ruling(Verdict.DENY, f"the rules forbid {_covered_by(denied)}")
    ruling = _decide_by_mode(mode, effect, call, rules)
    if ruling.verdict is Verdict.ALLOW and (asked := _first_match(rules.ask, call, assessment)):
        return Ruling(Verdict.ASK, f"the rules ask about {_covered_by(asked)}", reads_only=ruling.reads_only)
    return ruling


def _decide_by_mode(mode: Mode, effect: Effect, call: ToolCall, rules: Rules) -> Ruling:
    if effect in (Effect.NONE, Effect.READ):
        return Ruling(Verdict.ALLOW)
    if effect is Effect.WRITE:
        return _decide_write(mode, call, rules)
    command = str(call.arguments.get("command") or "")
    if not command.strip() and str(call.arguments.get("job") or "").strip():
        return Ruling(Verdict.ALLOW)  # a look at a command that was allowed, or its end
    ruling = _decide_command(mode, call, command, rules)
    if call.arguments.get("network") and ruling.verdict is not Verdict.DENY:
        return _decide_network(ruling, command, rules)
    return ruling


def _decide_write(mode: Mode, call: ToolCall, rules: Rules) -> Ruling:
    if mode is Mode.PLAN:
        return Ruling(Verdict.DENY, "plan mode changes nothing: describe the change instead of making it")
    if rules.writes or mode in (Mode.ACCEPT_EDITS, Mode.YOLO) or _tool_matches(rules.allow, call):
        return Ruling(Verdict.ALLOW)
    return Ruling(Verdict.ASK, "this changes a file")


def _decide_command(mode: Mode, call: ToolCall, command: str, rules: Rules) -> Ruling:
    assessment = assess(command)
    if assessment.risk is Risk.READ_ONLY:
        return Ruling(Verdict.ALLOW, reads_only=True)
    if mode is Mode.PLAN:
        return Ruling(Verdict.DENY, f"plan mode runs read-only commands only, and {assessment.reason}")
    if assessment.risk is Risk.CATASTROPHIC:
        return Ruling(Verdict.ASK, assessment.reason)
    if mode is Mode.YOLO:
        return Ruling(Verdict.ALLOW)
    allowed = _all_covered(assessment, rules.allow) or _tool_matches(rules.allow, call) is not None
    if assessment.risk is Risk.UNKNOWN and allowed:
        return Ruling(Verdict.ALLOW)
    remember = assessment.remember if assessment.risk is Risk.UNKNOWN else None
    return Ruling(Verdict.ASK, assessment.reason, remember)


def _decide_network(ruling: Ruling, command: str, rules: Rules) -> Ruling:
    """Whatever the mode, a connection is asked about: what was read can leave by it."""
    if _all_covered(assess(command), rules.network):
        return ruling
    reason = "it wants to use the network" + (f", and {ruling.reason}" if ruling.reason else "")
    return Ruling(Verdict.ASK, reason)


def _first_match(rules: tuple[str, ...], call: ToolCall, assessment: Assessment | None) -> str | None:
    """The first rule that covers the call, or any part of its command line, however that is written."""
    if found := _tool_matches(rules, call):
        return found
    commands = () if assessment is None else assessment.commands
    forms = [form for command in commands for form in (command.words, *command.forms)]
    of_commands = (rule for rule in rules if not rule.startswith(_TOOL))
    return next((rule for rule in of_commands if any(_starts_with(form, rule) for form in forms)), None)


def _tool_matches(rules: tuple[str, ...], call: ToolCall) -> str | None:
    """The first rule for this tool, and the path that it is called with; case is folded, as some file systems do."""
    path = call.arguments.get("path")
    for rule in rules:
        name, _, pattern = rule.removeprefix(_TOOL).strip().partition(" ")
        if not rule.startswith(_TOOL) or not fnmatchcase(call.name, name):
            continue
        pattern = pattern.strip()
        if not pattern or (isinstance(path, str) and _is_below(path, pattern)):
            return rule
    return None


def _covered_by(rule: str) -> str:
    return f"calls as in `{rule}`" if rule.startswith(_TOOL) else f"commands that begin with `{rule}`"


def _all_covered(assessment: Assessment, allowed: tuple[str, ...]) -> bool:
    """Whether the rules settle every command that does not only read; there must be one."""
    others = [command for command in assessment.commands if not command.read_only]
    return bool(others) and all(any(_starts_with(each.words, rule) for rule in allowed) for each in others)


def _starts_with(words: tuple[str, ...], rule: str) -> bool:
    if rule.startswith("="):
        return words == tuple(rule[1:].split())
    beginning = tuple(rule.split())
    return bool(beginning) and words[: len(beginning)] == beginning


def _protection(path: str, rules: Rules) -> str | None:
    """Why a file must not be written, if so."""
    found = (each for each in rules.protected if _is_below(path, each.pattern))
    return next((f"{path} is protected: {each.reason}" for each in found), None)


def _is_below(path: str, pattern: str) -> bool:
    """Whether a path, or a folder above it, is like the pattern; case is folded, as some file systems do."""
    parts = PurePosixPath(posixpath.normpath(path.replace("\\", "/")).casefold()).parts
    above = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return any(fnmatchcase(each, pattern.casefold()) for each in above)

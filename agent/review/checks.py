"""Certain checks of a changed file, without a model: syntax, conflict markers, secrets, debug leftovers.

Only lines that the change wrote are looked at, and every finding has confidence 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.review.findings import Finding, Priority
from tools.git_changes import ChangedFile
from tools.syntax import check_change, language_of


@dataclass(frozen=True, slots=True)
class _Pattern:
    rule: str
    title: str
    pattern: re.Pattern[str]
    languages: frozenset[str] | None = None


def _secret(title: str, pattern: str) -> _Pattern:
    return _Pattern("secret", title, re.compile(pattern))


# Shapes that the issuers document for their own keys; they match nothing by accident.
_SECRETS = (
    _secret("A private key is in the change", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    _secret("An AWS access key is in the change", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    _secret("A GitHub token is in the change", r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{60,}\b"),
    _secret("A GitLab token is in the change", r"\bglpat-[A-Za-z0-9_-]{20,}\b"),
    _secret("A Slack token is in the change", r"\bxox[abposr]-[A-Za-z0-9-]{20,}\b"),
    _secret("A Hugging Face token is in the change", r"\bhf_[A-Za-z0-9]{34,}\b"),
    _secret("A Stripe key is in the change", r"\b[rs]k_live_[A-Za-z0-9]{20,}\b"),
    _secret("A Google API key is in the change", r"\bAIza[0-9A-Za-z_-]{35}\b"),
)
_PYTHON = frozenset({"python"})
_JAVASCRIPT = frozenset({"javascript", "typescript", "tsx"})
_LEFTOVERS = (
    _Pattern("debug", "A breakpoint is left in", re.compile(r"^\s*breakpoint\(\)|\bi?pdb\.set_trace\("), _PYTHON),
    _Pattern("debug", "A debugger statement is left in", re.compile(r"^\s*debugger\s*;?\s*$"), _JAVASCRIPT),
    _Pattern("debug", "Other tests are switched off", re.compile(r"\b(?:describe|it|test)\.only\s*\("), _JAVASCRIPT),
    _Pattern("debug", "A breakpoint is left in", re.compile(r"^\s*(?:binding\.pry|byebug)\b"), frozenset({"ruby"})),
    _Pattern("debug", "A dbg! call is left in", re.compile(r"\bdbg!\("), frozenset({"rust"})),
    _Pattern("debug", "It says itself that it is not to be committed", re.compile(r"\b(?:NOCOMMIT|DO NOT COMMIT)\b")),
)
_MARKER = re.compile(r"^(<{7}|={7}|>{7}|\|{7})(?: |$)")
# A line that is long and minified is data; its matches would be noise, and searching it slow.
_LONGEST_LINE = 2000
_BODIES = {
    "conflict-marker": "The markers of a merge are still in the file.",
    "syntax": "The file could be parsed before this change and cannot be parsed after it.",
    "secret": "A secret that was committed once has to be revoked; keep it out of the repository.",
    "debug": "It is of use while one works and not to those who get the change.",
}


def check_file(file: ChangedFile) -> list[Finding]:
    """What is certainly wrong with what the change wrote into this file."""
    if file.new is None:
        return []
    lines = file.new.splitlines()
    added = [(number, lines[number - 1]) for number in sorted(file.added_lines) if number <= len(lines)]
    return [*_conflicts(file, added), *_syntax(file), *_patterns(file, added)]


def _conflicts(file: ChangedFile, added: list[tuple[int, str]]) -> Iterator[Finding]:
    """A heading may be underlined by seven equals signs; both ends of a conflict are no accident."""
    markers = [(number, line) for number, line in added if _MARKER.match(line)]
    kinds = {line[0] for _, line in markers}
    if not {"<", ">"} <= kinds:
        return
    for number, line in markers:
        if line[0] == "<":
            yield _found(file, number, line, Priority.CRITICAL, "conflict-marker", "A merge conflict is not resolved")


def _syntax(file: ChangedFile) -> Iterator[Finding]:
    assert file.new is not None
    check = check_change(file.path, file.old, file.new)
    for problem in check.problems[: 3 if check.refuse else 0]:
        title = f"Syntax error: {problem.reason}"
        yield _found(file, _inside(file, problem.line), problem.text, Priority.CRITICAL, "syntax", title)


def _inside(file: ChangedFile, line: int) -> int:
    """The changed line nearest to ``line``: a parser often stumbles behind the mistake."""
    return min(file.added_lines, key=lambda each: (abs(each - line), each), default=line)


def _patterns(file: ChangedFile, added: list[tuple[int, str]]) -> Iterator[Finding]:
    language = language_of(file.path)
    for number, line in added:
        if len(line) > _LONGEST_LINE:
            continue
        for each in (*_SECRETS, *_LEFTOVERS):
            if (each.languages is None or language in each.languages) and each.pattern.search(line):
                priority = Priority.CRITICAL if each.rule == "secret" else Priority.MEDIUM
                # A secret is not repeated in a report.
                yield _found(file, number, "" if each.rule == "secret" else line, priority, each.rule, each.title)


def _found(file: ChangedFile, line: int, code: str, priority: Priority, rule: str, title: str) -> Finding:
    return Finding(file.path, line, line, priority, title, _BODIES[rule], 1.0, rule, code.strip())

"""What a parser of Python knows to be wrong with names: undefined, unused, defined twice; formats that do not fit.

pyflakes finds them; here only those are kept that the change brought in. It looks at one file at a time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pyflakes import checker, messages

from agent.review.findings import Finding, Priority
from tools.git_changes import ChangedFile
from tools.python_tree import python_tree
from tools.syntax import MAX_BYTES, language_of

_GRAVITY: dict[str, Priority] = {
    "UndefinedName": Priority.HIGH, "UndefinedLocal": Priority.HIGH, "UndefinedExport": Priority.HIGH,
    "DuplicateArgument": Priority.HIGH, "AssertTuple": Priority.HIGH, "IfTuple": Priority.HIGH,
    "RedefinedWhileUnused": Priority.MEDIUM, "IsLiteral": Priority.MEDIUM, "RaiseNotImplemented": Priority.MEDIUM,
    "MultiValueRepeatedKeyLiteral": Priority.MEDIUM, "MultiValueRepeatedKeyVariable": Priority.MEDIUM,
    "InvalidPrintSyntax": Priority.MEDIUM, "UnusedImport": Priority.LOW, "UnusedVariable": Priority.LOW,
}  # fmt: skip
_FORMATS = ("StringDotFormat", "PercentFormat")  # placeholders and arguments that do not fit: an exception at run time
_HARMLESS_FORMATS = ("ExtraNamedArguments", "ExtraPositionalArguments", "UnusedNamedArguments")
_FAR = "It is used in line {line}, which this change leaves as it is."
_NEAR = "Running this line raises an exception, or does not do what it says."
_UNUSED = "Nothing uses it; it may be a leftover, or something else was meant to use it."


@dataclass(frozen=True, slots=True)
class _Problem:
    """``kind`` is pyflakes' name for it; equal problems of two versions of a file have the same kind and text."""

    line: int
    kind: str
    text: str


def check_names(file: ChangedFile) -> list[Finding]:
    """Problems with names that the new version of a Python file has and the old one had not."""
    if file.new is None or language_of(file.path) != "python" or len(file.new) > MAX_BYTES:
        return []
    known = Counter((each.kind, each.text) for each in _problems(file.path, file.old or ""))
    lines = file.new.splitlines()
    found: list[Finding] = []
    for problem in _problems(file.path, file.new):
        key = (problem.kind, problem.text)
        if known[key]:
            known[key] -= 1
            continue
        line = lines[problem.line - 1] if problem.line <= len(lines) else ""
        if "noqa" not in line and file.added_lines | {h.new_start for h in file.hunks}:
            found.append(_finding(file, problem, lines))
    return found


def _problems(path: str, text: str) -> list[_Problem]:
    """In order of lines; none for a text that cannot be parsed."""
    tree = python_tree(text)
    if tree is None:
        return []
    try:
        found: list[messages.Message] = checker.Checker(tree, filename=path).messages
    except RecursionError:
        return []
    kept = [
        _Problem(each.lineno, type(each).__name__, str(each.message) % each.message_args)
        for each in found
        if _gravity(type(each).__name__, path) is not None
    ]
    return sorted(kept, key=lambda each: each.line)


def _gravity(kind: str, path: str) -> Priority | None:
    if kind == "UnusedImport" and path.endswith("__init__.py"):
        return None  # what a package offers
    if kind.startswith(_FORMATS):
        return Priority.LOW if kind.endswith(_HARMLESS_FORMATS) else Priority.HIGH
    return _GRAVITY.get(kind)


def _finding(file: ChangedFile, problem: _Problem, lines: list[str]) -> Finding:
    """A line that the change left alone is named in the body, and the change nearest to it is the place."""
    changed = file.added_lines or {min(max(1, hunk.new_start), max(1, len(lines))) for hunk in file.hunks}
    place = min(changed, key=lambda each: (abs(each - problem.line), each))
    priority = _gravity(problem.kind, file.path) or Priority.LOW
    body = _UNUSED if priority is Priority.LOW else _NEAR
    if place != problem.line:
        body = _FAR.format(line=problem.line)
    title = problem.text[:1].upper() + problem.text[1:]
    code = lines[place - 1].strip() if place <= len(lines) else ""
    return Finding(file.path, place, place, priority, title, body, 1.0, "names", code)

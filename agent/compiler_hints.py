"""What compilers propose themselves: another name, a sign that is missing, a header to include.

The messages are those of GCC, Clang and TypeScript, and Python's from 3.12 on. What is proposed is done at once, since
a program compiles only when its last mistake is mended. No model is asked; the tests decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.evidence import Evidence, Sources
from agent.proposal import Edit

_AT = r"^(?P<path>[^\s:(][^\n:(]*?)(?::(?P<line>\d+):(?P<column>\d+)|\((?P<l>\d+),(?P<c>\d+)\))(?::| -) "


def _message(*parts: str) -> re.Pattern[str]:
    """A message with its place; every other part stands in quotation marks of any kind."""
    quoted = (f"[‘'`\"]{part}[’'`\"]" if number % 2 else part for number, part in enumerate(parts))
    return re.compile(_AT + "".join(quoted), re.MULTILINE)


_WORD = r"(?P<{}>[A-Za-z_]\w*)"
_NAME = _message(r".*?", _WORD.format("wrong"), r"[^‘'`\"\n]*[Dd]id you mean ", _WORD.format("right"), r"\?")
_SIGN = _message(r"error: expected ", r"(?P<sign>[;,:)\]}])", r" (?:before|after|at)\b")
_BEFORE = _message(r"error: expected (?:[^\n]* )?", r";", r"[^\n]* before ")
_HEADER = _message(r"note: include (?:the header )?[‘'\"]?(?P<header><[\w./+-]+>)[’'\"]? or ")
_PYTHON = re.compile(r"'(?P<wrong>\w+)'[^'\n]*\. Did you mean:? '(?P<right>\w+)'\?")


@dataclass(frozen=True, slots=True, order=True)
class _Change:
    """``old`` at a place of a file (line and column from 1) becomes ``new``; with line 0 a line at the top."""

    line: int
    column: int
    old: str
    new: str


def compiler_hints(evidence: Evidence, sources: Sources) -> list[tuple[Edit, ...]]:
    """What is proposed for files of the workspace that are no tests, one edit for each file; mostly nothing.

    First with the first missing sign of a file only (the others may follow from it), then with all of them.
    """
    changes: dict[str, set[_Change]] = {}
    for printed, change in _proposed(evidence):
        path = sources.relative(printed)
        if path is not None and not sources.is_test(path):
            changes.setdefault(path, set()).add(change)
    careful = {path: found - set(_signs(found)[1:]) for path, found in changes.items()}
    tries = [_edits(each, sources) for each in (careful, changes)]
    return [edits for edits in dict.fromkeys(tries) if edits]


def _signs(changes: Iterable[_Change]) -> list[_Change]:
    """Those that put in a sign, from the top of the file on."""
    return sorted(change for change in changes if change.line and not change.old)


def _edits(changes: Mapping[str, set[_Change]], sources: Sources) -> tuple[Edit, ...]:
    edits = (_edit(path, sources.text(path), found) for path, found in sorted(changes.items()))
    return tuple(edit for edit in edits if edit is not None)


def _proposed(evidence: Evidence) -> Iterator[tuple[str, _Change]]:
    """Printed paths, and what is proposed there."""
    output = evidence.run.output
    for match in _NAME.finditer(output):
        yield match["path"], _Change(*_place(match), match["wrong"], match["right"])
    for match in _SIGN.finditer(output):
        yield match["path"], _Change(*_place(match), "", match["sign"])
    for match in _BEFORE.finditer(output):
        if not _SIGN.match(output, match.start()):
            yield match["path"], _Change(_place(match)[0], 0, "", ";")
    for match in _HEADER.finditer(output):
        yield match["path"], _Change(0, 0, "", f"#include {match['header']}")
    for failure, _ in evidence.tests:
        if failure.places and (match := _PYTHON.search(failure.reason)):
            yield failure.places[-1].path, _Change(failure.places[-1].line, 0, match["wrong"], match["right"])


def _place(match: re.Match[str]) -> tuple[int, int]:
    return int(match["line"] or match["l"]), int(match["column"] or match["c"])


def _edit(path: str, text: str, changes: set[_Change]) -> Edit | None:
    """The changes as one edit, the last ones first so that places stay where they are; None where nothing fits."""
    lines = text.split("\n")
    count = len(lines)
    for change in sorted(changes, reverse=True):
        if change.line == 0:
            includes = [number for number, line in enumerate(lines) if line.startswith("#include")]
            lines.insert(includes[-1] + 1 if includes else 0, change.new)
        elif change.line <= count:
            _apply(change, lines)
    new = "\n".join(lines)
    return Edit(path, text, new) if new != text else None


def _apply(change: _Change, lines: list[str]) -> None:
    at, start = change.line - 1, change.column - 1
    if change.old:
        word = re.compile(rf"\b{change.old}\b")
        found = word.match(lines[at], start) if start >= 0 else word.search(lines[at])
        if found:
            lines[at] = lines[at][: found.start()] + change.new + lines[at][found.end() :]
    elif start >= 0:
        lines[at] = lines[at][:start] + change.new + lines[at][start:]
    elif above := next((n for n in range(at - 1, -1, -1) if lines[n].strip()), None):
        lines[above] = lines[above].rstrip() + change.new

"""What the edit tool tells the model: the changed lines, or why nothing was changed and how to go on.

It decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import prompts
from tools.matching import Ambiguous
from tools.nearest import nearest_lines
from tools.syntax import SyntaxProblem
from tools.truncate import numbered

_CONTEXT = 2
_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Region:
    """A replacement's place in the new text, as offsets, and how its quotation was matched."""

    start: int
    end: int
    how: str


def regions_text(path: str, text: str, regions: Sequence[Region], problems: Sequence[SyntaxProblem]) -> str:
    """The result of a successful edit."""
    parts = [f"Edited {path}. It now reads:"]
    if any(region.how == "white space" for region in regions):
        parts[0] = f"Edited {path} (`find` was found but for its indentation; `replace` was fitted). It now reads:"
    parts += _excerpts(text, regions)
    if problems:
        parts.append("Possible new syntax errors: " + "; ".join(map(str, problems)))
    return "\n".join(parts)


def syntax_refusal(path: str, text: str, regions: Sequence[Region], problems: Sequence[SyntaxProblem]) -> str:
    """Why an edit that breaks the file's syntax was not made."""
    return prompts.load(
        "tools/edit_breaks_syntax",
        path=path,
        problems="\n".join(map(str, problems)),
        lines="\n".join(_excerpts(text, regions)),
    )


def not_found(path: str, text: str, edit: tuple[str, str], which: str) -> str:
    """That a quotation is nowhere in the file, with the lines most like it."""
    old, new = edit
    at = text.replace("\r\n", "\n").find(new.replace("\r\n", "\n")) if len(new.strip()) > 10 else -1
    if at >= 0:
        line = text.replace("\r\n", "\n").count("\n", 0, at) + 1
        return f"{which} is not in {path}, but `replace` is already there at line {line}: the change is made; go on."
    near = nearest_lines(text, old)
    if near is None:
        return f"{which} is not in {path} and nothing there is like it; nothing was changed. Read the file again."
    first, last = max(1, near[0] - _CONTEXT), near[1] + _CONTEXT
    lines = _lines(text)[first - 1 : min(last, first + _MAX_SHOWN)]
    return prompts.load("tools/edit_not_found", which=which, path=path, lines=numbered(lines, first))


def ambiguous(path: str, text: str, found: Ambiguous, which: str) -> str:
    """That a quotation fits several places, with the line before and after each."""
    lines = _lines(text)
    shown: list[str] = []
    for offset in found.offsets[:5]:
        row = text.count("\n", 0, offset)
        first = max(0, row - 1)
        shown.append(numbered(lines[first : row + 2], first + 1))
    return prompts.load(
        "tools/edit_ambiguous", which=which, path=path, count=str(len(found.offsets)), lines="\n...\n".join(shown)
    )


def _excerpts(text: str, regions: Sequence[Region]) -> list[str]:
    """The regions' lines with their numbers and some around; what would overlap is joined."""
    lines = _lines(text)
    spans: list[tuple[int, int]] = []
    for region in regions:
        first = text.count("\n", 0, region.start)
        last = text.count("\n", 0, max(region.start, region.end - 1))
        first, last = max(0, first - _CONTEXT), min(len(lines) - 1, last + _CONTEXT)
        if spans and first <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
        else:
            spans.append((first, last))
    shown: list[str] = []
    left = _MAX_SHOWN
    for first, last in spans:
        if left <= 0:
            shown.append("...")
            break
        shown.append(numbered(lines[first : min(last + 1, first + left)], first + 1))
        left -= last + 1 - first
    return "\n...\n".join(shown).split("\n")


def _lines(text: str) -> list[str]:
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if len(lines) > 1 and not lines[-1] else lines

"""How an answer is made to begin, so that a small model writes the repair and nothing else; pure.

What the answer then means is ``agent.proposal``'s matter.
"""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass

from agent.attempts import Attempt, Shape
from agent.evidence import Sources, Suspect
from tools.python_tree import python_tree

_REASON = "The mistake is that"


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around an answer: the text that it begins with, those that end it, and what belongs behind it."""

    prefix: str = ""
    stop: tuple[str, ...] = ("\n```\n",)
    rest: str = ""


def frame(attempt: Attempt, suspect: Suspect | None, sources: Sources) -> Frame:
    """The frame of an attempt's answer."""
    if attempt.shape is Shape.REASON:
        return Frame(_REASON)
    if attempt.shape is Shape.FREE or suspect is None or suspect.symbol is None:
        return Frame()
    opening = f"```{'python' if suspect.path.endswith('.py') else ''}\n"
    if attempt.shape is not Shape.LINE:
        return Frame(f"{opening}{head_of(suspect, sources)}", ("\n```",))
    lines = source_of(suspect, sources).splitlines()
    at = body_lines(suspect, sources)[attempt.line]
    before = "".join(f"{line}\n" for line in lines[:at])
    return Frame(opening + before, ("\n",), "".join(f"\n{line}" for line in lines[at + 1 :]) + "\n```")


def body_lines(suspect: Suspect, sources: Sources) -> list[int]:
    """Which lines of a definition, counted from its first as 0, are statements of its body: no blanks, no comments."""
    lines = source_of(suspect, sources).splitlines()
    return [
        at
        for at in range(head_lines(suspect, sources), len(lines))
        if lines[at].strip() and not lines[at].lstrip().startswith(("#", "//"))
    ]


def head_of(suspect: Suspect, sources: Sources) -> str:
    """The lines of a definition above its first statement, docstring included; its first line in other languages."""
    return "\n".join(source_of(suspect, sources).splitlines()[: head_lines(suspect, sources)]) + "\n"


def head_lines(suspect: Suspect, sources: Sources) -> int:
    """How many lines ``head_of`` has."""
    assert suspect.symbol is not None
    count = suspect.symbol.line - suspect.symbol.start_line + 1
    if suspect.path.endswith(".py"):
        count = _python_head(source_of(suspect, sources)) or count
    return count


def source_of(suspect: Suspect, sources: Sources) -> str:
    """The present text of a definition; only for suspects that are one."""
    assert suspect.symbol is not None
    return sources.lines(suspect.path, suspect.symbol.start_line, suspect.symbol.end_line).text


def _python_head(source: str) -> int:
    """Number of lines above the first statement of the body; 0 when it cannot be told (a one-liner, broken syntax)."""
    tree = python_tree(textwrap.dedent(source))
    definition = tree.body[0] if tree and tree.body else None
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return 0
    body = definition.body
    if ast.get_docstring(definition, clean=False) is not None:
        return body[0].end_lineno or 0
    first = body[0]
    top = min([first.lineno, *(each.lineno for each in getattr(first, "decorator_list", []))])
    return max(0, top - 1)

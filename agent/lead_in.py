"""How an answer is made to begin, so that a small model writes the repair and nothing else; pure.

What the answer then means is ``agent.proposal``'s matter.
"""

from __future__ import annotations

import ast
import textwrap

from agent.attempts import Shape
from agent.evidence import Sources, Suspect

_REASON = "The mistake is that"


def lead_in(shape: Shape, suspect: Suspect | None, sources: Sources) -> tuple[str, tuple[str, ...]]:
    """The beginning of the answer, and the texts that end it."""
    if shape is Shape.REASON:
        return _REASON, ("\n```\n",)
    if shape is Shape.FREE or suspect is None or suspect.symbol is None:
        return "", ("\n```\n",)
    language = "python" if suspect.path.endswith(".py") else ""
    return f"```{language}\n{head_of(suspect, sources)}", ("\n```",)


def head_of(suspect: Suspect, sources: Sources) -> str:
    """The lines of a definition above its first statement, docstring included; its first line in other languages."""
    assert suspect.symbol is not None
    lines = sources.lines(suspect.path, suspect.symbol.start_line, suspect.symbol.end_line).text.splitlines()
    return "\n".join(lines[: head_lines(suspect, sources)]) + "\n"


def head_lines(suspect: Suspect, sources: Sources) -> int:
    """How many lines ``head_of`` has."""
    assert suspect.symbol is not None
    count = suspect.symbol.line - suspect.symbol.start_line + 1
    if suspect.path.endswith(".py"):
        source = sources.lines(suspect.path, suspect.symbol.start_line, suspect.symbol.end_line).text
        count = _python_head(source) or count
    return count


def _python_head(source: str) -> int:
    """Number of lines above the first statement of the body; 0 when it cannot be told (a one-liner, broken syntax)."""
    try:
        tree = ast.parse(textwrap.dedent(source))
    except (SyntaxError, ValueError):
        return 0
    definition = tree.body[0] if tree.body else None
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return 0
    body = definition.body
    if ast.get_docstring(definition, clean=False) is not None:
        return body[0].end_lineno or 0
    first = body[0]
    top = min([first.lineno, *(each.lineno for each in getattr(first, "decorator_list", []))])
    return max(0, top - 1)

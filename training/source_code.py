"""The text of a Python file with one function in it, and where in the text its syntax tree's nodes stand.

It changes nothing.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property, lru_cache


@lru_cache(maxsize=4)
def parsed(text: str) -> ast.Module:
    """The syntax tree of a file, which nobody changes; raises SyntaxError or ValueError.

    A file is asked for once for each of its functions, so the last ones are kept.
    """
    return ast.parse(text)


@dataclass(frozen=True)
class Code:
    """A file's text (ASCII) and one function or method in it; ``owner`` is the method's class."""

    text: str
    function: ast.FunctionDef
    owner: ast.ClassDef | None = None

    @property
    def owner_name(self) -> str:
        """The class's name; empty for a function."""
        return self.owner.name if self.owner else ""

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The place in the text where each line begins."""
        found = [0]
        for line in self.text.splitlines(keepends=True):
            found.append(found[-1] + len(line))
        return tuple(found)

    def span(self, node: ast.expr | ast.stmt | ast.arg) -> tuple[int, int]:
        """The places where a node begins and ends."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def written(self, node: ast.expr | ast.stmt | ast.arg) -> str:
        """A node's text."""
        start, end = self.span(node)
        return self.text[start:end]

    def lines(self) -> range:
        """The numbers, from 1, of the lines behind the function's head."""
        assert self.function.end_lineno is not None
        return range(self.function.body[0].lineno, self.function.end_lineno + 1)

    def line(self, number: int) -> tuple[int, int]:
        """Where a line (from 1) begins and ends, its line feed left out."""
        start, end = self.starts[number - 1], self.starts[number]
        return start, end - (self.text[end - 1 : end] == "\n")

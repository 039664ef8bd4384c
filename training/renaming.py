"""Gives the names of a function, of its parameters and variables, and of what else its file defines, to others.

A model that has seen a function under many names learns what is done with names, not the names. Attributes and what is
passed by keyword keep theirs. It runs nothing: whether the code still does the same is found out by calling it.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import random
import re
import tokenize
from collections.abc import Iterable, Sequence

from training.source_code import parsed
from training.sources import Source

_KEPT = frozenset({*dir(builtins), *keyword.kwlist, *keyword.softkwlist, "self", "cls"})
_PLAIN = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_LONGEST = 24
_NAMING_SOURCES = 150


def some_names(sources: Sequence[Source], seed: int) -> list[str]:
    """Names to be given to others, as they stand in a part of the sources that is not held out."""
    some = random.Random(seed).sample(sources, min(_NAMING_SOURCES, len(sources)))
    return sorted({name for source in some if not source.held_out for name in names_of(source.text() or "")})


def names_of(text: str) -> set[str]:
    """Names of functions, parameters and variables in a file, to be given to others; none where it cannot be parsed."""
    try:
        tree = parsed(text)
    except (SyntaxError, ValueError):
        return set()
    return {name for name in _own(tree) if _PLAIN.fullmatch(name) and len(name) <= _LONGEST and name not in _KEPT}


def exchange(text: str, chance: random.Random, pool: Sequence[str], share: float) -> dict[str, str]:
    """New names for about a ``share`` of those that the file defines and that can be exchanged."""
    tree = parsed(text)
    nodes = list(ast.walk(tree))
    fixed = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    fixed |= {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg}
    fixed |= {alias.asname or alias.name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)
              for alias in node.names}  # fmt: skip
    fixed |= {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    fixed |= set(re.findall(r"\w+", " ".join(_formatted(nodes, text))))
    present = set(re.findall(r"\w+", text))
    given: dict[str, str] = {}
    for name in sorted(_own(tree) - fixed - _KEPT):
        if not _PLAIN.fullmatch(name.strip("_")) or len(name) < 2 or chance.random() >= share:
            continue
        new = "_" * (len(name) - len(name.lstrip("_"))) + chance.choice(pool)
        if new not in present:
            present.add(new)
            given[name] = new
    return given


def renamed(text: str, names: dict[str, str]) -> str:
    """Code with other names; what is in texts and comments stays."""
    lines = text.splitlines(keepends=True)
    found = list[tuple[int, int, str]]()
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string in names and before != ".":
            found.append((*token.start, token.string))
        before = token.string
    for row, column, name in reversed(found):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + names[name] + line[column + len(name) :]
    return "".join(lines)


def _own(tree: ast.AST) -> set[str]:
    """Names that the file itself gives to functions, parameters, and variables; those of methods left out."""
    methods = {id(node) for each in ast.walk(tree) if isinstance(each, ast.ClassDef) for node in each.body}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and id(node) not in methods:
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in methods:
            found.add(node.id)
    for each in ast.walk(tree):
        if isinstance(each, ast.ClassDef):  # a class's own variables are attributes
            for node in (each for statement in each.body for each in _targets(statement)):
                found.discard(node)
    return found


def _targets(statement: ast.stmt) -> Iterable[str]:
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _formatted(nodes: Sequence[ast.AST], text: str) -> Iterable[str]:
    """Texts with code in them, which Python 3.11 reads as one token."""
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield ast.get_source_segment(text, node) or ""

"""Cuts a function out of its file, with what it needs: the helpers, constants and imports that it names, and no more.

What comes out is a file of its own that can be run without the package it stood in. It runs nothing.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator

from training.source_code import Code, parsed

WORDLESS_SHARE = 0.6
"""So many functions are shown without the words that describe them."""

_MOST_LINES = 150
_BUILT_IN = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}
_GONE = "\0"
_FUTURE = "from __future__ import annotations\n"


def cut_out(code: Code) -> str | None:
    """The text of a file with the function (of a class: with its ``__init__`` and the methods that it uses).

    None where it needs something that is not there: a package, or what the file makes by other means than definitions.
    """
    there = _bindings(parsed(code.text))
    lines = code.text.split("\n")
    if _foreign(code, there):
        return None
    taken: dict[ast.stmt, set[int]] = {}
    imports: dict[str, str] = {}
    start: ast.stmt = code.owner or code.function
    pending = _needs(code, start, lines, taken)
    while pending:
        name = pending.pop()
        if name in imports or (name in _BUILT_IN and name not in there):
            continue
        statement = there.get(name)
        if statement is None:
            return None
        if isinstance(statement, ast.Import | ast.ImportFrom):
            written = _import(statement, name)
            if written is None:
                return None
            imports[name] = written
        elif statement not in taken:
            if (statement.end_lineno or 0) - statement.lineno > _MOST_LINES:
                return None
            pending |= _needs(code, statement, lines, taken)
            if sum(map(len, taken.values())) > _MOST_LINES:
                return None
    return _written(imports.values(), taken, lines)


def without_words(text: str) -> str:
    """A file without the texts that describe its functions and classes, where they are longer than a line."""
    lines = text.split("\n")
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node, clean=False) is not None:
            words = node.body[0]
            if len(node.body) > 1 and words.end_lineno and words.end_lineno > words.lineno > node.lineno:
                if words.end_lineno < len(lines) and not lines[words.end_lineno].strip():
                    lines[words.end_lineno] = _GONE
                for number in range(words.lineno - 1, words.end_lineno):
                    lines[number] = _GONE
    return "\n".join(line for line in lines if line is not _GONE)


def _bindings(module: ast.Module) -> dict[str, ast.stmt]:
    """What the file's statements define; names that are defined twice, or somewhere deeper, left out."""
    found: dict[str, ast.stmt] = {}
    twice: set[str] = set()
    for statement in module.body:
        for name in _defined(statement):
            if name in found:
                twice.add(name)
            found[name] = statement
    return {name: statement for name, statement in found.items() if name not in twice}


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.split(".")[0]
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for node in (each for target in targets for each in ast.walk(target)):
            if isinstance(node, ast.Name):
                yield node.id
    else:  # `if`, `try` and the like: what they define is never cut out
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
                yield node.id


def _foreign(code: Code, there: dict[str, ast.stmt]) -> bool:
    """Whether the function itself names what is imported from elsewhere: most that cannot be cut out do."""
    names = {node.id for part in code.function.body for node in ast.walk(part) if isinstance(node, ast.Name)}
    used = ((name, there[name]) for name in names if name in there)
    return any(isinstance(made, ast.Import | ast.ImportFrom) and _import(made, name) is None for name, made in used)


def _needs(code: Code, statement: ast.stmt, lines: list[str], taken: dict[ast.stmt, set[int]]) -> set[str]:
    """Note which lines of a statement are cut out; the names that they use."""
    parts: list[ast.AST] = [statement]
    kept = _lines(statement)
    if isinstance(statement, ast.ClassDef) and statement is code.owner:
        methods = {node.name: node for node in statement.body if isinstance(node, ast.FunctionDef)}
        wanted = _methods(code.function.name, methods)
        parts = [*statement.bases, *statement.decorator_list]
        kept = set(range(_lines_from(statement), statement.body[0].lineno))
        for node in statement.body:
            if not isinstance(node, ast.FunctionDef) or node.name in wanted:
                parts.append(node)
                kept |= _lines(node)
    taken[statement] = {number for number in kept if number <= len(lines)}
    own = {name for part in parts if part is not statement and isinstance(part, ast.stmt) for name in _defined(part)}
    return {name for part in parts for name in _used(part)} - own


def _methods(name: str, methods: dict[str, ast.FunctionDef]) -> set[str]:
    """The method, ``__init__``, and what both use of ``self``."""
    wanted: set[str] = set()
    pending = [name, "__init__"]
    while pending:
        each = pending.pop()
        if each in methods and each not in wanted:
            wanted.add(each)
            pending += [node.attr for node in ast.walk(methods[each]) if isinstance(node, ast.Attribute)]
    return wanted


def _used(tree: ast.AST) -> Iterator[str]:
    """Names that are not the statement's own; annotations are left out, as they are never evaluated."""
    local = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    pending: list[ast.AST] = [tree]
    used: list[str] = []
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name):
            (used.append if isinstance(node.ctx, ast.Load) else local.add)(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and node is not tree and node.name:
            local.add(node.name)
        skipped = _annotations(node)
        pending += [child for child in ast.iter_child_nodes(node) if child not in skipped]
    yield from (name for name in used if name not in local)


def _annotations(node: ast.AST) -> list[ast.AST]:
    given = (getattr(node, "annotation", None), getattr(node, "returns", None))
    return [each for each in given if isinstance(each, ast.AST)]


def _import(statement: ast.Import | ast.ImportFrom, name: str) -> str | None:
    """The statement for this name alone; None where it is none of the standard library."""
    for alias in statement.names:
        if (alias.asname or alias.name.split(".")[0]) != name:
            continue
        origin = alias.name if isinstance(statement, ast.Import) else statement.module or ""
        level = statement.level if isinstance(statement, ast.ImportFrom) else 0
        if level or origin.split(".")[0] not in sys.stdlib_module_names:
            return None
        what = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
        return f"import {what}" if isinstance(statement, ast.Import) else f"from {origin} import {what}"
    return None


def _lines_from(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _lines(statement: ast.stmt) -> set[int]:
    return set(range(_lines_from(statement), (statement.end_lineno or 0) + 1))


def _written(imports: Iterable[str], taken: dict[ast.stmt, set[int]], lines: list[str]) -> str | None:
    pieces: list[str] = []
    for statement in sorted(taken, key=lambda each: each.lineno):
        definition = isinstance(statement, ast.FunctionDef | ast.ClassDef)
        text = "\n".join(lines[number - 1] for number in sorted(taken[statement]))
        if isinstance(statement, ast.ClassDef):
            text = _spaced(taken[statement], lines)
        pieces.append(("\n\n" if definition else "") + text + ("\n" if definition else ""))
    body = "\n".join(pieces).replace("\n\n\n\n", "\n\n\n").strip("\n") + "\n"
    head = "".join(f"{each}\n" for each in sorted(set(imports)))
    annotated = any(_annotations(node) for statement in taken for node in ast.walk(statement))
    text = (_FUTURE + ("\n" if head else "") if annotated else "") + head
    between = "\n\n" if body.startswith(("def ", "class ", "@")) else ""
    text += ("\n" if text and not between else between if text else "") + body
    try:
        ast.parse(text)
    except SyntaxError:
        return None
    return text


def _spaced(numbers: set[int], lines: list[str]) -> str:
    """Lines of a class, with one empty line where some were left out."""
    found: list[str] = []
    last = min(numbers)
    for number in sorted(numbers):
        if number > last + 1:
            found.append("")
        found.append(lines[number - 1])
        last = number
    return "\n".join(found)

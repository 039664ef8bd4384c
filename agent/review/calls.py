"""Calls whose arguments do not match the definition that they call, as far as both can be seen in the repository.

Only plain functions and classes that a module defines once are followed, by name or by import; whatever might be
replaced at run time (decorators, base classes, names that are assigned again) is left alone.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.review.findings import Finding, Priority
from agent.review.header import module_files
from agent.review.repository import Reader, Repository
from tools.git_changes import ChangedFile
from tools.python_tree import python_tree
from tools.syntax import MAX_BYTES, language_of


@dataclass(frozen=True, slots=True)
class Signature:
    """What may be passed: ``positional`` names in order, ``required`` ones of them, keyword-only ones, and the rest."""

    name: str
    positional: tuple[str, ...]
    only_positional: int
    required: frozenset[str]
    keywords: frozenset[str]
    any_positional: bool
    any_keyword: bool

    def mismatch(self, call: ast.Call) -> str | None:
        """What is wrong with the arguments of a call, as a sentence's end; None where they fit or cannot be told."""
        if any(isinstance(each, ast.Starred) for each in call.args) or any(k.arg is None for k in call.keywords):
            return None
        given = [keyword.arg for keyword in call.keywords if keyword.arg is not None]
        if len(call.args) > len(self.positional) and not self.any_positional:
            return f"takes at most {len(self.positional)} positional arguments, and {len(call.args)} are given"
        by_position = set(self.positional[: len(call.args)])
        for name in given:
            if name in by_position:
                return f"gets {name} twice"
            if name not in {*self.positional[self.only_positional :], *self.keywords} and not self.any_keyword:
                return f"has no parameter {name}"
        missing = sorted(self.required - by_position - set(given))
        return f"needs {', '.join(missing)} as well" if missing else None


def check_calls(file: ChangedFile, read: Reader) -> list[Finding]:
    """Calls in lines that the change wrote which do not fit what they call."""
    tree = _parsed(file.path, file.new)
    if tree is None or file.new is None:
        return []
    lines, added = file.new.splitlines(), file.added_lines
    found: list[Finding] = []
    calls = [call for call in _named_calls(tree) if added.intersection(_lines_of(call))]
    for call, signature in _known(calls, tree, file.path, read):
        wrong = signature.mismatch(call)
        if wrong is not None:
            place = min(added.intersection(_lines_of(call)))
            title = f"{signature.name}() {wrong}"
            body = "The call does not match the definition in this repository and raises a TypeError."
            code = lines[place - 1].strip()
            found.append(Finding(file.path, place, place, Priority.HIGH, title, body, 1.0, "calls", code))
    return found


def check_callers(file: ChangedFile, repository: Repository) -> list[Finding]:
    """Functions of which this change changed the parameters so that a call elsewhere no longer fits."""
    before, after = _parsed(file.path, file.old), _parsed(file.path, file.new)
    if before is None or after is None or file.new is None:
        return []
    old, new = signatures(before), signatures(after)
    found: list[Finding] = []
    for name in sorted(name for name in old.keys() & new.keys() if old[name] != new[name]):
        line = _line_of(after, name)
        place = min(file.added_lines, key=lambda each: abs(each - line), default=line)
        for path in dict.fromkeys((file.path, *repository.mentions(name))):
            tree = after if path == file.path else _parsed(path, repository.read(path))
            versions = (old[name], new[name])
            broken = _broken(tree, path, versions, repository.read) if tree is not None else None
            if broken is not None:
                title = f"{name}() {broken[1]}: see the call in {path}:{broken[0]}"
                body = "That call fitted the parameters before this change and does not fit them any more."
                code = file.new.splitlines()[place - 1].strip()
                found.append(Finding(file.path, place, place, Priority.HIGH, title, body, 1.0, "calls", code))
                break
    return found


def _broken(tree: ast.Module, path: str, versions: tuple[Signature, Signature], read: Reader) -> tuple[int, str] | None:
    """The line of a call that fitted the old signature and not the new one, and what is wrong with it."""
    old, new = versions
    names = {new.name}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {each.asname or each.name for each in node.names if each.name == new.name}
    calls = [call for call in _named_calls(tree) if _name_of(call) in names]
    for call, signature in _known(calls, tree, path, read):
        wrong = new.mismatch(call)
        if signature == new and wrong is not None and old.mismatch(call) is None:
            return call.lineno, wrong
    return None


def signatures(tree: ast.Module) -> dict[str, Signature]:
    """The functions and classes that a module defines once, undecorated, and does not give another value."""
    stored = Counter(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    stored.update(arg.arg for arg in ast.walk(tree) if isinstance(arg, ast.arg))
    defined = Counter(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )
    found: dict[str, Signature] = {}
    for node in tree.body:
        signature = _signature(node)
        if signature is not None and defined[signature.name] == 1 and not stored[signature.name]:
            found[signature.name] = signature
    return found


def _signature(node: ast.stmt) -> Signature | None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list:
        return _of_function(node, node.name, 0)
    if isinstance(node, ast.ClassDef) and not (node.decorator_list or node.bases or node.keywords):
        makers = [
            each for each in node.body if isinstance(each, ast.FunctionDef) and each.name in ("__init__", "__new__")
        ]
        if len(makers) == 1 and makers[0].name == "__init__" and not makers[0].decorator_list:
            return _of_function(makers[0], node.name, 1)
    return None


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str, skip: int) -> Signature:
    arguments = node.args
    positional = [arg.arg for arg in (*arguments.posonlyargs, *arguments.args)][skip:]
    without = len(positional) - len(arguments.defaults)
    needed = [a.arg for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    return Signature(
        name=name,
        positional=tuple(positional),
        only_positional=max(0, len(arguments.posonlyargs) - skip),
        required=frozenset([*positional[: max(0, without)], *needed]),
        keywords=frozenset(arg.arg for arg in arguments.kwonlyargs),
        any_positional=arguments.vararg is not None,
        any_keyword=arguments.kwarg is not None,
    )


def _named_calls(tree: ast.Module) -> list[ast.Call]:
    """The calls of plain names that the module gives no value itself."""
    nodes = list(ast.walk(tree))
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    stored |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return [node for node in nodes if isinstance(node, ast.Call) and _name_of(node) not in {*stored, ""}]


def _name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _lines_of(call: ast.Call) -> range:
    return range(call.lineno, (call.end_lineno or 0) + 1)


def _known(
    calls: Sequence[ast.Call], tree: ast.Module, path: str, read: Reader
) -> Iterator[tuple[ast.Call, Signature]]:
    """Those of the calls whose function this module defines, or imports from a module of the repository.

    Only modules that one of the calls needs are read: each one costs a git process and a parse.
    """
    called = {_name_of(call) for call in calls}
    known = signatures(tree)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any((name.asname or name.name) in called for name in node.names):
            module = _module(node, path, read)
            theirs = signatures(module) if module is not None else {}
            known |= {name.asname or name.name: theirs[name.name] for name in node.names if name.name in theirs}
    for call in calls:
        signature = known.get(_name_of(call))
        if signature is not None:
            yield call, signature


def _module(node: ast.ImportFrom, path: str, read: Reader) -> ast.Module | None:
    """The module of the repository that something is imported from."""
    for place in module_files(path, node.level, node.module or ""):
        tree = _parsed(place, read(place))
        if tree is not None:
            return tree
    return None


def _line_of(tree: ast.Module, name: str) -> int:
    return next((node.lineno for node in tree.body if getattr(node, "name", None) == name), 1)


def _parsed(path: str, text: str | None) -> ast.Module | None:
    if text is None or language_of(path) != "python" or len(text) > MAX_BYTES:
        return None
    return python_tree(text)

"""Blocks of Python statements in their normal form: what does nothing is gone, variables used once give way.

It looks at no single expression; ``agent.review.python_form`` does.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence

_LOG_METHODS = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "log"})
_LOGS = frozenset({"log", "logger", "logging", "_log", "_logger"})
_SAFE_CALLS = frozenset({"len", "str", "repr", "type", "list", "sorted", "sum", "min", "max"})
_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_SIMPLE = (ast.Assign, ast.Return, ast.Expr, ast.Raise, ast.Assert)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def statements(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """A block without what does nothing, its imports one by one in order, no ``else`` behind what leaves."""
    kept: list[ast.stmt] = []
    for statement in body:
        if _does_nothing(statement):
            continue
        if isinstance(statement, ast.If) and statement.orelse:
            last = statement.body[-1] if statement.body else None
            if isinstance(last, _LEAVES):
                behind, statement.orelse = statement.orelse, []
                kept += [statement, *statements(behind)]
                continue
        kept += [_as_choice(statement)] if isinstance(statement, ast.If) else _single_imports(statement)
    return _sorted_imports(kept)


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return True
    if not isinstance(statement, ast.Expr):
        return False
    return isinstance(statement.value, ast.Constant) or _is_log(statement.value)


def _is_log(node: ast.expr) -> bool:
    """A call of a logger whose arguments do nothing themselves."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in _LOG_METHODS:
        return False
    receiver = node.func.value
    name = receiver.id if isinstance(receiver, ast.Name) else getattr(receiver, "attr", "")
    inner = [each for part in (*node.args, *(k.value for k in node.keywords)) for each in ast.walk(part)]
    acts = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
    calls = [each for each in inner if isinstance(each, ast.Call)]
    safe = all(isinstance(call.func, ast.Name) and call.func.id in _SAFE_CALLS for call in calls)
    return name in _LOGS and safe and not any(isinstance(each, acts) for each in inner)


def _as_choice(statement: ast.If) -> ast.stmt:
    """``x = a if c else b`` for an ``if`` that assigns one variable either way."""
    if len(statement.body) != 1 or len(statement.orelse) != 1:
        return statement
    yes, no = statement.body[0], statement.orelse[0]
    if isinstance(yes, ast.Assign) and isinstance(no, ast.Assign):
        same = [ast.dump(target) for target in yes.targets] == [ast.dump(target) for target in no.targets]
        if same and len(yes.targets) == 1 and isinstance(yes.targets[0], ast.Name):
            return ast.Assign(yes.targets, ast.IfExp(statement.test, yes.value, no.value))
    return statement


def _single_imports(statement: ast.stmt) -> list[ast.stmt]:
    if isinstance(statement, ast.Import):
        return [ast.Import([name]) for name in statement.names]
    if isinstance(statement, ast.ImportFrom):
        return [ast.ImportFrom(statement.module, [name], statement.level) for name in statement.names]
    return [statement]


def _sorted_imports(body: list[ast.stmt]) -> list[ast.stmt]:
    """Each run of imports in one order."""
    ordered: list[ast.stmt] = []
    run: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            run.append(statement)
            continue
        ordered += [*sorted(run, key=ast.dump), statement]
        run = []
    return ordered + sorted(run, key=ast.dump)


def inlined(body: list[ast.stmt], function: Function) -> list[ast.stmt]:
    """Variables that are set once and used once, in the statement right behind, give way to their value."""
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    counts = Counter((node.id, type(node.ctx)) for node in names)
    once = {node.id for node in names if counts[node.id, ast.Store] == 1 and counts[node.id, ast.Load] == 1}
    return _inlined_block(body, once)


def _inlined_block(body: list[ast.stmt], once: set[str]) -> list[ast.stmt]:
    kept: list[ast.stmt] = []
    for statement in body:
        _inline_inside(statement, once)
        while kept and (value := _inlinable(kept[-1], statement, once)) is not None:
            kept.pop()
            statement = value
        kept.append(statement)
    return kept


def _inline_inside(statement: ast.stmt, once: set[str]) -> None:
    """In the blocks that a statement holds; functions and classes in it have been seen to themselves."""
    if isinstance(statement, ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try):
        statement.orelse = _inlined_block(statement.orelse, once)
    if isinstance(statement, ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try | ast.With | ast.AsyncWith):
        statement.body = _inlined_block(statement.body, once)
    if isinstance(statement, ast.Try):
        statement.finalbody = _inlined_block(statement.finalbody, once)
        for handler in statement.handlers:
            handler.body = _inlined_block(handler.body, once)


def _inlinable(before: ast.stmt, statement: ast.stmt, once: set[str]) -> ast.stmt | None:
    """``statement`` with the value that ``before`` gave to a variable in the variable's place."""
    if not isinstance(before, ast.Assign) or len(before.targets) != 1:
        return None
    target = before.targets[0]
    if not isinstance(target, ast.Name) or target.id not in once:
        return None
    part: ast.AST | None = statement if isinstance(statement, _SIMPLE) else None
    if isinstance(statement, ast.If):
        part = statement.test
    elif isinstance(statement, ast.For):
        part = statement.iter
    if part is None or not any(isinstance(n, ast.Name) and n.id == target.id for n in ast.walk(part)):
        return None
    put = _Put(target.id, before.value)
    if isinstance(statement, ast.If):
        statement.test = put.visit(statement.test)
        return statement
    if isinstance(statement, ast.For):
        statement.iter = put.visit(statement.iter)
        return statement
    return put.visit(statement)


class _Put(ast.NodeTransformer):
    """Puts an expression where a variable is used."""

    def __init__(self, name: str, value: ast.expr) -> None:
        self._name = name
        self._value = value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._value if node.id == self._name and isinstance(node.ctx, ast.Load) else node


def rename(function: Function) -> None:
    """Local variables become numbers in the order of their first use: their names are nobody's business."""
    nodes = list(ast.walk(function))
    fixed = {node.arg for node in nodes if isinstance(node, ast.arg)}
    for node in nodes:
        if isinstance(node, ast.Global | ast.Nonlocal):
            fixed.update(node.names)
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    numbers: dict[str, str] = {}
    for node in _in_order(function):
        if isinstance(node, ast.Name) and node.id in stored - fixed:
            node.id = numbers.setdefault(node.id, f"#{len(numbers)}")


def _in_order(node: ast.AST) -> list[ast.AST]:
    found, pending = list[ast.AST](), [node]
    while pending:
        each = pending.pop()
        found.append(each)
        pending.extend(reversed(list(ast.iter_child_nodes(each))))
    return found

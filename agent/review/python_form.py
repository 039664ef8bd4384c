"""A normal form of Python code: two texts with the same form do the same, in all that a review cares for.

It runs nothing and judges nothing. Left out: comments, layout, docstrings, type hints, calls of a log, the words of
messages. Written one way: comparisons, ``x += y``, guards, order of imports, variables used once, names of variables.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from agent.review.python_blocks import Function, inlined, rename, statements
from tools.python_tree import python_tree

_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_WORDS = frozenset({"help", "description", "msg", "message", "title", "label", "epilog"})  # keywords that take prose
F = TypeVar("F", bound=Function)
_EMPTY: dict[str, Callable[[], ast.expr]] = {
    "dict": lambda: ast.Dict([], []),
    "list": lambda: ast.List([], ast.Load()),
    "tuple": lambda: ast.Tuple([], ast.Load()),
}


@lru_cache(maxsize=256)  # the same definition is compared with several others
def python_form(text: str) -> str | None:
    """The normal form of some statements (or of a whole definition, at any depth); None where they do not parse."""
    tree = python_tree(textwrap.dedent(text))
    if tree is None:
        return None
    try:
        return ast.dump(_Form().visit(tree))
    except RecursionError:
        return None


class _Form(ast.NodeTransformer):
    """Brings each node into its form, innermost first."""

    def __init__(self) -> None:
        self._functions = 0

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        node.body = statements(node.body)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.body = statements(node.body)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        return self._function(node)

    def _function(self, node: F) -> F:
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1
        node.returns = None
        node.body = inlined(statements(node.body), node)
        if not self._functions:
            rename(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        self.generic_visit(node)
        if not self._functions:
            return node  # what a class declares may become its fields
        if node.value is None:
            return None
        return ast.Assign([node.target], node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        self.generic_visit(node)
        if not isinstance(node.target, ast.Name):
            return node
        sum_of_both = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return ast.Assign([node.target], self.visit_BinOp(sum_of_both))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if len(node.ops) != 1:
            return node
        left, op, right = node.left, node.ops[0], node.comparators[0]
        if type(op) in _MIRRORED:
            return ast.Compare(right, [_MIRRORED[type(op)]()], [left])
        if isinstance(op, ast.Eq | ast.NotEq):
            left, right = sorted((left, right), key=ast.dump)
        return ast.Compare(left, [op], [right])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return (_negated(node.operand) or node) if isinstance(node.op, ast.Not) else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Mult) and _is_number(node.left) and not _is_number(node.right):
            node.left, node.right = node.right, node.left
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name):
            if node.func.id in _EMPTY and not node.args and not node.keywords:
                return _EMPTY[node.func.id]()
            if node.func.id == "print":
                node.args = [_without_words(each) for each in node.args]
        node.keywords.sort(key=lambda keyword: keyword.arg or "~")
        for keyword in node.keywords:
            if keyword.arg in _WORDS:
                keyword.value = _without_words(keyword.value)
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        self.generic_visit(node)
        if isinstance(node.exc, ast.Call):
            node.exc.args = [_without_words(each) for each in node.exc.args]
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        self.generic_visit(node)
        node.msg = None
        return node

    def visit_Return(self, node: ast.Return) -> ast.Return:
        self.generic_visit(node)
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            node.value = None
        return node

    def visit_If(self, node: ast.If) -> ast.If:
        self.generic_visit(node)
        node.body, node.orelse = statements(node.body), statements(node.orelse)
        positive = _positive(node.test)
        if node.orelse and positive is not None:
            node.test, node.body, node.orelse = positive, node.orelse, node.body
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(
            node, ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.ExceptHandler
        ):
            node.body = statements(node.body)
        return node


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _negated(node: ast.expr) -> ast.expr | None:
    """``a != b`` for ``a == b`` and the like; None where the opposite has no such form (an order may be partial)."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _NEGATED:
        return ast.Compare(node.left, [_NEGATED[type(node.ops[0])]()], node.comparators)
    return None


def _positive(test: ast.expr) -> ast.expr | None:
    """The condition of which ``test`` is the opposite; None where it is none."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _negated(test) if isinstance(test.ops[0], ast.NotEq | ast.NotIn | ast.IsNot) else None
    return None


def _without_words(node: ast.expr) -> ast.expr:
    """A text for people, whatever it says; what is put into it stays out of sight, too."""
    text = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    return ast.Constant("...") if text else node

"""Puts bugs into functions of real Python source: slips of the kind that a traceback or a failed assertion points at.

Each is one replacement at one place, with what stood there before. Whether a test notices it is found out by running
(``training.specimens``); nothing is run here, and the same seed gives the same bugs.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from training.source_code import Code, parsed


@dataclass(frozen=True, slots=True)
class Bug:
    """``text`` is the file with the bug; ``right`` stood at ``start`` where now everything up to ``end`` stands."""

    kind: str
    text: str
    start: int
    end: int
    right: str

    @property
    def line(self) -> int:
        """The line, from 1, that the bug begins in."""
        return self.text.count("\n", 0, self.start) + 1

    def repair(self) -> tuple[str, str]:
        """Whole lines as they are and as they should be, so many that they stand in the file once."""
        start = self.text.rfind("\n", 0, self.start) + 1
        end = self._end_of_line(self.end)
        while True:
            old = self.text[start:end]
            if old.strip() and self.text.count(old) == 1:
                return old, self.text[start : self.start] + self.right + self.text[self.end : end]
            if start == 0 and end == len(self.text):
                raise ValueError("no text is the only one of its kind in an empty file")
            grow_up = start > 0
            start = self.text.rfind("\n", 0, start - 1) + 1 if grow_up else start
            end = end if grow_up else self._end_of_line(end + 1)

    def _end_of_line(self, place: int) -> int:
        found = self.text.find("\n", place)
        return len(self.text) if found < 0 else found


Edit = tuple[int, int, str]
"""Replace text[start:end] by something else."""


def inject(code: Code, kind: str, seed: int) -> Iterator[Bug]:
    """Bugs of one kind in the function, in an order drawn by ``seed``; those that change no token left out."""
    chance = random.Random(f"{kind} {seed}")
    edits = list(dict.fromkeys(KINDS[kind](code, chance)))
    chance.shuffle(edits)
    for start, end, new in edits:
        if code.text[start:end] != new:
            yield Bug(kind, code.text[:start] + new + code.text[end:], start, start + len(new), code.text[start:end])


def misspelt(name: str, chance: random.Random) -> str:
    """The name with one letter left out, doubled, or exchanged with the next."""
    at = chance.randrange(1, len(name) - 1)
    slips = (
        name[:at] + name[at + 1 :],
        name[:at] + name[at] + name[at:],
        name[:at] + name[at + 1] + name[at] + name[at + 2 :],
    )
    return chance.choice(slips)


def _nodes(code: Code) -> Iterator[ast.AST]:
    """Everything in the function but texts that stand alone, and what is in f-strings (Python 3.11 misplaces it)."""
    pending: list[ast.AST] = list(reversed(code.function.body))
    while pending:
        node = pending.pop()
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            yield node
            pending += [] if isinstance(node, ast.JoinedStr) else list(ast.iter_child_nodes(node))


def _between(code: Code, left: ast.expr, right: ast.expr) -> tuple[int, int, str]:
    start, end = code.span(left)[1], code.span(right)[0]
    return start, end, code.text[start:end]


def _swapped(
    code: Code, pairs: dict[str, tuple[str, ...]], sides: Iterator[tuple[ast.expr, ast.expr]]
) -> Iterator[Edit]:
    for left, right in sides:
        start, end, sign = _between(code, left, right)
        if sign.strip() in pairs:
            for other in pairs[sign.strip()]:
                yield start, end, sign.replace(sign.strip(), other)


def wrong_name(code: Code, chance: random.Random) -> Iterator[Edit]:
    """A variable or function whose name is misspelt where it is used."""
    for node in _nodes(code):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and len(node.id) > 3:
            yield *code.span(node), misspelt(node.id, chance)


def wrong_attribute(code: Code, chance: random.Random) -> Iterator[Edit]:
    """An attribute or method whose name is misspelt."""
    for node in _nodes(code):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and len(node.attr) > 3:
            end = code.span(node)[1]
            yield end - len(node.attr), end, misspelt(node.attr, chance)


def wrong_variable(code: Code, chance: random.Random) -> Iterator[Edit]:
    """A variable of the function in place of another."""
    names = [node for node in _nodes(code) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    own |= {each.arg for each in code.function.args.args} - {"self", "cls"}
    for node in names:
        others = sorted(own - {node.id})
        if isinstance(node.ctx, ast.Load) and node.id in own and others:
            yield *code.span(node), chance.choice(others)


def missing_import(code: Code, _: random.Random) -> Iterator[Edit]:
    """An import at the top of the file that the function needs is gone."""
    used = {node.id for node in _nodes(code) if isinstance(node, ast.Name)}
    for statement in parsed(code.text).body:
        if isinstance(statement, ast.Import | ast.ImportFrom) and len(statement.names) == 1:
            name = statement.names[0].asname or statement.names[0].name
            if name in used and statement.lineno == statement.end_lineno:
                yield code.starts[statement.lineno - 1], code.starts[statement.lineno], ""


def wrong_operator(code: Code, _: random.Random) -> Iterator[Edit]:
    """Another operator of arithmetic or logic."""
    signs = {"+": ("-",), "-": ("+",), "*": ("+", "//"), "/": ("*", "//"), "//": ("/", "%"), "%": ("//",),
             "and": ("or",), "or": ("and",), "&": ("|",), "|": ("&",), "<<": (">>",), ">>": ("<<",)}  # fmt: skip

    def sides() -> Iterator[tuple[ast.expr, ast.expr]]:
        for node in _nodes(code):
            if isinstance(node, ast.BinOp):
                yield node.left, node.right
            elif isinstance(node, ast.BoolOp):
                yield node.values[0], node.values[1]

    yield from _swapped(code, signs, sides())


def wrong_comparison(code: Code, _: random.Random) -> Iterator[Edit]:
    """Another comparison."""
    signs = {"<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"), ">=": (">", "<="), "==": ("!=",), "!=": ("==",),
             "in": ("not in",), "not in": ("in",), "is": ("is not",), "is not": ("is",)}  # fmt: skip
    compared = (node for node in _nodes(code) if isinstance(node, ast.Compare))
    yield from _swapped(code, signs, ((node.left, node.comparators[0]) for node in compared))


def off_by_one(code: Code, _: random.Random) -> Iterator[Edit]:
    """A number of places, steps or elements that is one too large or too small."""
    for node in _nodes(code):
        if isinstance(node, ast.Constant) and type(node.value) is int and 0 <= node.value < 100:
            yield *code.span(node), str(node.value + 1)
            if node.value:
                yield *code.span(node), str(node.value - 1)
        elif isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and node.right.value == 1:
            yield *code.span(node), code.written(node.left)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("len", "range"):
            end = code.span(node.args[-1] if node.func.id == "range" and node.args else node)[1]
            yield end, end, " - 1"


def missing_return(code: Code, _: random.Random) -> Iterator[Edit]:
    """A value that is computed and not returned."""
    for node in _nodes(code):
        if isinstance(node, ast.Return) and node.value is not None:
            start = code.span(node)[0]
            yield start, start + len("return "), ""


def argument_order(code: Code, _: random.Random) -> Iterator[Edit]:
    """The first two arguments of a call exchanged."""
    for node in _nodes(code):
        if isinstance(node, ast.Call) and len(node.args) >= 2 and not isinstance(node.args[1], ast.Starred):
            start, end, between = _between(code, *node.args[:2])
            first, second = (code.written(each) for each in node.args[:2])
            if isinstance(node.args[0], ast.Starred) or first == second:
                continue
            yield start - len(first), end + len(second), second + between + first


def wrong_constant(code: Code, chance: random.Random) -> Iterator[Edit]:
    """Another text, number, or truth value."""
    for node in _nodes(code):
        if not isinstance(node, ast.Constant) or isinstance(node.value, bytes | complex):
            continue
        span, value = code.span(node), node.value
        if isinstance(value, bool):
            yield *span, str(not value)
        elif isinstance(value, int | float):
            yield *span, repr(chance.choice((value * 10, value + 2, value * 2 + 1)))
        elif isinstance(value, str) and value and code.text[span[0]] in "'\"" and "\\" not in code.written(node):
            at = chance.randrange(len(value))
            text = code.written(node)
            quote = text[:3] if text[:3] in ("'''", '"""') else text[0]
            if text == f"{quote}{value}{quote}":
                yield *span, quote + value[:at] + value[at + 1 :] + quote


def inverted_condition(code: Code, _: random.Random) -> Iterator[Edit]:
    """A condition turned round."""
    for node in _nodes(code):
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            start, end = code.span(node.test)
            if isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not):
                yield start, end, code.written(node.test.operand)
            elif isinstance(node.test, ast.Name | ast.Call | ast.Attribute | ast.Subscript):
                yield start, start, "not "


def missing_self(code: Code, _: random.Random) -> Iterator[Edit]:
    """A method without ``self``, or an attribute taken for a variable."""
    arguments = code.function.args.args
    if code.owner is None or not arguments or arguments[0].arg != "self":
        return
    start, end = code.span(arguments[0])
    behind = re.match(r",\s*", code.text[end:])
    yield start, end + (behind.end() if behind else 0), ""
    for node in _nodes(code):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield *code.span(node), node.attr


def bad_indentation(code: Code, chance: random.Random) -> Iterator[Edit]:
    """A line moved to the right or to the left."""
    for number in code.lines():
        start, end = code.line(number)
        text = code.text[start:end]
        margin = len(text) - len(text.lstrip(" "))
        if text.strip() and not text.lstrip().startswith("#") and margin > 4:
            yield start, start + margin, " " * (margin + chance.choice((-4, -4, 4, 1, -1)))


def missing_colon(code: Code, _: random.Random) -> Iterator[Edit]:
    """The head of a block without its colon."""
    for number in range(code.function.lineno, code.lines().stop):
        start, end = code.line(number)
        if re.match(r"\s*(?:def|if|elif|else|for|while|with|try|except|finally)\b[^#]*:$", code.text[start:end]):
            yield end - 1, end, ""


def missing_bracket(code: Code, _: random.Random) -> Iterator[Edit]:
    """A bracket that is never closed, or closes nothing."""
    for number in code.lines():
        start, end = code.line(number)
        if code.text[start:end].lstrip().startswith(("#", '"', "'")):
            continue
        for match in re.finditer(r"[)\]}(\[]", code.text[start:end]):
            yield start + match.start(), start + match.end(), ""


KINDS: dict[str, Callable[[Code, random.Random], Iterator[Edit]]] = {
    kind.__name__: kind
    for kind in (
        wrong_name, wrong_attribute, wrong_variable, missing_import, wrong_operator, wrong_comparison, off_by_one,
        missing_return, argument_order, wrong_constant, inverted_condition, missing_self, bad_indentation,
        missing_colon, missing_bracket,
    )
}  # fmt: skip
"""Kinds of bugs by name."""

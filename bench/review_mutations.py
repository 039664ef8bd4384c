"""Changes of whole files of real code: one half has a mistake put in, the other half is rewritten without one.

For measuring a review on code that no model has read in training: the files are this program's own. The mistakes are
those of mutation testing (another comparison, another variable, arguments exchanged, a statement gone). The
rewritings are of kinds that the review knows to be harmless, and of kinds that it does not. It measures nothing.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.review_cases import Case, changed_lines, parses
from tools.git import Git

REVISION = "4c5644a4e6f17351bc6279f48fe350a2be2970b5"
FOLDERS = ("agent/", "tools/", "inference/")

_SWAPPED = {
    " < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > ", " == ": " != ", " != ": " == ", " and ": " or ",
    " or ": " and ", " + ": " - ", " - ": " + ", " not in ": " in ", " in ": " not in ", " is not ": " is ",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replace ``source[start:end]``."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Code:
    """A file's text and one of its functions."""

    source: str
    function: ast.FunctionDef
    starts: tuple[int, ...]

    def offset(self, line: int, column: int) -> int:
        """The place in the text of a line (from 1) and a column in characters."""
        return self.starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def text(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.source[start:end]


Edits = Iterator[list[_Edit]]


def committed_files(root: Path) -> dict[str, str]:
    """The Python files of this program at one fixed commit, by path: the same cases however the program goes on."""
    git = Git(root)
    names = git.read("ls-tree", "-r", "-z", "--name-only", REVISION).decode().split("\0")
    wanted = [name for name in names if name.endswith(".py") and name.startswith(FOLDERS)]
    return {name: (git.show(name, REVISION) or b"").decode() for name in sorted(wanted)}


def file_cases(files: Mapping[str, str], count: int) -> list[Case]:
    """``count`` buggy and ``count`` clean changes, always the same ones for the same files (texts by path); fewer where
    there are few functions."""
    functions = [(path, code) for path, text in files.items() if text.isascii() for code in _functions(text)]
    random.Random(0).shuffle(functions)
    cases: list[Case] = []
    for number, (path, code) in enumerate(functions):
        if len(cases) >= 2 * count:
            break
        chance = random.Random(number)
        wrong, right = _changed(code, _MISTAKES, chance), _changed(code, _REWRITINGS, chance)
        if wrong is None or right is None:
            continue
        name = f"{path}: {code.function.name} {number}"
        guilty = changed_lines(code.source, wrong)
        cases += [
            Case(f"{name}: buggy", code.source, _with_harmless(wrong, code, chance), guilty, path),
            Case(f"{name}: clean", code.source, right, (), path),
        ]
    return cases


def _functions(source: str) -> Iterator[_Code]:
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and len(node.body) >= 3:
            yield _Code(source, node, tuple(starts))


def _changed(code: _Code, kinds: list[Callable[[_Code, random.Random], Edits]], chance: random.Random) -> str | None:
    """The text with one change of a kind drawn first, so that common shapes do not crowd out the others."""
    for kind in chance.sample(kinds, len(kinds)):
        candidates = list(kind(code, chance))
        chance.shuffle(candidates)
        for edits in candidates[:5]:
            text = code.source
            for edit in sorted(edits, key=lambda each: -each.start):
                text = text[: edit.start] + edit.text + text[edit.end :]
            if text != code.source and parses(text):
                return text
    return None


def _with_harmless(text: str, code: _Code, chance: random.Random) -> str:
    """A comment at the end of a line behind the function, if there is one: changes seldom come alone."""
    lines = text.splitlines()
    assert code.function.end_lineno is not None
    places = [n for n in range(code.function.end_lineno + 3, len(lines)) if re.match(r"    return \w+$", lines[n])]
    if places:
        lines[chance.choice(places)] += "  # as it was given"
    return "\n".join(lines) + "\n"


def _operators(code: _Code, _: random.Random) -> Edits:
    for node in ast.walk(code.function):
        sides: tuple[ast.expr, ast.expr] | None = None
        if isinstance(node, ast.Compare):
            sides = (node.left, node.comparators[0])
        elif isinstance(node, ast.BoolOp):
            sides = (node.values[0], node.values[1])
        elif isinstance(node, ast.BinOp):
            sides = (node.left, node.right)
        if sides is not None:
            start, end = code.span(sides[0])[1], code.span(sides[1])[0]
            if (other := _SWAPPED.get(code.source[start:end])) is not None:
                yield [_Edit(start, end, other)]


def _constants(code: _Code, chance: random.Random) -> Edits:
    for node in ast.walk(code.function):
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield [_Edit(*code.span(node), str(not node.value))]
        elif isinstance(node, ast.Constant) and isinstance(node.value, int):
            yield [_Edit(*code.span(node), str(node.value + chance.choice((1, -1)) if node.value else 1))]


def _variables(code: _Code, chance: random.Random) -> Edits:
    names = [n for n in ast.walk(code.function) if isinstance(n, ast.Name)]
    known = {n.id for n in names if isinstance(n.ctx, ast.Store)} | {a.arg for a in code.function.args.args} - {"self"}
    for node in names:
        others = sorted(known - {node.id})
        if isinstance(node.ctx, ast.Load) and node.id in known and others:
            yield [_Edit(*code.span(node), chance.choice(others))]


def _arguments(code: _Code, _: random.Random) -> Edits:
    for node in ast.walk(code.function):
        if isinstance(node, ast.Call) and len(node.args) >= 2:
            first, second = node.args[:2]
            if code.text(first) != code.text(second):
                yield [_Edit(*code.span(first), code.text(second)), _Edit(*code.span(second), code.text(first))]


def _conditions(code: _Code, _: random.Random) -> Edits:
    for node in ast.walk(code.function):
        if isinstance(node, ast.If | ast.While) and isinstance(node.test, ast.Name | ast.Call | ast.Attribute):
            yield [_Edit(code.span(node.test)[0], code.span(node.test)[0], "not ")]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield [_Edit(*code.span(node), code.text(node.operand))]


def _statements(code: _Code, _: random.Random) -> Edits:
    for node in ast.walk(code.function):
        if isinstance(node, ast.AugAssign | ast.Continue) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ):
            assert node.end_lineno is not None
            yield [_Edit(code.offset(node.lineno, 0), code.offset(node.end_lineno + 1, 0), "")]


def _returned(code: _Code, _: random.Random) -> Edits:
    """What is returned gets a name first."""
    for node in ast.walk(code.function):
        if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Name):
            margin = " " * node.col_offset
            yield [_Edit(*code.span(node), f"outcome = {code.text(node.value)}\n{margin}return outcome")]


def _hinted(code: _Code, _: random.Random) -> Edits:
    if code.function.returns is not None and "None" not in code.text(code.function.returns):
        start, end = code.span(code.function.returns)
        yield [_Edit(start, end, f"{code.source[start:end]} | None")]


def _mirrored(code: _Code, _: random.Random) -> Edits:
    signs = {" < ": " > ", " > ": " < ", " <= ": " >= ", " >= ": " <= ", " == ": " == "}
    for node in ast.walk(code.function):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = node.left, node.comparators[0]
            sign = signs.get(code.source[code.span(left)[1] : code.span(right)[0]])
            if sign is not None:
                yield [_Edit(*code.span(node), f"{code.text(right)}{sign}{code.text(left)}")]


def _nested(code: _Code, _: random.Random) -> Edits:
    """``if a and b:`` becomes two of them."""
    for node in ast.walk(code.function):
        if (
            isinstance(node, ast.If)
            and not node.orelse
            and isinstance(node.test, ast.BoolOp)
            and isinstance(node.test.op, ast.And)
            and len(node.test.values) == 2
            and node.test.lineno == node.test.end_lineno == node.body[0].lineno - 1
            and len(node.body) == 1
        ):
            margin, (first, second), body = " " * node.col_offset, node.test.values, node.body[0]
            inner = f"if {code.text(first)}:\n{margin}    if {code.text(second)}:\n{margin}        {code.text(body)}"
            yield [_Edit(*code.span(node), inner)]


def _looped(code: _Code, _: random.Random) -> Edits:
    """A comprehension that is returned becomes a loop."""
    for node in ast.walk(code.function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.ListComp) and len(node.value.generators) == 1:
            part, margin = node.value.generators[0], " " * node.col_offset
            lines = [f"kept = []\n{margin}for {ast.unparse(part.target)} in {ast.unparse(part.iter)}:"]
            deeper = f"{margin}    "
            for condition in part.ifs:
                lines.append(f"{deeper}if not ({ast.unparse(condition)}):\n{deeper}    continue")
            lines += [f"{deeper}kept.append({ast.unparse(node.value.elt)})", f"{margin}return kept"]
            yield [_Edit(*code.span(node), "\n".join(lines))]


def _formatted(code: _Code, _: random.Random) -> Edits:
    """An f-string becomes a call of ``format``."""
    for node in ast.walk(code.function):
        if isinstance(node, ast.JoinedStr) and node.lineno == node.end_lineno:
            values = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
            plain = all(
                isinstance(part, ast.Constant) or (part.conversion == -1 and part.format_spec is None)
                for part in node.values
                if isinstance(part, ast.Constant | ast.FormattedValue)
            )
            if values and plain:
                words = "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
                yield [_Edit(*code.span(node), f"{words!r}.format({', '.join(map(ast.unparse, values))})")]


def _optional(code: _Code, _: random.Random) -> Edits:
    """A parameter with a default that nobody uses yet."""
    arguments = code.function.args
    if arguments.defaults or arguments.kwonlyargs or arguments.vararg or arguments.kwarg:
        return
    hint = arguments.args[-1].annotation if arguments.args else None
    if hint is not None:
        yield [_Edit(code.span(hint)[1], code.span(hint)[1], ", *, verbose: bool = False")]


_MISTAKES: list[Callable[[_Code, random.Random], Edits]] = [
    _operators, _constants, _variables, _arguments, _conditions, _statements,
]  # fmt: skip
_REWRITINGS: list[Callable[[_Code, random.Random], Edits]] = [
    _returned, _hinted, _mirrored, _nested, _looped, _formatted, _optional,
]  # fmt: skip

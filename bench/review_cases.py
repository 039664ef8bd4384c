"""Changes for measuring a review: one half brings in a bug, the other half is harmless; with the guilty lines.

Made from a file of buggy functions with their correct versions (HumanEvalPack's format; not part of the project). A
file holds two functions. A buggy change turns the first one's correct body into the buggy one, beside harmless changes
of the second; a clean change is harmless in both. It measures nothing.
"""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from bench.buggy_repositories import DEFAULT_DATA


@dataclass(frozen=True, slots=True)
class Case:
    """A change of the file ``path``; ``guilty`` are the new lines (from 1) that bring in the bug, none when it is
    clean."""

    name: str
    old: str
    new: str
    guilty: tuple[int, ...]
    path: str = "module.py"


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    head: str
    right: str
    wrong: str

    def text(self, body: str) -> str:
        return f"{self.head}{body.rstrip()}\n"


def load_cases(data: Path = DEFAULT_DATA) -> list[Case]:
    """A buggy and a clean change for each function of the file, always the same ones; raises FileNotFoundError."""
    functions = [_function(json.loads(line)) for line in data.read_text().splitlines()]
    cases: list[Case] = []
    for number, first in enumerate(functions):
        second = functions[(number + 1) % len(functions)]
        third = functions[(number + 2) % len(functions)]
        for buggy in (True, False):
            chance = random.Random(2 * number + buggy)
            cases.append(_case(first, second, third, chance, buggy=buggy))
    return cases


def _function(row: dict[str, str]) -> _Function:
    return _Function(
        row["entry_point"], row["prompt"].strip("\n") + "\n", row["canonical_solution"], row["buggy_solution"]
    )


def _case(first: _Function, second: _Function, third: _Function, chance: random.Random, *, buggy: bool) -> Case:
    old_first, old_second = first.text(first.right), second.text(second.right)
    new_second = _harmless(old_second, chance)
    new_first = first.text(first.wrong) if buggy else _harmless(old_first, chance)
    added = f"\n\n{third.text(third.right)}" if chance.random() < 0.3 else ""
    old = f"{old_first}\n\n{old_second}"
    new = f"{new_first}\n\n{new_second}{added}"
    name = f"{first.name}: {'buggy' if buggy else 'clean'}"
    return Case(name, old, new, changed_lines(old_first, new_first) if buggy else ())


def changed_lines(old: str, new: str) -> tuple[int, ...]:
    """The lines of ``new`` that differ; where lines were only left out, the one that stands in their place."""
    before, after = old.splitlines(), new.splitlines()
    lines: set[int] = set()
    for tag, _, _, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            lines.update(range(start + 1, max(end, start + 1) + 1))
    return tuple(sorted(line for line in lines if line <= len(after)))


def _harmless(text: str, chance: random.Random) -> str:
    """One or two changes that keep what the code does."""
    kinds: list[Callable[[str, random.Random], str]] = [_comment, _rename, _spell_out, _document]
    for change in chance.sample(kinds, 2):
        changed = change(text, chance)
        if parses(changed):
            text = changed
    return text


def _body_lines(text: str) -> list[int]:
    """Indices of lines that begin a statement in the body of the (last) function."""
    tree = ast.parse(text)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    statements = [node for node in ast.walk(functions[-1]) if isinstance(node, ast.stmt)] if functions else []
    docstring = functions[-1].body[0] if functions and ast.get_docstring(functions[-1]) is not None else None
    inside = [node for node in statements if node is not docstring and node not in functions]
    return sorted({node.lineno - 1 for node in inside})


def _comment(text: str, chance: random.Random) -> str:
    places = _body_lines(text)
    if not places:
        return text
    lines, at = text.splitlines(), chance.choice(places)
    margin = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    words = ("the usual case", "see the examples above", "nothing else to do here", "keep this simple", "step by step")
    lines.insert(at, f"{margin}# {chance.choice(words)}")
    return "\n".join(lines) + "\n"


def _rename(text: str, chance: random.Random) -> str:
    """A local variable gets another name."""
    function = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)][-1]
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    taken = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)} | {a.arg for a in function.args.args}
    names = sorted(name for name in stored if len(name) > 1)
    free = [
        new for new in ("current", "entry", "value", "part", "result", "found") if new not in taken and new not in text
    ]
    if not names or not free:
        return text
    name, lines = chance.choice(names), text.splitlines()
    start = min(_body_lines(text), default=len(lines))
    pattern = re.compile(rf"(?<![\w.'\"])\b{re.escape(name)}\b(?!['\"])")
    new = chance.choice(free)
    return "\n".join([*lines[:start], *(pattern.sub(new, line) for line in lines[start:])]) + "\n"


def _spell_out(text: str, _: random.Random) -> str:
    """``x += y`` becomes ``x = x + y``, or ``!=`` with its sides exchanged."""
    for pattern, replacement in (
        (r"^(\s*)(\w+) \+= (\w+)$", r"\1\2 = \2 + \3"),
        (r"^(\s*)return (\w+) == (\w+)$", r"\1return \3 == \2"),
        (r"^(\s*)return (.+)$", r"\1return (\2)"),
    ):
        changed, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
        if count:
            return changed
    return text


def _document(text: str, chance: random.Random) -> str:
    """A sentence more in the docstring."""
    sentences = ("The arguments are not changed.", "Nothing is printed.", "It has no side effects.")
    quotes = re.search(r'("""|\'\'\')', text)
    if quotes is None:
        return text
    end = text.find(quotes[1], quotes.end())
    margin = "    "
    body = text[:end].rstrip()
    return f"{body}\n{margin}{chance.choice(sentences)}\n{margin}{text[end:]}"


def parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True

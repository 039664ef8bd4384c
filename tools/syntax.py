"""Parsing with tree-sitter: the language of a file, its tree, and the syntax errors that a change brought in.

It changes no file and knows nothing of symbols (``tools.code`` does).
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath

from tree_sitter import Language, Node, Parser, Tree

from tools.python_tree import parse_python

MAX_BYTES = 1_000_000  # larger files are generated data; parsing them would be felt
MAX_ERRORS = 5
_BEYOND_ASCII = re.compile(rb"[^\x00-\x7f]")

_EXTENSIONS = {
    ".py": "python", ".pyi": "python", ".sh": "bash", ".bash": "bash", ".c": "c", ".h": "c",
    ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hh": "cpp", ".hpp": "cpp", ".hxx": "cpp",
    ".css": "css", ".go": "go", ".html": "html", ".htm": "html", ".java": "java", ".js": "javascript",
    ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript", ".json": "json", ".rb": "ruby",
    ".rs": "rust", ".toml": "toml", ".ts": "typescript", ".mts": "typescript", ".cts": "typescript",
    ".tsx": "tsx", ".yaml": "yaml", ".yml": "yaml",
}  # fmt: skip

# Macros and templates make these parsers report errors in correct files: a new error there is told, not refused.
_APPROXIMATE = frozenset({"bash", "c", "cpp", "css", "html", "yaml"})


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """One syntax error: ``line`` counts from 1, ``text`` is that line, ``reason`` says what is wrong."""

    line: int
    text: str
    reason: str

    def __str__(self) -> str:
        """For the model: line, reason and text."""
        return f"line {self.line}: {self.reason}: {self.text.strip()[:120]}"


@dataclass(frozen=True, slots=True)
class SyntaxCheck:
    """What a change did to the syntax: the problems that are new, and whether they are certain enough to refuse it."""

    problems: tuple[SyntaxProblem, ...] = ()
    refuse: bool = False


def language_of(path: str | PurePath) -> str | None:
    """The language's name by the file's extension; None for one that we have no grammar for."""
    return _EXTENSIONS.get(PurePath(path).suffix.lower())


@cache
def grammar(language: str) -> Language | None:
    """The tree-sitter grammar; None when its package is not installed."""
    module = "typescript" if language == "tsx" else language
    try:
        package = importlib.import_module(f"tree_sitter_{module}")
    except ImportError:
        return None
    function = f"language_{language}" if module == "typescript" else "language"
    capsule: object = getattr(package, function)()
    return Language(capsule)


def parse(source: bytes, language: str) -> Tree | None:
    """The syntax tree of UTF-8 text; None without a grammar or above ``MAX_BYTES``."""
    if len(source) > MAX_BYTES:
        return None
    found = grammar(language)
    if language == "bash":
        # This grammar crashes the process on some characters beyond ASCII (tree-sitter/tree-sitter-bash#337). To the
        # shell they are letters of a word, so a letter stands in for each of their bytes; positions stay the same.
        source = _BEYOND_ASCII.sub(b"u", source)
    return Parser(found).parse(source) if found else None


def check_change(path: str | PurePath, before: str | None, after: str) -> SyntaxCheck:
    """The syntax errors in ``after`` that were not in ``before`` (None: a new file); texts, not bytes."""
    language = language_of(path)
    if language is None:
        return SyntaxCheck()
    problems = problems_in(after, language)
    if not problems:
        return SyntaxCheck()
    old = problems_in(before, language) if before is not None else []
    known = Counter(problem.text.strip() for problem in old)
    fresh: list[SyntaxProblem] = []
    for problem in problems:
        key = problem.text.strip()
        if known[key] > 0:
            known[key] -= 1
        else:
            fresh.append(problem)
    # A file that was broken before recovers differently after any change: refusing would forbid mending it in steps.
    return SyntaxCheck(tuple(fresh[:MAX_ERRORS]), bool(fresh) and not old and language not in _APPROXIMATE)


def problems_in(text: str, language: str) -> list[SyntaxProblem]:
    """All syntax errors of a text, in order of lines."""
    tree = parse(text.encode("utf-8", "replace"), language)
    if tree is None:
        return []
    lines = text.split("\n")
    found = [_problem(node, lines) for node in _error_nodes(tree.root_node)] if tree.root_node.has_error else []
    return _python_problems(text, lines, found) if language == "python" else found


def _error_nodes(root: Node) -> Iterator[Node]:
    """The innermost ERROR nodes and the MISSING ones, in order; only branches with errors are entered."""
    pending = [root]
    while pending:
        node = pending.pop()
        inner = [child for child in node.children if child.has_error or child.is_missing]
        if inner:
            pending.extend(reversed(inner))
        elif node.is_error or node.is_missing:
            yield node


def _problem(node: Node, lines: list[str]) -> SyntaxProblem:
    row = node.start_point.row
    reason = f"missing {node.type!r}" if node.is_missing else "syntax error"
    return SyntaxProblem(row + 1, lines[row] if row < len(lines) else "", reason)


def _python_problems(text: str, lines: list[str], found: list[SyntaxProblem]) -> list[SyntaxProblem]:
    """Python's own parser decides where it can.

    tree-sitter lets wrong indentation pass; Python's parser of this version does not know the syntax of newer ones.
    So an error counts when both see one, or when Python sees a wrong indentation or a print of Python 2.
    """
    parsed = parse_python(text)
    if parsed is None:
        return found
    if not isinstance(parsed, SyntaxError):
        return []
    certain = isinstance(parsed, IndentationError) or parsed.msg.startswith("Missing parentheses in call")
    if not found and not certain:
        return []
    row = max(1, min(parsed.lineno or 1, len(lines)))
    return [SyntaxProblem(row, lines[row - 1], parsed.msg)]

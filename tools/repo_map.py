"""A map of the repository: its definitions with place and signature, the most referenced ones first, within a size.

It reads files and keeps what it found by modification time and size; it writes nothing.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.code import Symbol, definitions
from tools.files import list_files
from tools.protected import is_secret
from tools.syntax import MAX_BYTES, language_of
from tools.truncate import cut_line

MAX_FILES = 3_000
_BUDGET_S = 8.0  # for reading new files in one call; the rest follows in the next call
_MAX_SIGNATURE = 140
_CALLABLE = frozenset({"function", "method"})
# What counts as a reference: a call (".name(" of a method), and a capitalised name anywhere. Counting every word would
# make methods called ``data`` or ``next`` the most important ones.
_CALL = re.compile(rb"\.?\b[a-z_][A-Za-z0-9_]{2,60}(?=\()")
_CAPITALISED = re.compile(rb"\b_?[A-Z][A-Za-z0-9_]{2,60}\b")


@dataclass(frozen=True, slots=True)
class _FileFacts:
    """What one file defines, and how often it refers to what: keys as ``_reference`` gives them."""

    stamp: tuple[int, int]
    symbols: tuple[Symbol, ...]
    references: Counter[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One definition on the map; a higher ``rank`` is named from more places."""

    path: str
    symbol: Symbol
    rank: float


class RepoMap:
    """The definitions below ``root``; keeps parsed files in memory. Not for use by two threads at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[str, _FileFacts] = {}

    def entries(self, query: str = "", folder: str = ".") -> list[Entry]:
        """All definitions below ``folder`` (relative) whose dotted name contains ``query``, best first."""
        self._refresh()
        ranks = self._ranks()
        wanted = query.lower().strip().replace("::", ".").removesuffix("()")
        prefix = "" if folder == "." else f"{folder}/"
        found = [
            Entry(path, symbol, ranks[path, index])
            for path, facts in self._files.items()
            if path.startswith(prefix)
            for index, symbol in enumerate(facts.symbols)
            if wanted in symbol.qualified_name.lower()
        ]
        return sorted(found, key=lambda entry: _order(entry, wanted))

    def render(self, max_characters: int, query: str = "", folder: str = ".") -> str:
        """The best definitions that fit into ``max_characters``, grouped by file in order of paths; may be empty."""
        chosen: dict[str, list[Symbol]] = defaultdict(list)
        left = max_characters
        for entry in self.entries(query, folder):
            cost = len(_line(entry.symbol)) + 1 + (0 if entry.path in chosen else len(entry.path) + 2)
            if cost > left:
                break
            chosen[entry.path].append(entry.symbol)
            left -= cost
        return "\n".join(render_file(path, chosen[path]) for path in sorted(chosen))

    def outline(self, path: str, query: str = "") -> list[Symbol]:
        """The definitions of one file (relative path) in order of lines."""
        facts = self._facts(path)
        wanted = query.lower().strip()
        return [symbol for symbol in facts.symbols if wanted in symbol.qualified_name.lower()] if facts else []

    def _refresh(self) -> None:
        names = [name for name in list_files(self.root) if language_of(name) and not is_secret(name.split("/"))]
        for gone in self._files.keys() - set(names):
            del self._files[gone]
        deadline = time.monotonic() + _BUDGET_S
        for name in names[:MAX_FILES]:
            if time.monotonic() > deadline:
                break
            facts = self._facts(name)
            if facts is not None:
                self._files[name] = facts

    def _facts(self, name: str) -> _FileFacts | None:
        path = self.root / name
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            known = self._files.get(name)
            if known is not None and known.stamp == stamp:
                return known
            content = path.read_bytes() if status.st_size <= MAX_BYTES else b""
            symbols = tuple(definitions(name, content))
        except OSError:
            return None
        return _FileFacts(stamp, symbols, _references(content))

    def _ranks(self) -> dict[tuple[str, int], float]:
        """A rank for each (path, index of symbol): references from other files, shared among namesakes.

        Two rounds: in the second a reference counts more when it comes from a file that is itself much referenced.
        """
        defined = Counter(_reference(symbol) for facts in self._files.values() for symbol in facts.symbols)
        weight = dict.fromkeys(self._files, 1.0)
        ranks: dict[tuple[str, int], float] = {}
        for _ in range(2):
            named: dict[str, float] = defaultdict(float)
            own: dict[tuple[str, str], float] = {}
            for path, facts in self._files.items():
                for key in facts.references.keys() & defined.keys():
                    own[path, key] = weight[path] * math.sqrt(facts.references[key])
                    named[key] += own[path, key]
            for path, facts in self._files.items():
                callables = {symbol.qualified_name for symbol in facts.symbols if symbol.kind in _CALLABLE}
                for index, symbol in enumerate(facts.symbols):
                    key = _reference(symbol)
                    elsewhere = (named[key] - own.get((path, key), 0.0)) / defined[key]
                    inside = 0.1 * math.sqrt(facts.references[key])
                    ranks[path, index] = (elsewhere + inside) * _plainness(symbol, callables)
            weight = {
                path: 1.0 + math.log1p(sum(ranks[path, index] for index in range(len(facts.symbols))))
                for path, facts in self._files.items()
            }
        return ranks


def _references(content: bytes) -> Counter[str]:
    """How often a file refers to what; a method call counts for a function of that name too."""
    calls = [name.decode("ascii") for name in _CALL.findall(content)]
    found = Counter(calls)
    found.update(name[1:] for name in calls if name.startswith("."))
    found.update(name.decode("ascii") for name in _CAPITALISED.findall(content))
    return found


def _reference(symbol: Symbol) -> str:
    """How others refer to a symbol: the key under which ``_references`` counts it."""
    method = symbol.kind == "method" and not symbol.name[:1].isupper()
    return f".{symbol.name}" if method else symbol.name


def render_file(path: str, symbols: Sequence[Symbol]) -> str:
    """A file's definitions in order of lines, one a line, below its path."""
    lines = [_line(symbol) for symbol in sorted(symbols, key=lambda symbol: (symbol.line, symbol.qualified_name))]
    return "\n".join([f"{path}:", *lines])


def _line(symbol: Symbol) -> str:
    indent = "  " * symbol.qualified_name.count(".")
    return f"{symbol.line:>5} {indent}{cut_line(symbol.signature, _MAX_SIGNATURE)}"


def _plainness(symbol: Symbol, callables: set[str]) -> float:
    """Private, dunder, test and local definitions say less about a repository."""
    name = symbol.name
    if (
        name.startswith("__")
        or name.lower().startswith("test")
        or symbol.qualified_name.rpartition(".")[0] in callables
    ):
        return 0.1
    return 0.4 if name.startswith("_") else 1.0


def _order(entry: Entry, wanted: str) -> tuple[bool, bool, float, str, int]:
    exact = bool(wanted) and wanted in {entry.symbol.name.lower(), entry.symbol.qualified_name.lower()}
    starts = bool(wanted) and entry.symbol.name.lower().startswith(wanted)
    return (not exact, not starts, -entry.rank, entry.path, entry.symbol.line)

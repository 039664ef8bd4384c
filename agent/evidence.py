"""What a failed test run already tells: the failing tests' code and the code that the failure points at.

It asks no model and changes nothing. The first answer of a small model can be the repair only if this stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.failures import FailedTest, Place, TestRun
from tools.code import Symbol, definitions, enclosing_symbol
from tools.files import list_files
from tools.text import decode

_CALL = re.compile(r"(?<![\w.])(?:\w+\.)*([A-Za-z_]\w*)\s*\(")
_NAME = re.compile(r"(?<![\w.])(?:\w+\.)*([A-Za-z_]\w*)")
_MAX_TESTS = 3  # failing tests that are looked into; the rest mostly fail for the same reason
_MAX_FILE_BYTES = 400_000


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a file: lines ``start``..``end`` (from 1, inclusive) and their text."""

    path: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """Code that a failure points at, by ``line``; ``symbol`` is None for code outside of any definition."""

    path: str
    symbol: Symbol | None
    line: int
    score: int

    @property
    def name(self) -> str:
        """The definition's dotted name, or the file."""
        return self.symbol.qualified_name if self.symbol else self.path


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known before the model is asked; ``suspects`` are ordered, the likeliest first."""

    run: TestRun
    tests: tuple[tuple[FailedTest, Excerpt | None], ...]
    suspects: tuple[Suspect, ...]


class Sources:
    """The files of a workspace as text, read once for each look; ignored and binary files are not there."""

    def __init__(self, root: Path, is_test: Callable[[str], bool]) -> None:
        self.root = root
        self.is_test = is_test
        self.paths = frozenset(list_files(root))
        self._contents: dict[str, bytes] = {}
        self._texts: dict[str, str] = {}
        self._symbols: dict[str, list[Symbol]] = {}

    def relative(self, printed: str) -> str | None:
        """The workspace path of a file as a test runner printed it; None for files that are not ours."""
        path = Path(printed)
        if path.is_absolute():
            try:
                printed = path.resolve().relative_to(self.root.resolve()).as_posix()
            except ValueError:
                return None
        else:
            printed = path.as_posix()
        return printed if printed in self.paths else None

    def places(self, failure: FailedTest) -> list[tuple[str, int]]:
        """The places of a failure that lie in the workspace, as paths and lines; outer ones first."""
        return [(path, place.line) for place in failure.places if (path := self.relative(place.path)) is not None]

    def raised_at(self, failure: FailedTest) -> tuple[str, int] | None:
        """The innermost of these; None where that is a test, or there is none."""
        innermost = self.places(failure)[-1:]
        return next((place for place in innermost if not self.is_test(place[0])), None)

    def text(self, path: str) -> str:
        """The file's text; empty when it is gone, too large or cannot be read."""
        if path not in self._texts:
            self._texts[path] = decode(self.content(path)).text
        return self._texts[path]

    def content(self, path: str) -> bytes:
        """The bytes that ``text`` was made of."""
        if path not in self._contents:
            try:
                content = (self.root / path).read_bytes()
            except OSError:
                content = b""
            self._contents[path] = content if len(content) <= _MAX_FILE_BYTES else b""
        return self._contents[path]

    def symbols(self, path: str) -> list[Symbol]:
        """The file's definitions."""
        if path not in self._symbols:
            self._symbols[path] = definitions(path, self.text(path).encode("utf-8", "replace"))
        return self._symbols[path]

    def around(self, path: str, line: int) -> Symbol | None:
        """The innermost definition around a line."""
        return enclosing_symbol(path, line, self.text(path).encode("utf-8", "replace"))

    def lines(self, path: str, start: int, end: int) -> Excerpt:
        """Lines ``start``..``end`` of a file, cut to what is there."""
        lines = self.text(path).splitlines()
        start, end = max(1, start), min(end, len(lines))
        return Excerpt(path, start, end, "\n".join(lines[start - 1 : end]))


def gather(run: TestRun, sources: Sources) -> Evidence:
    """Evidence of a red test run: the failing tests' code, and suspects by frames, by calls, and by calls of those."""
    tests = [(failure, _test_code(failure, sources)) for failure in run.failures[:_MAX_TESTS]]
    found: dict[tuple[str, str], Suspect] = {}
    wanted: dict[str, int] = {}
    for failure, excerpt in tests:
        for suspect in _from_frames(failure.places, sources):
            _add(found, suspect)
        for name, score in _called(failure, excerpt, sources):
            wanted[name] = max(wanted.get(name, 0), score)
    mentioned = " ".join(sources.text(excerpt.path) for _, excerpt in tests if excerpt)
    for suspect in _defined(wanted, sources, mentioned):
        _add(found, suspect)
    inner = {name: 15 for suspect in list(found.values()) for name in _CALL.findall(_code(suspect, sources))}
    for suspect in _defined(inner, sources, mentioned):
        _add(found, suspect)
    suspects = sorted(found.values(), key=lambda suspect: -suspect.score)
    return Evidence(run, tuple(tests), tuple(suspects))


def _add(found: dict[tuple[str, str], Suspect], suspect: Suspect) -> None:
    """Keep the higher score and one more point for being pointed at again."""
    key = (suspect.path, suspect.name)
    known = found.get(key)
    if known is None:
        found[key] = suspect
    else:
        found[key] = replace(known, score=max(known.score, suspect.score) + 1)


def _test_code(failure: FailedTest, sources: Sources) -> Excerpt | None:
    """The source of a failing test: the definition around the first place in a test file."""
    for path, line in sources.places(failure):
        if not sources.is_test(path):
            continue
        symbol = sources.around(path, line)
        if symbol is None or symbol.kind in {"class", "module"}:
            return sources.lines(path, line - 5, line + 3)
        return sources.lines(path, symbol.start_line, symbol.end_line)
    return None


def _from_frames(places: Sequence[Place], sources: Sources) -> Iterable[Suspect]:
    """Frames in the code under test, the innermost worth most."""
    for depth, place in enumerate(places):
        path = sources.relative(place.path)
        if path is None or sources.is_test(path):
            continue
        yield Suspect(path, sources.around(path, place.line), place.line, 100 + depth)


def _called(failure: FailedTest, excerpt: Excerpt | None, sources: Sources) -> Iterable[tuple[str, int]]:
    """Names in the failing test that may be the code under test: those on the failing lines are worth most."""
    for path, line in sources.places(failure):
        if sources.is_test(path):
            for name in _NAME.findall(sources.lines(path, line, line).text):
                yield name, 60
    if excerpt is not None:
        for name in _NAME.findall(excerpt.text):
            yield name, 40


def _defined(wanted: dict[str, int], sources: Sources, mentioned: str) -> Iterable[Suspect]:
    """Definitions, outside of tests, of the wanted names; files whose module the tests mention come first."""
    if not wanted:
        return
    for path in sorted(sources.paths):
        text = "" if sources.is_test(path) else sources.text(path)
        names = {name for name in wanted if name in text}
        if not names:
            continue
        bonus = 5 if re.search(rf"\b{re.escape(Path(path).stem)}\b", mentioned) else 0
        for symbol in sources.symbols(path):
            if symbol.name in names:
                yield Suspect(path, symbol, symbol.line, wanted[symbol.name] + bonus - (symbol.kind == "class") * 10)


def _code(suspect: Suspect, sources: Sources) -> str:
    if suspect.symbol is None:
        return sources.lines(suspect.path, suspect.line - 10, suspect.line + 10).text
    return sources.lines(suspect.path, suspect.symbol.start_line, suspect.symbol.end_line).text

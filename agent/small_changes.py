"""Which small change of the suspects' code a model would rather have written; it writes no code itself.

A small model copies a mistake that it is shown, and yet it knows the right version when it reads it. So every change at
one place (``tools.mutants``) is ranked by one reading of the present code: how much likelier than what stands there is
what would stand there instead. On functions whose repair is such a change it comes first in most cases, at the cost of
reading the function once more (docs/benchmarks.md). The tests decide.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.evidence import Evidence, Sources, Suspect
from agent.failures import FailedTest
from agent.proposal import Edit, replacing_lines
from tools.mutants import Mutant, mutants
from tools.syntax import language_of, parse

Preferences = Callable[[str, str, Sequence[str]], Awaitable[Sequence[float]]]
"""``agent.model.Model.preferences``."""

Files = tuple[tuple[str, str], ...]
"""Paths and texts, by path."""

_MOST_SUSPECTS = 3
_MOST_LINES = 120  # of a definition: reading it should not take longer than writing it anew would
_LEAST_ODDS = -4.0  # what is e**4 times less likely than what stands there is not tried
_FRAME_BONUS = 3.0  # a place where an exception was raised
_WRONG_NAME_BONUS = 12.0  # the failure itself says that this name is none; for a name that is written like it
_NO_SELF_BONUS = 12.0  # the failure itself says that a method was given one argument too many
_OFF_BY_ONE_BONUS = 2.0  # an assertion is wrong by one, and so is a number, a bound or the start of a count
_MUCH_ALIKE = 0.75  # difflib's ratio; a missing import has no such name
_TRIED = 2  # of what a failure names: of names that are written like a wrong one, of results that are not returned
_MOST_WITHOUT_RESULT = 2
_SUSPECT_MALUS = 0.5  # for each suspect that is likelier
# What begins the next statement is often likelier than what stands there, and of changes that begin alike the smaller
# one is meant more often (bench.slips).
_KIND_MALUS = {"drop a statement": 3.0, "drop an argument": 1.0, "drop a call": 1.0, "drop an operand": 0.5,
               "swap operands": 0.5, "name": 0.3}  # fmt: skip
_WORD = re.compile(r"[A-Za-z_]\w+")
_ONE_TOO_MANY = re.compile(r"(\w+)\(\) takes (\d+) positional arguments? but (\d+) (?:was|were) given")
_NOTHING = re.compile(r"\bNone (?:==|!=|is not) |'NoneType' object")
_COMPARED = re.compile(r"(?<![\w.])(-?\d+) (?:==|!=|!==|===) (-?\d+)(?![\w.])")
_DEFINED = re.compile(r"def\s+(\w+)\s*\($")
_BOUNDS = ({"<", "<="}, {">", ">="})
_WRONG_NAME = re.compile(r"(?:no attribute|name|field|symbol) ['`\"](\w+)['`\"]|\b(\w+) is not (?:defined|a function)")


@dataclass(frozen=True, slots=True)
class SmallChange:
    """A change at one place as an edit; ``line`` counts from 1, ``odds`` is how far it is preferred."""

    edit: Edit
    line: int
    kind: str
    odds: float


async def likely_changes(evidence: Evidence, sources: Sources, prefer: Preferences) -> list[SmallChange]:
    """Changes of the likeliest suspects, the best first; raises what ``prefer`` raises."""
    suspects = [each for each in evidence.suspects if each.symbol is not None][:_MOST_SUSPECTS]
    found: list[SmallChange] = []
    for number, suspect in enumerate(suspects):
        changes = _changes(suspect, sources, _names(evidence, sources))
        if not changes:
            continue
        base = changes[0][1].old
        odds = await prefer(_context(suspect, sources), base, [edit.new for _, edit in changes])
        bonus = _bonus(evidence, suspect.path, sources)
        for (mutant, edit), each in zip(changes, odds, strict=True):
            value = each + bonus(mutant) - _KIND_MALUS.get(mutant.kind, 0.0) - _SUSPECT_MALUS * number
            if value >= _LEAST_ODDS:
                found.append(SmallChange(edit, mutant.line, mutant.kind, value))
    return _each_once(sorted(found, key=lambda change: -change.odds), sources)


def _each_once(changes: Iterable[SmallChange], sources: Sources) -> list[SmallChange]:
    """The changes without those that make the same of a file as one before: a method's, once more in its class."""
    made: dict[Files, SmallChange] = {}
    for change in changes:
        made.setdefault(files_after([change.edit], sources), change)
    return list(made.values())


def files_after(edits: Iterable[Edit], sources: Sources) -> Files:
    """Paths and texts of the files that the edits change."""
    texts: dict[str, str] = {}
    for edit in edits:
        texts[edit.path] = texts.get(edit.path, sources.text(edit.path)).replace(edit.old, edit.new, 1)
    return tuple(sorted(texts.items()))


def misspellings(evidence: Evidence, sources: Sources) -> list[tuple[str, Edit]]:
    """Names that failures call wrong, replaced where they stand by what is written much like them; words and edits.

    Nothing has to be read for it: of such changes the model's opinion counts least.
    """
    found: dict[Edit, str] = {}
    for failure, _ in evidence.tests:
        wrong_names, place = _wrong_names([failure]), sources.raised_at(failure)
        if not wrong_names or place is None:
            continue
        path, line = place
        lines, known = sources.text(path).split("\n"), _names(evidence, sources)
        for wrong in sorted(wrong_names):
            for right in difflib.get_close_matches(wrong, sorted(known - {wrong}), _TRIED, _MUCH_ALIKE):
                new = re.sub(rf"\b{wrong}\b", right, lines[line - 1]) if line <= len(lines) else ""
                if new and new != lines[line - 1]:
                    found.setdefault(replacing_lines(path, lines, (line, line), [new]), f"{right} instead of {wrong}")
    return [(words, edit) for edit, words in found.items()]


def missing_returns(evidence: Evidence, sources: Sources) -> list[Edit]:
    """Where a failure shows None for a result: returns of what the likeliest suspects compute last."""
    if not any(_NOTHING.search(failure.reason) for failure, _ in evidence.tests):
        return []
    suspects = [each for each in evidence.suspects if each.symbol is not None and each.symbol.kind != "class"]
    found = [
        edit
        for suspect in suspects[:_MOST_WITHOUT_RESULT]
        for mutant, edit in reversed(_changes(suspect, sources, ()))
        if mutant.kind == "return"
    ]
    return found[:_TRIED]


def says_what_is_wrong(evidence: Evidence, sources: Sources) -> bool:
    """Whether a failure says itself which small change it wants: a method that lacks its ``self``, or a name that is
    none where there is one that is written much like it."""
    failures = [failure for failure, _ in evidence.tests]
    wrong = _wrong_names(failures)
    if "self" in wrong or _without_self(failures):
        return True
    known = sorted(_names(evidence, sources) - wrong)
    return any(difflib.get_close_matches(name, known, 1, _MUCH_ALIKE) for name in wrong)


def _wrong_names(failures: Iterable[FailedTest]) -> set[str]:
    return {name for each in failures for found in _WRONG_NAME.findall(each.reason) for name in found if name}


def _without_self(failures: Iterable[FailedTest]) -> set[str]:
    """Names of functions that were called with one argument more than they take."""
    found = (match for each in failures for match in _ONE_TOO_MANY.findall(each.reason))
    return {name for name, takes, given in found if int(given) == int(takes) + 1}


def _off_by_one(failures: Iterable[FailedTest]) -> bool:
    """Whether an assertion found a number beside the one it wanted."""
    return any(abs(int(a) - int(b)) == 1 for each in failures for a, b in _COMPARED.findall(each.reason))


def _changes(suspect: Suspect, sources: Sources, names: Iterable[str]) -> list[tuple[Mutant, Edit]]:
    """The mutants of a suspect as edits of its whole definition; those that break the syntax left out."""
    symbol, language = suspect.symbol, language_of(suspect.path)
    text = sources.text(suspect.path)
    if symbol is None or language is None or symbol.end_line - symbol.start_line > _MOST_LINES:
        return []
    source = text.encode("utf-8", "replace")
    first, last = symbol.start_line, symbol.end_line
    lines = text.split("\n")
    old = "\n".join(lines[first - 1 : last])
    if text.count(old) != 1:
        return []
    below = len(lines) - last
    found: list[tuple[Mutant, Edit]] = []
    for mutant in mutants(suspect.path, source, (first, last), names):
        changed = mutant.apply(source)
        tree = parse(changed, language)
        if tree is not None and not tree.root_node.has_error:
            after = changed.decode("utf-8", "replace").split("\n")
            new = "\n".join(after[first - 1 : len(after) - below])
            found.append((mutant, Edit(suspect.path, old, new)))
    return found


def _context(suspect: Suspect, sources: Sources) -> str:
    """What the model reads before the definition: the file above it without other definitions.

    The failing test before it changed nothing for the better, and is as long as the code.
    """
    assert suspect.symbol is not None
    lines = sources.text(suspect.path).splitlines()
    symbols = sources.symbols(suspect.path)
    header = lines[: min((symbol.start_line for symbol in symbols), default=1) - 1]
    outer = suspect.symbol.qualified_name.rpartition(".")[0]
    for symbol in symbols:
        if outer and symbol.qualified_name == outer:
            inner = min(other.start_line for other in symbols if other.qualified_name.startswith(f"{outer}."))
            header += lines[symbol.start_line - 1 : min(inner - 1, suspect.symbol.start_line - 1)]
    return "".join(f"{line}\n" for line in [_comment(suspect.path), *header])


def _comment(text: str) -> str:
    return f"{'#' if text.endswith(('.py', '.rb', '.sh')) else '//'} {text}"


def _names(evidence: Evidence, sources: Sources) -> set[str]:
    """Names that may have been meant: those in the suspects' files and in the failing tests."""
    names: set[str] = set()
    for path in dict.fromkeys(suspect.path for suspect in evidence.suspects):
        names |= set(_WORD.findall(sources.text(path)))
    for failure, excerpt in evidence.tests:
        names |= set(_WORD.findall(failure.reason + " " + (excerpt.text if excerpt else "")))
    return names


def _bonus(evidence: Evidence, path: str, sources: Sources) -> Callable[[Mutant], float]:
    """What the failures say for a mutant: where exceptions came out of this file, and which name is wrong.

    What an assertion of the test says has no such line.
    """
    text = sources.text(path).encode("utf-8", "replace")
    failures = [failure for failure, _ in evidence.tests]
    raised = {line for each in failures for own, line in sources.places(each) if own == path}
    wrong, selfless, off_by_one = _wrong_names(failures), _without_self(failures), _off_by_one(failures)

    def bonus(mutant: Mutant) -> float:
        if mutant.kind == "add self":
            named = _DEFINED.search(text[: mutant.start].decode("utf-8", "replace"))
            return _NO_SELF_BONUS if "self" in wrong or (named and named[1] in selfless) else 0.0
        replaced = text[mutant.start : mutant.end].decode("utf-8", "replace")
        value = _OFF_BY_ONE_BONUS if off_by_one and _by_one(mutant, replaced) else 0.0
        if mutant.line not in raised:
            return value
        if mutant.kind == "name" and replaced in wrong:
            return _WRONG_NAME_BONUS * difflib.SequenceMatcher(None, replaced, mutant.text).ratio()
        return value + _FRAME_BONUS

    return bonus


def _by_one(mutant: Mutant, replaced: str) -> bool:
    """Whether the change is one of counting: a number, a bound, where a count starts."""
    if mutant.kind == "constant":
        return abs(int(mutant.text) - int(replaced)) == 1
    return mutant.kind in {"by one", "count from one"} or {replaced, mutant.text} in _BOUNDS

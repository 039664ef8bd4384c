"""Functions of real source files with examples of what they give, found by calling them.

An example is a call and its result; a bug that changes no result of any example is none. Nothing is written to disk.
"""

from __future__ import annotations

import ast
import contextlib
import random
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from training.bugs import KINDS, Bug, inject
from training.renaming import exchange, renamed
from training.runner import Runner
from training.slices import WORDLESS_SHARE, cut_out, without_words
from training.source_code import Code, parsed
from training.sources import Source
from training.values import guess

_LINES = range(4, 41)  # of a function
_TRIES = 30  # calls that are tried
_MOST_EXAMPLES = 4
_LONGEST = 90  # characters of a call
MOST_BUGS = 4  # of one function
_PLACES = 4  # that are tried for one bug
_WHOLE_SHARE = 0.35  # of the functions that can be run where they stand
_RENAMED_SHARES = (0.0, 0.3, 0.7, 1.0)
_SYNTAX = frozenset({"bad_indentation", "missing_bracket", "missing_colon"})
# Functions that reach for any of these might do something: they are never called.
_FORBIDDEN = frozenset(
    {
        "os", "sys", "shutil", "subprocess", "socket", "signal", "open", "input", "exec", "eval", "compile", "exit",
        "quit", "breakpoint", "threading", "multiprocessing", "ctypes", "tempfile", "time", "select", "asyncio",
        "urllib", "http", "ftplib", "smtplib", "importlib", "__import__", "print", "logging", "warnings", "gc",
        "random", "secrets", "pathlib", "Path", "tkinter", "sqlite3", "webbrowser", "pty", "tty", "termios", "fcntl",
        "resource", "atexit", "faulthandler",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Specimen:
    """A function ``name`` (of the class ``owner``, or empty) of a source, with calls and their results.

    ``text`` is the file, imports made absolute; ``file`` its name where it is not the source's.
    """

    source: Source
    text: str
    name: str
    owner: str
    examples: tuple[tuple[str, str], ...]
    file: str = ""

    @property
    def module(self) -> str:
        """The file's name as a module: a word that is none of the standard library's."""
        return f"{self.file or self.source.path.stem.strip('_')}_"

    def code(self) -> Code:
        """The function in its text."""
        code = find(self.text, self.name, self.owner)
        assert code is not None
        return code

    def written(self) -> str:
        """The function's lines as they stand in the file."""
        function = self.code().function
        return "\n".join(self.text.split("\n")[function.lineno - 1 : function.end_lineno])


def specimens(
    source: Source, runner: Runner, seed: int, names: Sequence[str] = (), *, unlike: Container[str] = ()
) -> Iterator[Specimen]:
    """The functions of a source that can be called without anything happening, and give something to compare.

    Each in its whole file or, mostly, cut out of it; with other names where ``names`` are given. Functions whose
    ``fingerprint`` is in ``unlike`` are left out.
    """
    text = _standalone(source)
    if text is None:
        return
    for code in functions(text):
        chance = random.Random(f"{seed} {source.name} {code.owner_name}.{code.function.name}")
        if fingerprint(code) in unlike:
            continue
        forms = [cut_out(code), text if source.importable else None]
        if chance.random() < _WHOLE_SHARE:
            forms.reverse()
        for form in filter(None, forms):
            specimen = _specimen(source, form, code, runner, chance)
            if specimen:
                yield _with_names(specimen, runner, chance, names) if names else specimen
                break


def fingerprint(code: Code) -> str:
    """The same for functions that differ in their comments at most."""
    return ast.dump(code.function)


def held_out_functions(sources: Iterable[Source]) -> frozenset[str]:
    """The fingerprints of the functions of those sources that are held out: other sources may have them, too."""
    found: set[str] = set()
    for source in sources:
        if source.held_out:
            with contextlib.suppress(SyntaxError, ValueError):
                found.update(fingerprint(code) for code in functions(source.text() or ""))
    return frozenset(found)


def _specimen(source: Source, text: str, wanted: Code, runner: Runner, chance: random.Random) -> Specimen | None:
    code = find(text, wanted.function.name, wanted.owner_name)
    if code is None or not _harmless(code):
        return None
    calls = list(dict.fromkeys(_call(code, chance) for _ in range(_TRIES)))
    calls = [call for call in calls if len(call) <= _LONGEST]
    results = runner.calls(text, "tried", calls)
    pairs = zip(calls, results, strict=bool(results))
    examples = _varied([(call, result) for call, result in pairs if result is not None and result != "None"])
    return Specimen(source, text, code.function.name, code.owner_name, examples) if examples else None


def _with_names(specimen: Specimen, runner: Runner, chance: random.Random, names: Sequence[str]) -> Specimen:
    """The specimen with other names in its file, another name of the file, and perhaps without words about the code; as
    it was where it does not do the same then."""
    module = chance.choice(names)
    given = exchange(specimen.text, chance, names, chance.choice(_RENAMED_SHARES))
    text = renamed(specimen.text, given)
    if chance.random() < WORDLESS_SHARE:
        text = without_words(text)
    name = specimen.name if specimen.owner else given.get(specimen.name, specimen.name)
    examples = tuple((renamed(call, given), result) for call, result in specimen.examples)
    other = replace(specimen, text=text, name=name, examples=examples, file=module)
    results = runner.calls(text, "tried", [call for call, _ in examples])
    same = results == [result for _, result in examples]
    return other if same and find(text, name, specimen.owner) else replace(specimen, file=module)


def broken(
    specimen: Specimen, runner: Runner, seed: int, kinds: tuple[str, ...] = tuple(KINDS), most: int = MOST_BUGS
) -> Iterator[Bug]:
    """A few bugs (``most``) that some example shows, each of another kind, and one at most that is an error of syntax.

    Few, so that many functions are seen: there is always a bracket to leave out.
    """
    code = specimen.code()
    calls = [call for call, _ in specimen.examples]
    right = [result for _, result in specimen.examples]
    left, syntax = most, 1
    for kind in random.Random(f"{seed} {specimen.source.name} {specimen.name}").sample(kinds, len(kinds)):
        if not left or (kind in _SYNTAX and not syntax):
            continue
        for bug in islice(inject(code, kind, seed), _PLACES):
            found = runner.calls(bug.text, "tried", calls)
            if found and found != right:  # what hangs is another kind of failure
                yield bug
                left, syntax = left - 1, syntax - (kind in _SYNTAX)
                break


def _standalone(source: Source) -> str | None:
    """The text with relative imports made absolute; None where it cannot be parsed."""
    text = source.text()
    if text is None:
        return None
    package = source.name.split("/")[:-1]

    def absolute(match: re.Match[str]) -> str:
        up = package[: len(package) - len(match[1]) + 1]
        return f"from {'.'.join([*up, *([match[2]] if match[2] else [])])} import"

    text = re.sub(r"(?m)^from (\.+)([\w.]*) import", absolute, text)
    try:
        parsed(text)
    except (SyntaxError, ValueError):
        return None
    return text


def find(text: str, name: str, owner: str) -> Code | None:
    """The function of this name, of the class ``owner`` or, where that is empty, of the file; None where there is none.

    Raises SyntaxError or ValueError for a text that cannot be parsed.
    """
    return next((code for code in functions(text) if (code.function.name, code.owner_name) == (name, owner)), None)


def functions(text: str) -> Iterator[Code]:
    """Functions, and methods of classes, of a length that is worth it; names that stand twice left out."""
    body = parsed(text).body
    found = [Code(text, node) for node in body if isinstance(node, ast.FunctionDef)]
    for owner in body:
        if isinstance(owner, ast.ClassDef):
            found += [Code(text, node, owner) for node in owner.body if isinstance(node, ast.FunctionDef)]
    names = [(code.owner_name, code.function.name) for code in found]
    for code, name in zip(found, names, strict=True):
        function = code.function
        long_enough = (function.end_lineno or 0) - function.lineno + 1 in _LINES
        if long_enough and names.count(name) == 1 and not function.decorator_list and not name[1].startswith("__"):
            yield code


def _harmless(code: Code) -> bool:
    """Whether neither the function nor what it uses of its file names anything that might do something."""
    module = parsed(code.text)
    defined: dict[str, ast.AST] = {
        node.name: node for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    pending: list[ast.AST] = [code.function, *([code.owner] if code.owner else [])]
    seen: set[str] = set()
    while pending:
        for node in ast.walk(pending.pop()):
            name = node.id if isinstance(node, ast.Name) else ""
            if name in _FORBIDDEN or isinstance(node, ast.Import | ast.ImportFrom):
                return False
            if name in defined and name not in seen:
                seen.add(name)
                pending.append(defined[name])
    return True


def _call(code: Code, chance: random.Random) -> str:
    """A call with guessed arguments, of a method on a new instance; what is yielded, as a list."""
    call = f"{code.function.name}({_arguments(code.function, chance, skip=int(code.owner is not None))})"
    if code.owner is not None:
        starts = [each for each in code.owner.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        given = _arguments(starts[0], chance, skip=1) if starts else ""
        call = f"{code.owner.name}({given}).{call}"
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(code.function))
    return f"list({call})" if yields else call


def _arguments(function: ast.FunctionDef, chance: random.Random, skip: int) -> str:
    arguments = function.args
    needed = arguments.args[skip : len(arguments.args) - len(arguments.defaults)]
    optional = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    if optional and chance.random() < 0.4:
        needed = [*needed, optional[0]]
    return ", ".join(
        guess(each.arg, ast.unparse(each.annotation) if each.annotation else "", chance) for each in needed
    )


def _varied(pairs: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """A few examples with different results, the shortest of each; none where all give the same."""
    by_result: dict[str, tuple[str, str]] = {}
    for pair in sorted(pairs, key=lambda pair: (len(pair[0]), pair)):
        by_result.setdefault(pair[1], pair)
    kept = list(by_result.values())
    return tuple(kept[:: max(1, len(kept) // _MOST_EXAMPLES)][:_MOST_EXAMPLES]) if len(kept) > 1 else ()

"""What the names of a passage mean, for questions about it: the imports of its file, and the heads of what it calls.

It asks no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from agent.review.passages import Passage
from agent.review.repository import Reader, read_nothing
from tools.code import Symbol, definitions
from tools.git_changes import ChangedFile

_MOST_IMPORTS = 10
_MOST_HEADS = 5
_WORD = re.compile(r"[A-Za-z_]\w*")
_NO_NAMES = frozenset({"import", "from", "as", "include", "use", "using", "package", "const", "require"})
_IMPORT = re.compile(r"^(?:import|from|#include|use|using|package|const \w+ = require)\b")
_CALLED = re.compile(r"\b([A-Za-z_]\w*)\(")
_FROM = re.compile(r"^from (\.*)([\w.]*) import (?:\(([^)]*)\)|(.*))", re.MULTILINE)
_ROOTS = ("", "src/", "lib/")


def header(file: ChangedFile, passage: Passage, read: Reader = read_nothing) -> str:
    """The imports that the passage uses, then the heads of the definitions that it calls: what its names mean."""
    text = file.new or ""
    words = set(_WORD.findall(passage.context + passage.old + passage.new))
    imports = [line for line in text.splitlines() if _IMPORT.match(line)]
    used = [line for line in imports if words.intersection(_WORD.findall(line)) - _NO_NAMES][:_MOST_IMPORTS]
    heads = list(_heads(file.path, text, passage, read))[:_MOST_HEADS]
    parts = ["".join(f"{line}\n" for line in lines) for lines in (used, heads) if lines]
    return "".join(f"{part}\n\n" for part in parts)


def _heads(path: str, text: str, passage: Passage, read: Reader) -> Iterator[str]:
    """``def name(parameters): ...`` for each definition that is called, outside of the passage's own."""
    called = dict.fromkeys(_CALLED.findall(passage.old + passage.new))
    own = {symbol.name: symbol for symbol in definitions(path, text.encode("utf-8", "replace"))}
    for name in called:
        symbol = own.get(name)
        if symbol is not None and symbol.qualified_name != passage.name:
            yield _head(symbol)
        elif symbol is None and path.endswith(".py"):
            imported = _imported(path, text, name, read)
            if imported is not None:
                yield _head(imported)


def _head(symbol: Symbol) -> str:
    return (
        f"{symbol.signature}: ..."
        if symbol.signature.startswith(("def ", "async def ", "class "))
        else symbol.signature
    )


def _imported(path: str, text: str, name: str, read: Reader) -> Symbol | None:
    """The definition of a name that the file imports from a module of the repository."""
    for dots, module, inside, outside in _FROM.findall(text):
        names = [each.split(" as ")[0].strip() for each in (inside or outside).split(",")]
        if name not in names:
            continue
        for place in module_files(path, len(dots), module):
            content = read(place)
            if content is not None:
                found = definitions(place, content.encode("utf-8", "replace"))
                return next((symbol for symbol in found if symbol.qualified_name == name), None)
    return None


def module_files(path: str, level: int, module: str) -> list[str]:
    """Where the module that the file ``path`` imports may be: ``level`` dots, then its name."""
    steps = module.replace(".", "/")
    folder = PurePosixPath(path).parent
    for _ in range(level - 1):
        folder = folder.parent
    near = str(folder / steps) if steps else str(folder)
    places = [near] if level else [*(f"{root}{steps}" for root in _ROOTS), near]
    return [name for place in dict.fromkeys(places) for name in (f"{place}.py", f"{place}/__init__.py")]

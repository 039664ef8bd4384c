"""Turns an answer that holds code into the edits it means: whole definitions replaced in the files they stand in.

It writes nothing: the edits become an ordinary ``edit`` call. Small models write a right function more surely than a
right tool call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.code import Symbol, definitions

_FENCE = re.compile(r"^(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_IMPORT = re.compile(r"^(?:import|from)\s+\S.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``old``, which stands once in the file, by ``new``."""

    path: str
    old: str
    new: str


def replacing_lines(path: str, lines: Sequence[str], span: tuple[int, int], new: Sequence[str]) -> Edit:
    """Lines ``span`` (first and last, from 1; the last before the first: none) replaced by ``new``.

    Lines from the first of the file on are quoted, as many as it takes that they stand once.
    """
    first, last = span
    text, end = "\n".join(lines), max(first, last)
    while text.count("\n".join(lines[:end])) > 1:
        end += 1
    return Edit(path, "\n".join(lines[:end]), "\n".join([*lines[: first - 1], *new, *lines[last:end]]))


def code_blocks(answer: str) -> list[str]:
    """The fenced blocks of an answer, an unclosed last one included; the whole answer when it is bare code."""
    blocks = [match[3] for match in _FENCE.finditer(answer)]
    if not blocks and re.match(r"\s*(?:@|def |class |async def |from |import )", answer):
        blocks = [answer]
    return blocks


def propose(answer: str, files: Mapping[str, str], preferred: Sequence[str] = ()) -> list[Edit]:
    """The edits that the answer's code means for ``files`` (path -> text); empty when it means none.

    A definition in the answer replaces the one with the same dotted name, in ``preferred`` files first; a class that
    shows only some of its methods replaces those. Imports that the file lacks are added above its first import.
    Definitions that no file has are kept only as helpers of a replaced one.
    """
    order = [*preferred, *(path for path in files if path not in preferred)]
    for block in sorted(code_blocks(answer), key=len, reverse=True):
        for path in order:
            if edits := _edits_in(block, path, files[path]):
                return edits
    return []


def _edits_in(block: str, path: str, source: str) -> list[Edit]:
    block = _dedent(block)
    known = definitions(path, source.encode())
    written = _replacing(definitions(path, block.encode()), known)
    edits: list[Edit] = []
    helpers: list[str] = []
    for symbol in written:
        target = _match(symbol, known)
        code = _lines(block, symbol.start_line, symbol.end_line)
        if target is None:
            helpers.append(code)
            continue
        old = _lines(source, target.start_line, target.end_line)
        new = _indented(code, old)
        if new.rstrip() != old.rstrip() and source.count(old) == 1:
            edits.append(Edit(path, old, new))
    if edits and helpers:
        first = edits[0]
        if not first.old[:1].isspace():
            edits[0] = Edit(path, first.old, "\n\n\n".join([*helpers, first.new]))
    return [*_imports(block, path, source), *edits] if edits else []


def _replacing(written: Sequence[Symbol], known: Sequence[Symbol]) -> list[Symbol]:
    """The outermost definitions, except that a class which leaves out known methods stands for its methods only."""
    names = {symbol.qualified_name for symbol in written}
    partial = [
        symbol
        for symbol in written
        if any(
            other.qualified_name.startswith(f"{symbol.qualified_name}.") and other.qualified_name not in names
            for other in known
        )
    ]
    whole = [symbol for symbol in written if symbol not in partial]
    return [
        symbol
        for symbol in whole
        if not any(
            other is not symbol and other.start_line <= symbol.start_line and symbol.end_line <= other.end_line
            for other in whole
        )
    ]


def _match(symbol: Symbol, known: Sequence[Symbol]) -> Symbol | None:
    exact = [candidate for candidate in known if candidate.qualified_name == symbol.qualified_name]
    same = exact or [candidate for candidate in known if candidate.name == symbol.name]
    return same[0] if len(same) == 1 else None


def _imports(block: str, path: str, source: str) -> list[Edit]:
    """An edit that adds the block's imports which the file lacks, before its first import or definition."""
    have = {" ".join(line.split()) for line in _IMPORT.findall(source)}
    module = path.rsplit("/", 1)[-1].removesuffix(".py")
    missing = [
        line
        for line in _IMPORT.findall(block)
        if " ".join(line.split()) not in have and not re.match(rf"(?:from|import)\s+\S*\b{re.escape(module)}\b", line)
    ]
    first = _IMPORT.search(source)
    if not missing or first is None or source.count(first[0] + "\n") != 1 or not path.endswith(".py"):
        return []
    return [Edit(path, first[0] + "\n", "\n".join([*dict.fromkeys(missing), first[0]]) + "\n")]


def _lines(text: str, start: int, end: int) -> str:
    return "\n".join(text.split("\n")[start - 1 : end])


def _dedent(block: str) -> str:
    lines = [line for line in block.splitlines() if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return "\n".join(line[margin:] if line.strip() else "" for line in block.splitlines())


def _indented(code: str, old: str) -> str:
    """``code`` moved to the indentation at which ``old`` stands."""
    wanted = len(old) - len(old.lstrip())
    has = len(code) - len(code.lstrip())
    if wanted == has:
        return code
    lines = code.split("\n")
    if wanted > has:
        return "\n".join(" " * (wanted - has) + line if line.strip() else line for line in lines)
    return "\n".join(line[has - wanted :] if line[: has - wanted].isspace() else line for line in lines)

"""Imports that a file lacks, told by a NameError: where the name may come from, and the edit that imports it.

No model is asked. What other files of the repository import under that name comes first, then what they define, then
the standard library. The tests decide.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.evidence import Evidence, Sources
from agent.proposal import Edit, replacing_lines
from tools.python_tree import python_tree

_UNKNOWN = re.compile(r"NameError: name '(\w+)' is not defined")
_LIBRARY = sysconfig.get_path("stdlib")
_MOST = 4  # imports of one name that are tried
# Modules whose names are used without their module; asked for a name in this order.
_LENDERS = (
    "collections", "collections.abc", "dataclasses", "pathlib", "datetime", "functools", "itertools", "contextlib",
    "enum", "typing", "abc", "decimal", "fractions", "math", "operator", "types", "uuid", "io", "copy", "random",
    "threading", "queue", "heapq", "bisect", "string", "textwrap", "statistics", "time", "json", "re", "os",
    "os.path", "subprocess", "tempfile", "shutil", "asyncio", "concurrent.futures", "logging", "argparse", "unittest",
    "unittest.mock", "urllib.parse", "http", "socket", "struct", "secrets", "hashlib", "base64", "inspect", "ast",
    "traceback", "warnings", "weakref", "array", "numbers", "zoneinfo", "calendar", "pprint", "glob", "fnmatch",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Import:
    """``import module``, or one ``name`` of it; ``alias`` is what it is called instead."""

    module: str
    name: str = ""
    alias: str = ""

    def __str__(self) -> str:
        called = f" as {self.alias}" if self.alias else ""
        return f"from {self.module} import {self.name}{called}" if self.name else f"import {self.module}{called}"


def missing_imports(evidence: Evidence, sources: Sources) -> list[tuple[Import, Edit]]:
    """Imports of names that failures call unknown, and their edits where the name was used; the likeliest first."""
    unknown: dict[tuple[str, str], None] = {}
    for failure, _ in evidence.tests:
        place = sources.raised_at(failure)
        if place is not None and place[0].endswith(".py"):
            names = _UNKNOWN.findall(failure.text) or _UNKNOWN.findall(failure.reason)
            unknown |= dict.fromkeys((name, place[0]) for name in names)
    found: dict[Edit, Import] = {}
    for name, path in unknown:
        for each in origins(name, path, sources)[:_MOST]:
            edit = added(each, path, sources.text(path))
            if edit is not None:
                found.setdefault(edit, each)
    return [(each, edit) for edit, each in found.items()]


def origins(name: str, path: str, sources: Sources) -> list[Import]:
    """Where ``name`` may come from in the file ``path``, the likeliest first."""
    others = sorted(each for each in sources.paths if each.endswith(".py") and each != path)
    texts = {each: text for each in others if name in (text := sources.text(each))}
    used = Counter(
        each for other, text in texts.items() for each in _imported(name, text) if _reaches(each, other, path)
    )
    return list(
        dict.fromkeys([*(each for each, _ in used.most_common()), *_defined(name, path, texts), *_standard(name)])
    )


def added(wanted: Import, path: str, text: str) -> Edit | None:
    """The edit that puts an import into a file: into the line that has others of its module, else among the first ones.

    None where the file cannot be parsed.
    """
    tree = python_tree(text)
    if tree is None:
        return None
    body, lines = tree.body, text.split("\n")
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in imports:
        line = lines[node.lineno - 1]
        joined = isinstance(node, ast.ImportFrom) and not node.level and node.module == wanted.module
        if joined and wanted.name and not wanted.alias and node.lineno == node.end_lineno and re.search(r"\w$", line):
            return replacing_lines(path, lines, (node.lineno, node.lineno), [f"{line}, {wanted.name}"])
    before = next((node for node in imports if not _is_future(node) and _group(node) >= _standing(wanted)), None)
    if before is not None:
        gap = [""] if _group(before) > _standing(wanted) else []
        return _before(path, lines, before.lineno, [str(wanted), *gap])
    if imports:
        last = imports[-1]
        gap = [] if _group(last) == _standing(wanted) and not _is_future(last) else [""]
        return _before(path, lines, (last.end_lineno or last.lineno) + 1, [*gap, str(wanted)])
    documented = body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    if documented:
        return _before(path, lines, (body[0].end_lineno or 1) + 1, ["", str(wanted)])
    first = body[0].lineno if body else 1
    return _before(path, lines, first, [str(wanted), "", ""])


def _before(path: str, lines: list[str], at: int, new: list[str]) -> Edit:
    return replacing_lines(path, lines, (at, at - 1), new)


def _imported(name: str, text: str) -> Iterator[Import]:
    """The imports of ``name`` at the top of a file, as they would bring in this name alone."""
    tree = python_tree(text)
    for node in tree.body if tree else ():
        if isinstance(node, ast.Import | ast.ImportFrom):
            for each in node.names:
                if (each.asname or each.name) == name:
                    module = "." * node.level + (node.module or "") if isinstance(node, ast.ImportFrom) else each.name
                    of_it = each.name if isinstance(node, ast.ImportFrom) else ""
                    yield Import(module, of_it, each.asname or "")


def _reaches(wanted: Import, other: str, path: str) -> bool:
    """Whether an import of the file ``other`` means the same in ``path``, and is none of ``path`` itself."""
    if wanted.module.startswith("."):
        return other.rpartition("/")[0] == path.rpartition("/")[0] and wanted.module.lstrip(".") != _stem(path)
    return not _dotted(path).endswith(wanted.module) or not wanted.name


def _defined(name: str, path: str, texts: dict[str, str]) -> Iterator[Import]:
    """Files of the repository that define ``name`` at their top; those nearest by first."""
    pattern = re.compile(rf"^(?:(?:async )?def|class) {name}\b|^{name}\s*[:=](?!=)", re.MULTILINE)
    folder = path.rpartition("/")[0]
    own = [other for other in texts if pattern.search(texts[other])]
    for other in sorted(own, key=lambda other: (other.rpartition("/")[0] != folder, other)):
        yield Import(_dotted(other), name)


def _standard(name: str) -> Iterator[Import]:
    if name in sys.stdlib_module_names:
        yield Import(name)
    for module in filter(_is_own, _LENDERS):
        value = getattr(importlib.import_module(module), name, None)
        # What a module has only because it imports it is not its own; None is in none.
        if value is not None and not isinstance(value, type(sys)) and _owned(module, name):
            yield Import(module, name)


def _is_own(module: str) -> bool:
    """Whether importing a module runs Python's own code, and not a file of that name in the present folder."""
    outer = module.partition(".")[0]
    if outer in sys.modules:
        return True
    spec = importlib.util.find_spec(outer)
    origin = spec.origin if spec else None
    return origin in {"built-in", "frozen"} or bool(origin and Path(origin).is_relative_to(_LIBRARY))


def _owned(module: str, name: str) -> bool:
    loaded = sys.modules[module]
    public = getattr(loaded, "__all__", None)
    return name in public if public is not None else not name.startswith("_")


def _dotted(path: str) -> str:
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    return ".".join(parts[1:] if parts[0] == "src" and len(parts) > 1 else parts)


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".py")


def _standing(wanted: Import) -> int:
    """The group that an import stands in by custom: the standard library's, others', the package's own."""
    return 2 if wanted.module.startswith(".") else int(wanted.module.split(".")[0] not in sys.stdlib_module_names)


def _group(node: ast.Import | ast.ImportFrom) -> int:
    if isinstance(node, ast.ImportFrom):
        return _standing(Import("." * node.level + (node.module or "")))
    return _standing(Import(node.names[0].name))


def _is_future(node: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"

"""Definitions in source files (functions, classes, methods and their like), found with tree-sitter.

It ranks nothing and renders nothing: ``tools.repo_map`` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from tree_sitter import Node, Query, QueryCursor

from tools.files import list_files
from tools.syntax import MAX_BYTES, grammar, language_of, parse
from tools.text import decode

_TYPESCRIPT = {
    "function_declaration": "function", "generator_function_declaration": "function", "class_declaration": "class",
    "method_definition": "method", "variable_declarator": "function",
}  # fmt: skip
# Node types of each grammar that define something, and what we call it. "scope" only names what is inside it.
_KINDS: dict[str, dict[str, str]] = {
    "python": {"function_definition": "function", "class_definition": "class"},
    "bash": {"function_definition": "function"},
    "c": {"function_definition": "function", "struct_specifier": "struct", "enum_specifier": "enum",
          "union_specifier": "struct", "type_definition": "type"},
    "cpp": {"function_definition": "function", "class_specifier": "class", "struct_specifier": "struct",
            "enum_specifier": "enum", "namespace_definition": "scope"},
    "go": {"function_declaration": "function", "method_declaration": "method", "type_spec": "type"},
    "java": {"class_declaration": "class", "interface_declaration": "interface", "enum_declaration": "enum",
             "record_declaration": "class", "method_declaration": "method", "constructor_declaration": "method"},
    "javascript": _TYPESCRIPT,
    "typescript": {**_TYPESCRIPT, "interface_declaration": "interface", "type_alias_declaration": "type",
                   "enum_declaration": "enum", "abstract_class_declaration": "class"},
    "ruby": {"method": "method", "singleton_method": "method", "class": "class", "module": "module"},
    "rust": {"function_item": "function", "struct_item": "struct", "enum_item": "enum", "trait_item": "trait",
             "impl_item": "scope", "mod_item": "scope", "macro_definition": "macro"},
}  # fmt: skip
_KINDS["tsx"] = _KINDS["typescript"]
_CONTAINERS = frozenset({"class", "struct", "interface", "trait", "scope"})
_FUNCTION_VALUES = frozenset({"arrow_function", "function_expression", "generator_function"})


@dataclass(frozen=True, slots=True)
class Symbol:
    """One definition. Lines count from 1; ``start_line`` includes decorators, ``line`` is where the name stands.

    ``qualified_name`` is dotted from the outermost scope; ``signature`` is the definition's head on one line.
    """

    name: str
    kind: str
    start_line: int
    end_line: int
    qualified_name: str
    line: int
    signature: str


def definitions(path: str | PurePath, content: bytes | None = None) -> list[Symbol]:
    """The definitions of a file in order of lines; empty for a language without a grammar or for a binary file.

    ``content`` spares the reading; without it OSError is raised for a file that cannot be read.
    """
    language = language_of(path)
    if language is None or language not in _KINDS:
        return []
    if content is None:
        content = Path(path).read_bytes()
    if len(content) > MAX_BYTES or b"\0" in content[:4096]:
        return []
    source = decode(content).text.encode("utf-8", "replace")
    tree = parse(source, language)
    if tree is None:
        return []
    nodes = QueryCursor(_query(language)).captures(tree.root_node).get("d", [])
    nodes.sort(key=lambda node: (node.start_byte, -node.end_byte))
    return _symbols(nodes, _KINDS[language])


def enclosing_symbol(path: str | PurePath, line: int, content: bytes | None = None) -> Symbol | None:
    """The innermost definition around ``line`` (from 1); None outside of all. Raises OSError as ``definitions``."""
    around = [symbol for symbol in definitions(path, content) if symbol.start_line <= line <= symbol.end_line]
    return min(around, key=lambda symbol: symbol.end_line - symbol.start_line, default=None)


def find_definition(root: Path, name: str, limit: int = 20) -> list[tuple[str, Symbol]]:
    """Where ``name`` (plain or dotted) is defined below ``root``: (path relative to root, symbol), in order of paths.

    Ignored files are not searched; at most ``limit`` are returned.
    """
    last = name.rsplit(".", 1)[-1].encode()
    found: list[tuple[str, Symbol]] = []
    for path in list_files(root):
        if language_of(path) not in _KINDS:
            continue
        try:
            content = (root / path).read_bytes()
        except OSError:
            continue
        if not last or last not in content:
            continue
        for symbol in definitions(path, content):
            if symbol.name == name or symbol.qualified_name == name or symbol.qualified_name.endswith(f".{name}"):
                found.append((path, symbol))
                if len(found) >= limit:
                    return found
    return found


@cache
def _query(language: str) -> Query:
    found = grammar(language)
    assert found is not None, "parse() returned a tree, so the grammar is there"
    return Query(found, "[" + " ".join(f"({kind})" for kind in _KINDS[language]) + "] @d")


def _symbols(nodes: list[Node], kinds: dict[str, str]) -> list[Symbol]:
    """Symbols of definition nodes in document order; the nesting gives the dotted names."""
    symbols: list[Symbol] = []
    scopes: list[tuple[int, str, str]] = []  # (end byte, qualified name, kind) of the definitions around
    for node in nodes:
        kind = kinds[node.type]
        name = _name(node)
        if not name or not _defines(node):
            continue
        while scopes and scopes[-1][0] <= node.start_byte:
            scopes.pop()
        outer = scopes[-1] if scopes else (0, "", "")
        if kind == "function" and outer[2] in _CONTAINERS - {"scope"}:
            kind = "method"
        qualified = f"{outer[1]}.{name}" if outer[1] else name
        scopes.append((node.end_byte, qualified, kind))
        if kind != "scope":
            symbols.append(_symbol(node, name.rsplit(".", 1)[-1], kind, qualified))
    return symbols


def _symbol(node: Node, name: str, kind: str, qualified: str) -> Symbol:
    whole = node
    parent = node.parent
    if parent is not None and parent.type in {"decorated_definition", "export_statement", "lexical_declaration"}:
        whole = parent
    body = node.child_by_field_name("body")
    head = (node.text or b"")[: body.start_byte - node.start_byte if body else 400].decode("utf-8", "replace")
    if node.type in {"variable_declarator", "type_definition"} or body is None:
        head = head.split("\n", 1)[0]
    signature = " ".join(head.split()).rstrip("{: ")
    return Symbol(
        name=name,
        kind=kind,
        start_line=whole.start_point.row + 1,
        end_line=whole.end_point.row + 1,
        qualified_name=qualified,
        line=node.start_point.row + 1,
        signature=signature[:200],
    )


def _defines(node: Node) -> bool:
    """Whether a node that may define something does: ``struct x *p`` and ``const a = 1`` do not."""
    if node.type in {"struct_specifier", "enum_specifier", "union_specifier", "class_specifier"}:
        return node.child_by_field_name("body") is not None
    if node.type == "variable_declarator":
        value = node.child_by_field_name("value")
        return value is not None and value.type in _FUNCTION_VALUES
    return True


def _name(node: Node) -> str:
    """The defined name: the field ``name``, else the end of C's declarator chain, else Rust's implemented type."""
    named = node.child_by_field_name("name")
    if named is None and node.type == "impl_item":
        named = node.child_by_field_name("type")
    inner = node.child_by_field_name("declarator") if named is None else None
    while inner is not None:
        named = inner
        inner = inner.child_by_field_name("declarator")
    text = (named.text or b"").decode("utf-8", "replace") if named else ""
    text = text.replace("::", ".").split("<", 1)[0].split("(", 1)[0].strip()
    receiver = node.child_by_field_name("receiver")
    if receiver is not None and text:
        owner = (receiver.text or b"").decode("utf-8", "replace").strip("()").split()[-1:]
        text = f"{owner[0].lstrip('*').split('[', 1)[0]}.{text}" if owner else text
    return text if "\n" not in text and len(text) <= 200 else ""

"""Whether two versions of some code certainly do the same: they differ in comments, layout or names of variables only.

It asks no model. What it does not know to be the same is judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tree_sitter import Node

from agent.review.python_form import python_form
from tools.syntax import language_of, parse

# Names that others see: a parameter may be given by its name, an attribute belongs to an object.
_OUTER = frozenset({"parameters", "formal_parameters", "parameter_list", "keyword_argument", "import_statement"})
_OUTER_FIELDS = frozenset({"attribute", "property", "field", "name"})
_NAMES = frozenset({"identifier"})


def same_code(path: str, old: str, new: str, *, whole: bool) -> bool:
    """Whether two texts are the same but for comments and layout.

    Where they are ``whole`` definitions, variables may also be renamed one to one: then every use is seen.
    Python has a normal form, in which more is the same.
    """
    language = language_of(path)
    if language == "python":
        form = python_form(old)
        if form is not None:
            return form == python_form(new)
    trees = None if language is None else [parse(text.encode("utf-8", "replace"), language) for text in (old, new)]
    if trees is None or any(tree is None or tree.root_node.has_error for tree in trees):
        return False
    before, after = (list(_leaves(tree.root_node)) for tree in trees if tree is not None)
    return before == after or (whole and len(before) == len(after) and _renamed(before, after))


def renames(path: str, old: str, new: str) -> dict[str, str]:
    """New name -> old name of the variables that a definition seems to have renamed.

    These are names that came for names that went, used equally often, in the order of their first use.
    """
    language = language_of(path)
    trees = None if language is None else [parse(text.encode("utf-8", "replace"), language) for text in (old, new)]
    if trees is None or any(tree is None or tree.root_node.has_error for tree in trees):
        return {}
    uses = [
        Counter(text.decode("utf-8", "replace") for kind, text in _leaves(tree.root_node) if kind == "variable")
        for tree in trees
        if tree is not None
    ]
    gone = [name for name in uses[0] if name not in uses[1]]
    came = [name for name in uses[1] if name not in uses[0]]
    if len(gone) != len(came):
        return {}
    # A repeated addition may have been spelled out, which adds a use.
    return {b: a for a, b in zip(gone, came, strict=True) if abs(uses[0][a] - uses[1][b]) <= max(1, uses[0][a] // 3)}


def _renamed(before: list[tuple[str, bytes]], after: list[tuple[str, bytes]]) -> bool:
    """Whether one list becomes the other by giving some variables names that were not used before."""
    used = {text for _, text in before}
    forth: dict[bytes, bytes] = {}
    back: dict[bytes, bytes] = {}
    for (kind, text), (new_kind, new_text) in zip(before, after, strict=True):
        if kind != new_kind:
            return False
        if kind != "variable":
            if text != new_text:
                return False
            continue
        if forth.setdefault(text, new_text) != new_text or back.setdefault(new_text, text) != text:
            return False
        if text != new_text and new_text in used:
            return False
    return True


def _leaves(root: Node) -> Iterator[tuple[str, bytes]]:
    """(kind, text) of what counts, in order; kind "variable" for names that nobody outside sees."""
    pending = [root]
    while pending:
        node = pending.pop()
        if "comment" in node.type or _is_docstring(node):
            continue
        if node.child_count and node.type != "string":
            children = node.children
            if node.type == "parenthesized_expression":
                children = [child for child in children if child.is_named]
            pending.extend(reversed(children))
        else:
            kind = "variable" if node.type in _NAMES and not _seen_outside(node) else node.type
            yield kind, node.text or b""


def _is_docstring(node: Node) -> bool:
    """A statement that is only a string does nothing."""
    return (
        node.type == "expression_statement" and node.named_child_count == 1 and node.named_children[0].type == "string"
    )


def _seen_outside(node: Node) -> bool:
    parent = node.parent
    if parent is None:
        return True
    if parent.type in _OUTER or any(parent.child_by_field_name(field) == node for field in _OUTER_FIELDS):
        return True
    outer = parent.parent
    return outer is not None and outer.type in _OUTER

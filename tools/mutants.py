"""Small changes of a piece of code, each at one place: what a slip of the pen would have to be put right by.

The operators are those of mutation testing, which repair by trying uses the other way round (Debroy and Wong, "Using
Mutation to Automatically Suggest Fixes for Faulty Programs", ICST 2010). They work on syntax trees, so on every
language that there is a grammar for. Nothing is judged here: which of them is likely is for a model to say, and which
is right for the tests.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Node

from tools.syntax import language_of, parse

_OPERATORS: dict[str, tuple[str, ...]] = {
    "<": ("<=", ">", ">=", "=="), "<=": ("<", ">=", ">", "=="), ">": (">=", "<", "<=", "=="),
    ">=": (">", "<=", "<", "=="), "==": ("!=", "<=", ">=", "<", ">"), "!=": ("==", "<", ">"), "===": ("!==",),
    "!==": ("===",), "+": ("-", "*"), "-": ("+", "*", "%"), "*": ("+", "/", "**"), "/": ("*", "//", "%"),
    "//": ("/", "%"), "%": ("//", "/", "*"), "**": ("*",), "+=": ("-=", "*=", "="), "-=": ("+=", "//="),
    "*=": ("+=",), "/=": ("*=",), "//=": ("/=",), "and": ("or",), "or": ("and",), "&&": ("||",), "||": ("&&",),
    "in": ("not in",), "is": ("is not",), "&": ("|",), "|": ("&",), "<<": (">>",), ">>": ("<<",), "++": ("--",),
    "--": ("++",), "??": ("||",),
}  # fmt: skip
_ONLY_PYTHON = frozenset({"//", "//=", "not in", "is not"})
_POWERS = frozenset({"python", "javascript", "typescript", "tsx", "ruby"})
_WORDS = {"True": "False", "False": "True", "true": "false", "false": "true", "break": "continue", "continue": "break"}
# Names that are taken for one another.
_PAIRS = (
    ("min", "max"), ("any", "all"), ("append", "extend"), ("append", "appendleft"), ("pop", "popleft"),
    ("upper", "lower"), ("startswith", "endswith"), ("startsWith", "endsWith"), ("lstrip", "rstrip"),
    ("strip", "rstrip"), ("floor", "ceil"), ("keys", "values"), ("keys", "items"), ("values", "items"),
    ("add", "remove"), ("add", "update"), ("remove", "discard"), ("find", "rfind"), ("index", "rindex"),
    ("split", "rsplit"), ("split", "splitlines"), ("partition", "rpartition"), ("push", "unshift"), ("pop", "shift"),
    ("sorted", "reversed"), ("sum", "len"), ("int", "float"), ("union", "intersection"), ("map", "filter"),
    ("some", "every"), ("bisect_left", "bisect_right"), ("insert", "append"), ("isalpha", "isalnum"),
    ("isdigit", "isalpha"), ("isupper", "islower"), ("sin", "cos"), ("round", "int"), ("get", "pop"),
)  # fmt: skip
_SWAPS: dict[str, set[str]] = {}
for _one, _other in _PAIRS:
    _SWAPS.setdefault(_one, set()).add(_other)
    _SWAPS.setdefault(_other, set()).add(_one)
_INTEGERS = frozenset(
    {"integer", "number", "number_literal", "int_literal", "integer_literal", "decimal_integer_literal"}
)
_NAMES = frozenset({"identifier", "field_identifier", "property_identifier", "shorthand_property_identifier"})
_ARGUMENTS = frozenset({"argument_list", "arguments"})
_CALLS = frozenset({"call", "call_expression", "method_invocation"})
_DEFINITIONS = frozenset({"function_definition", "function_declaration", "method_definition", "class_definition"})
_PATTERNS = frozenset({"pattern_list", "tuple_pattern", "list_pattern", "array_pattern"})
_TAKING = frozenset({"assignment", "for_statement", "for_in_clause", "for_in_statement"})
_CONDITIONS = frozenset({"if_statement", "elif_clause", "while_statement", "conditional_expression", "if_expression"})
_BINARY = re.compile(r"binary|boolean_operator|comparison_operator")
_OPERATED = re.compile(r"binary|operator|assignment|update|unary")
_INDICES = frozenset({"subscript", "slice", "subscript_expression", "index_expression"})
_MOST_NAMES = 5  # other names tried at one place
_CLOSE = 0.6  # difflib's ratio from which two names are alike


@dataclass(frozen=True, slots=True)
class Mutant:
    """Bytes ``start``..``end`` of a file replaced by ``text``; ``line`` counts from 1, ``kind`` names the operator."""

    start: int
    end: int
    text: str
    line: int
    kind: str

    def apply(self, source: bytes) -> bytes:
        """The file with this change."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants(path: str, source: bytes, lines: tuple[int, int], names: Iterable[str] = ()) -> list[Mutant]:
    """All changes within the ``lines`` (first and last, from 1) of a file, each once, in the order of places.

    ``names`` are further names that may be meant (attributes defined elsewhere, say). Empty where there is no grammar.
    """
    language = language_of(path)
    tree = parse(source, language) if language else None
    if language is None or tree is None:
        return []
    inside = [node for node in _walk(tree.root_node) if lines[0] <= node.start_point.row + 1 <= lines[1]]
    maker = _Maker(source, language, inside, names)
    found: dict[tuple[int, int, str], Mutant] = {}
    for node in inside:
        for mutant in maker.at(node):
            if mutant.text.encode() != source[mutant.start : mutant.end]:
                found.setdefault((mutant.start, mutant.end, mutant.text), mutant)
    return sorted(found.values(), key=lambda mutant: (mutant.start, mutant.end))


def _walk(node: Node) -> Iterator[Node]:
    """All nodes but those of comments and strings; code within strings is code."""
    if "comment" in node.type:
        return
    is_string = "string" in node.type
    if not is_string:
        yield node
    for child in node.children:
        if not is_string or child.type in {"interpolation", "template_substitution"}:
            yield from _walk(child)


class _Maker:
    """Makes the mutants of single nodes."""

    def __init__(self, source: bytes, language: str, inside: Sequence[Node], names: Iterable[str]) -> None:
        self._source = source
        self._python = language == "python"
        self._powers = language in _POWERS
        own = [node for node in inside if node.type in _NAMES]
        self._members = {_text(node) for node in own if _is_member(node)}
        self._variables = {_text(node) for node in own if not _is_member(node) and not _is_called(node)}
        self._known = self._members | self._variables | set(names)

    def at(self, node: Node) -> Iterator[Mutant]:
        """Mutants of this node, those of its children not among them."""
        if not node.children:
            yield from self._leaf(node)
        if _BINARY.search(node.type) and node.named_child_count == 2:
            left, right = node.named_children
            yield self._replace(node, _text(left), "drop an operand")
            yield self._replace(node, _text(right), "drop an operand")
            between = self._source[left.end_byte : right.start_byte].decode("utf-8", "replace")
            yield self._replace(node, _text(right) + between + _text(left), "swap operands")
        if node.type in _CONDITIONS and (condition := node.child_by_field_name("condition")) is not None:
            yield self._replace(condition, self._negated(condition), "negate")
        if node.type in {"not_operator", "unary_expression", "unary_operator"} and node.named_child_count == 1:
            yield self._replace(node, _text(node.named_children[0]), "drop a sign")
        if node.type in _ARGUMENTS:
            yield from self._arguments(node)
        if node.type == "parameters" and self._python:
            yield from self._parameters(node)
        if node.type == "default_parameter":
            yield from self._default(node)
        yield from self._by_one(node)
        yield from self._statement(node)

    def _leaf(self, node: Node) -> Iterator[Mutant]:
        text = _text(node)
        if not node.is_named and node.parent is not None and _OPERATED.search(node.parent.type):
            for other in _OPERATORS.get(text, ()):
                if (self._python or other not in _ONLY_PYTHON) and (self._powers or other != "**"):
                    yield self._replace(node, other, "operator")
            if text == "not" and node.next_sibling is not None and _text(node.next_sibling) == "in":
                yield Mutant(node.start_byte, node.next_sibling.end_byte, "in", node.start_point.row + 1, "operator")
        if text in _WORDS:
            yield self._replace(node, _WORDS[text], "word")
        if node.type in _INTEGERS and text.isdecimal():
            for number in dict.fromkeys((int(text) + 1, int(text) - 1, 0, 1, 2)):
                yield self._replace(node, str(number), "constant")
        if node.type in _NAMES and not _is_definition(node):
            for other in self._other_names(node, text):
                yield self._replace(node, other, "name")

    def _other_names(self, node: Node, text: str) -> Iterable[str]:
        """Names that may be meant instead: taken for it often, written alike, or used nearby in the same role."""
        alike = difflib.get_close_matches(text, sorted(self._known - {text}), _MOST_NAMES, _CLOSE)
        nearby: set[str] = set()
        if not _is_called(node):
            nearby = (self._members if _is_member(node) else self._variables) - {text}
        order = [*sorted(_SWAPS.get(text, ())), *alike, *sorted(nearby)]
        return list(dict.fromkeys(order))[: _MOST_NAMES + len(alike)]

    def _arguments(self, node: Node) -> Iterator[Mutant]:
        given = node.named_children
        for left, right in itertools.pairwise(given):
            between = self._source[left.end_byte : right.start_byte].decode("utf-8", "replace")
            text = _text(right) + between + _text(left)
            yield Mutant(left.start_byte, right.end_byte, text, left.start_point.row + 1, "swap arguments")
            yield Mutant(left.end_byte, right.end_byte, "", right.start_point.row + 1, "drop an argument")
        if len(given) > 1:
            yield Mutant(given[0].start_byte, given[1].start_byte, "", node.start_point.row + 1, "drop an argument")
        if len(given) == 1 and node.parent is not None and node.parent.type in _CALLS:
            yield self._replace(node.parent, _text(given[0]), "drop a call")
        if self._python and node.parent is not None and _text(node.parent).startswith(("sorted(", "max(", "min(")):
            yield self._insert(node.end_byte - 1, ", reverse=True", node, "add an argument")
        if self._python and len(given) == 1 and node.parent is not None and _text(node.parent).startswith("enumerate("):
            yield self._insert(node.end_byte - 1, ", start=1", node, "count from one")

    def _parameters(self, node: Node) -> Iterator[Mutant]:
        """A method without ``self``."""
        definition = node.parent
        block = definition.parent if definition is not None else None
        in_class = block is not None and block.parent is not None and block.parent.type == "class_definition"
        first = _text(node.named_children[0]) if node.named_children else ""
        if in_class and first not in {"self", "cls"}:
            yield self._insert(node.start_byte + 1, "self, " if first else "self", node, "add self")

    def _default(self, node: Node) -> Iterator[Mutant]:
        """A list or dictionary as a default is shared by all calls; the usual cure makes a new one in the body."""
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        definition = node.parent.parent if node.parent is not None else None
        body = definition.child_by_field_name("body") if definition is not None else None
        if name is None or value is None or body is None or value.type not in {"dictionary", "list", "set", "call"}:
            return
        between = self._source[value.end_byte : body.start_byte].decode("utf-8", "replace")
        margin = between[between.rfind("\n") + 1 :]
        if "\n" in between and not margin.strip():
            made = f"if {_text(name)} is None:\n{margin}    {_text(name)} = {_text(value)}\n{margin}"
            yield Mutant(value.start_byte, body.start_byte, f"None{between}{made}", node.start_point.row + 1, "default")

    def _by_one(self, node: Node) -> Iterator[Mutant]:
        """One more and one less where a number is likely: indices, slices, ranges, sides of comparisons, results."""
        parent = node.parent
        if parent is None or not node.is_named or node.type in _INTEGERS or not _is_value(node):
            return
        index = parent.type in _INDICES and node != parent.named_children[0]
        ranged = parent.type in _ARGUMENTS and parent.parent is not None and _text(parent.parent).startswith("range(")
        compared = "comparison" in parent.type or parent.type == "binary_expression"
        if index or ranged or compared or parent.type == "return_statement":
            for sign in "+-":
                yield self._insert(node.end_byte, f" {sign} 1", node, "by one")

    def _statement(self, node: Node) -> Iterator[Mutant]:
        """A statement left out, or at another depth; a result that is not returned."""
        parent = node.parent
        if parent is None or parent.type not in {"block", "statement_block", "compound_statement"} or not node.is_named:
            return
        siblings = parent.named_children
        if len(siblings) > 1 and node.child_count and not node.type.endswith("definition"):
            start = self._source.rfind(b"\n", 0, node.start_byte) + 1
            end = self._source.find(b"\n", node.end_byte)
            yield Mutant(
                start, end + 1 if end >= 0 else node.end_byte, "", node.start_point.row + 1, "drop a statement"
            )
        if self._python and node == siblings[-1]:
            yield from self._last_statement(node, siblings)

    def _last_statement(self, node: Node, siblings: Sequence[Node]) -> Iterator[Mutant]:
        text, line = _text(node), node.start_point.row + 1
        start = self._source.rfind(b"\n", 0, node.start_byte) + 1
        margin = self._source[start : node.start_byte].decode("utf-8", "replace")
        if node.type == "expression_statement" and not margin.strip():
            if node.named_children[0].type == "assignment":
                name = text.split("=", 1)[0].strip()
                yield self._insert(node.end_byte, f"\n{margin}return {name}", node, "return")
            else:
                yield self._insert(node.start_byte, "return ", node, "return")
        if "\n" in text or margin.strip() or len(margin) < 8:
            return
        if len(siblings) > 1:
            yield Mutant(start, node.start_byte, margin[:-4], line, "depth")
        before = node.prev_named_sibling
        if before is not None and before.type in {"for_statement", "while_statement", "if_statement"}:
            yield Mutant(start, node.start_byte, margin + "    ", line, "depth")

    def _negated(self, condition: Node) -> str:
        text = _text(condition)
        if self._python:
            return f"not ({text})" if _BINARY.search(condition.type) else f"not {text}"
        return f"(!{text})" if text.startswith("(") else f"!({text})"

    def _replace(self, node: Node, text: str, kind: str) -> Mutant:
        return Mutant(node.start_byte, node.end_byte, text, node.start_point.row + 1, kind)

    def _insert(self, at: int, text: str, node: Node, kind: str) -> Mutant:
        return Mutant(at, at, text, node.start_point.row + 1, kind)


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _is_member(node: Node) -> bool:
    """``b`` in ``a.b``."""
    parent = node.parent
    return parent is not None and (
        node.type in {"field_identifier", "property_identifier"}
        or (parent.type == "attribute" and parent.child_by_field_name("attribute") == node)
    )


def _is_called(node: Node) -> bool:
    outer = node.parent if _is_member(node) else node
    return (
        outer is not None
        and outer.parent is not None
        and outer.parent.type in _CALLS
        and outer.parent.child_by_field_name("function") == outer
    )


def _is_definition(node: Node) -> bool:
    """A name where it is given, not used: of a function, a parameter, a keyword argument, a variable."""
    parent = node.parent
    if parent is None:
        return False
    if "parameter" in parent.type or parent.type in _DEFINITIONS:
        return True
    while parent.type in _PATTERNS and parent.parent is not None:
        node, parent = parent, parent.parent
    if parent.type == "as_pattern_target":
        return True
    if parent.type in _TAKING and parent.child_by_field_name("left") == node:
        return True
    return parent.type in {"keyword_argument", "variable_declarator"} and parent.child_by_field_name("name") == node


def _is_value(node: Node) -> bool:
    return node.type in _NAMES or node.type in _CALLS or _BINARY.search(node.type) is not None

"""A shell line as the simple commands that it would run, parsed with tree-sitter-bash.

It judges nothing (``agent.commands`` does) and runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

_STRUCTURE = frozenset({"program", "list", "pipeline", "command", "redirected_statement", "negated_command", "comment"})
# Nodes whose commands are found by descending; they cannot do more than those commands do.
_COMPOUND = frozenset(
    {
        "subshell", "compound_statement", "if_statement", "elif_clause", "else_clause", "for_statement", "do_group",
        "while_statement", "case_statement", "case_item", "test_command", "unary_expression", "binary_expression",
        "parenthesized_expression", "test_operator", "c_style_for_statement",
    }
)  # fmt: skip
_PLAIN_WORD = re.compile(r"(?!~)[^\\*?\[\]{}$`]*")
_MAX_NESTING = 3  # of scripts within scripts
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh"})


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command; ``text`` is what the program gets when ``literal``, else as written."""

    text: str
    literal: bool
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """A program with its arguments; ``piped`` when it reads another command's output."""

    words: tuple[Word, ...]
    piped: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The words as text."""
        return tuple(word.text for word in self.words)

    @property
    def program(self) -> str:
        """The first word; empty when it is not literal."""
        return self.words[0].text if self.words and self.words[0].literal else ""

    @property
    def literal(self) -> bool:
        """Whether every word is known before the shell runs."""
        return all(word.literal for word in self.words)


@dataclass(slots=True)
class ShellLine:
    """What a line does: its simple commands, nested ones included, and what else is in it.

    ``writes`` are targets of redirections to files; ``oddities`` are constructs that could hide anything, each as the
    second half of a sentence; ``compound`` is True with subshells, loops and conditions.
    """

    commands: list[SimpleCommand] = field(default_factory=list[SimpleCommand])
    writes: list[str] = field(default_factory=list[str])
    oddities: list[str] = field(default_factory=list[str])
    compound: bool = False


def parse_line(text: str) -> ShellLine:
    """Parse a command line; one that cannot be parsed has an oddity."""
    line = ShellLine()
    _parse_into(line, text, depth=0)
    return line


def _parse_into(line: ShellLine, text: str, depth: int) -> None:
    tree = Parser(Language(tree_sitter_bash.language())).parse(text.encode("utf-8", "replace"))
    if tree.root_node.has_error or "\0" in text:
        line.oddities.append("it could not be parsed")
    _walk(line, tree.root_node, depth)


def _walk(line: ShellLine, node: Node, depth: int) -> None:
    kind = node.type
    if kind == "command":
        _take_command(line, node, depth)
    elif kind == "file_redirect":
        _take_redirect(line, node)
    elif kind == "variable_assignment":
        line.oddities.append("it sets variables")
    elif kind in ("function_definition", "declaration_command", "unset_command"):
        line.oddities.append("it defines functions or variables")
    elif kind in _COMPOUND:
        line.compound = True
    elif node.is_named and kind not in _STRUCTURE and not _is_value(kind):
        line.oddities.append(f"it contains a construct that is not understood ({kind})")
    if kind in _STRUCTURE and any(child.type == "&" for child in node.children):
        line.oddities.append("it leaves a command running in the background")
    for child in node.children:
        _walk(line, child, depth)


def _is_value(kind: str) -> bool:
    """Nodes that hold text or expansions; commands inside substitutions are found by descending."""
    return kind in _VALUES or kind.endswith(("_expansion", "_substitution", "_content", "redirect"))


_VALUES = frozenset(
    {
        "word", "string", "raw_string", "ansi_c_string", "translated_string", "concatenation", "number", "command_name",
        "variable_name", "special_variable_name", "file_descriptor", "heredoc_start", "heredoc_body", "heredoc_end",
        "expansion", "regex", "extglob_pattern", "brace_expression", "subscript", "test_operator", "ERROR", "array",
    }
)  # fmt: skip


def _take_command(line: ShellLine, node: Node, depth: int) -> None:
    if _swallows_newline(node):
        line.oddities.append("it could not be parsed")
    words: list[Word] = []
    for child in node.children:
        if child.type == "command_name":
            words.extend(_word(each) for each in child.children)
        elif child.is_named and child.type not in ("variable_assignment", "file_redirect", "herestring_redirect"):
            words.append(_word(child))
    pipeline = _pipeline_of(node)
    piped = pipeline is not None and not _is_first(pipeline, node)
    for part in _split_at_newlines(words):
        command = SimpleCommand(part, piped)
        line.commands.append(command)
        script = _inline_script(command)
        if script is not None and depth < _MAX_NESTING:
            _parse_into(line, script, depth + 1)


def _split_at_newlines(words: list[Word]) -> list[tuple[Word, ...]]:
    """Two commands where the grammar took a newline for the beginning of a word; usually there is one."""
    parts: list[list[Word]] = [[]]
    for word in words:
        if word.text.startswith("\n") and not word.quoted:
            parts.append([])
            word = Word(word.text.lstrip("\n"), word.literal)
        parts[-1].append(word)
    return [tuple(part) for part in parts]


def _swallows_newline(node: Node) -> bool:
    """Whether a newline that ends a command was taken for a part of it.

    The grammar does that where the next line begins with a backslash; the shell would run two commands.
    """
    source = node.text or b""
    ends = [node.start_byte, *(child.end_byte for child in node.children)]
    starts = [child.start_byte for child in node.children]
    gaps = [source[end - node.start_byte : start - node.start_byte] for end, start in zip(ends, starts, strict=False)]
    words = [child.text or b"" for child in node.children if child.type in ("word", "concatenation", "command_name")]
    return any(b"\n" in each.replace(b"\\\n", b"") for each in gaps) or any(b"\n" in word for word in words)


def _pipeline_of(node: Node) -> Node | None:
    parent = node.parent
    while parent is not None and parent.type in ("redirected_statement", "negated_command", "pipeline"):
        if parent.type == "pipeline":
            return parent
        parent = parent.parent
    return None


def _is_first(pipeline: Node, node: Node) -> bool:
    first = pipeline.children[0]
    return first.start_byte <= node.start_byte < first.end_byte


def _inline_script(command: SimpleCommand) -> str | None:
    """The script of ``bash -c 'script'``."""
    if command.program.rsplit("/", 1)[-1] not in _SHELLS:
        return None
    words = iter(command.words[1:])
    for word in words:
        if re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*", word.text):
            script = next(words, None)
            return script.text if script is not None and script.literal else None
    return None


def _take_redirect(line: ShellLine, node: Node) -> None:
    operator = next((child.type for child in node.children if not child.is_named), "")
    target = next((child for child in reversed(node.children) if child.is_named), None)
    if target is None or ("<" in operator and ">" not in operator):
        return
    name = _word(target)
    if name.literal and (name.text == "/dev/null" or (operator in (">&", "<&") and name.text.isdigit())):
        return
    if operator == ">&" and name.text == "-":
        return
    line.writes.append(name.text)


def _word(node: Node) -> Word:
    """The text of a word as the program would get it."""
    text = (node.text or b"").decode("utf-8", "replace")
    match node.type:
        case "word" | "number" | "test_operator":
            plain = re.sub(r"\\(.)", r"\1", text)
            return Word(plain, _PLAIN_WORD.fullmatch(plain) is not None)
        case "raw_string":
            return Word(text[1:-1], literal=True, quoted=True)
        case "string":
            inner = text[1:-1]
            return Word(inner, not any(char in inner for char in "$`\\"), quoted=True)
        case "concatenation":
            parts = [_word(child) for child in node.children]
            return Word("".join(part.text for part in parts), all(part.literal for part in parts))
        case _:
            return Word(text, literal=False)


def walk_texts(line: ShellLine) -> Iterator[str]:
    """Every word and redirection target of the line."""
    for command in line.commands:
        yield from command.texts
    yield from line.writes

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
_VALUES = frozenset(
    {
        "word", "string", "raw_string", "ansi_c_string", "translated_string", "concatenation", "number", "command_name",
        "variable_name", "special_variable_name", "file_descriptor", "heredoc_start", "heredoc_body", "heredoc_end",
        "expansion", "regex", "extglob_pattern", "brace_expression", "subscript", "test_operator", "ERROR", "array",
    }
)  # fmt: skip
_LETTERS_TO_THE_SHELL = re.compile(r"[^\t\n -~]")
_JOINED_LINES = re.compile(r"\S\\\n\S")  # one word to the shell, two to the grammar
_ESCAPED_START = re.compile(r"(\n[ \t]*)\\(?=[\w./-])")
_UNPARSED = "it could not be parsed"
_PLAIN_WORD = re.compile(r"(?!~)[^\\*?\[\]{}$`]*")
_MAX_NESTING = 3  # of scripts within scripts
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh"})


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command; ``text`` is what the program gets when ``literal``, else as written."""

    text: str
    literal: bool


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
    _Reader(line, text).read()
    return line


class _Reader:
    """Reads one script into a ShellLine; scripts within it (``bash -c '...'``) by readers of their own."""

    def __init__(self, line: ShellLine, text: str, depth: int = 0) -> None:
        self._line = line
        self._text = text
        self._depth = depth

    def read(self) -> None:
        # To the shell, all characters beyond ASCII, and control characters such as a form feed, are letters of a word.
        # The grammar takes some for blanks, and crashes on others (tree-sitter/tree-sitter-bash#337). With a letter
        # in place of each, one byte is one character, and words are taken from the text itself.
        plain = _LETTERS_TO_THE_SHELL.sub("u", self._text)
        # A backslash at the beginning of a line makes the grammar take that line for a part of the one before. In
        # front of an ordinary character it means nothing: a letter in its place is read as what it is.
        plain = _ESCAPED_START.sub(r"\1u", plain)
        tree = Parser(Language(tree_sitter_bash.language())).parse(plain.encode("ascii"))
        if tree.root_node.has_error or "\0" in self._text or _JOINED_LINES.search(self._text):
            self._line.oddities.append(_UNPARSED)
        waiting = [tree.root_node]
        while waiting:
            node = waiting.pop()
            self._take(node)
            waiting.extend(reversed(node.children))

    def _take(self, node: Node) -> None:
        kind, line = node.type, self._line
        if kind in _STRUCTURE and node.children and self._skips(node):
            line.oddities.append(_UNPARSED)
        if kind == "command":
            self._take_command(node)
        elif kind == "file_redirect":
            self._take_redirect(node)
        elif kind == "word" and "\n" in self._source(node):
            line.oddities.append(_UNPARSED)  # no word goes over the end of a line: the grammar was mistaken
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

    def _take_command(self, node: Node) -> None:
        words: list[Word] = []
        for child in node.children:
            if child.type == "command_name":
                words.extend(self._word(each) for each in child.children)
            elif not child.is_named:
                words.append(Word(self._source(child), literal=False))
            elif child.type not in ("variable_assignment", "file_redirect", "herestring_redirect"):
                words.append(self._word(child))
        command = SimpleCommand(tuple(words), _is_piped(node))
        self._line.commands.append(command)
        script = _inline_script(command)
        if script is not None and self._depth < _MAX_NESTING:
            _Reader(self._line, script, self._depth + 1).read()

    def _skips(self, node: Node) -> bool:
        """Whether the grammar passed over text that the shell reads: it takes ``\\ `` for a blank, for example."""
        whole = node.type == "program"
        start, end = (0, len(self._text)) if whole else (node.start_byte, node.end_byte)
        ends = [start, *(child.end_byte for child in node.children)]
        starts = [*(child.start_byte for child in node.children), end]
        blanks = " \t" if node.type == "command" else " \t\n"
        gaps = (self._text[left:right].replace("\\\n", "") for left, right in zip(ends, starts, strict=True))
        return any(gap.strip(blanks) for gap in gaps)

    def _take_redirect(self, node: Node) -> None:
        operator = next((child.type for child in node.children if not child.is_named), "")
        targets = [child for child in node.children if child.is_named and child.type != "file_descriptor"]
        if len(targets) > 1:  # to the shell, words behind the first one are arguments of the command
            self._line.oddities.append("it has words behind a redirection")
        if not targets or ("<" in operator and ">" not in operator):
            return
        name = self._word(targets[0])
        if name.literal and (name.text == "/dev/null" or (operator in (">&", "<&") and name.text.isdigit())):
            return
        if operator == ">&" and name.text == "-":
            return
        self._line.writes.append(name.text)

    def _word(self, node: Node) -> Word:
        """The text of a word as the program would get it."""
        text = self._source(node)
        match node.type:
            case "word" | "number" | "test_operator":
                plain = re.sub(r"\\(.)", r"\1", text)
                return Word(plain, _PLAIN_WORD.fullmatch(plain) is not None)
            case "raw_string":
                return Word(text[1:-1], literal=True)
            case "string":
                inner = text[1:-1]
                return Word(inner, not any(char in inner for char in "$`\\"))
            case "concatenation":
                parts = [self._word(child) for child in node.children]
                return Word("".join(part.text for part in parts), all(part.literal for part in parts))
            case _:
                return Word(text, literal=False)

    def _source(self, node: Node) -> str:
        return self._text[node.start_byte : node.end_byte]


def _is_value(kind: str) -> bool:
    """Nodes that hold text or expansions; commands inside substitutions are found by descending."""
    return kind in _VALUES or kind.endswith(("_expansion", "_substitution", "_content", "redirect"))


def _is_piped(node: Node) -> bool:
    """Whether a command reads what another one in its pipeline writes."""
    parent = node.parent
    while parent is not None and parent.type in ("redirected_statement", "negated_command"):
        parent = parent.parent
    if parent is None or parent.type != "pipeline":
        return False
    first = parent.children[0]
    return not first.start_byte <= node.start_byte < first.end_byte


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


def walk_texts(line: ShellLine) -> Iterator[str]:
    """Every word and redirection target of the line."""
    for command in line.commands:
        yield from command.texts
    yield from line.writes

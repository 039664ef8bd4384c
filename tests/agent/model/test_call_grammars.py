"""The grammars of tool calls: what they let through, token by token, and what not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.messages import ToolSpec
from agent.model import Quotable, ResponseOptions
from agent.model.formats.base import ChatFormat
from agent.model.formats.chatml import ChatMLFormat
from agent.model.formats.gemma4 import Gemma4Format
from inference.constraint import Constraint, GrammarVocabulary
from inference.tokenizer import Tokenizer
from tests.fakes.outputs import read
from tests.fakes.vocabulary import (
    CHATML_MARKERS,
    GEMMA_MARKERS,
    chatml_bytes,
    gemma_bytes,
    gemma_vocabulary,
    parse_special,
)

EDIT: dict[str, object] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "edits": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"old": {"type": "string"}, "new": {"type": "string"}, "all": {"type": "boolean"}},
                "required": ["old", "new"],
            },
        },
        "mode": {"type": "string", "enum": ["strict", "fuzzy", 'größe "1"']},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["path", "edits"],
}
READ: dict[str, object] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "offset": {"type": "integer"}, "limit": {"type": "integer"}},
    "required": ["path"],
}
LOOSE: dict[str, object] = {
    "type": "object",
    "properties": {"a": {"type": "number"}, "b": {"type": "object"}, "c": {"type": ["string", "null"]}},
}
NOTHING: dict[str, object] = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS = [
    ToolSpec("edit", "Edit.", EDIT),
    ToolSpec("read", "Read.", READ),
    ToolSpec("loose", "Loose.", LOOSE),
    ToolSpec("list", "List.", NOTHING),
]
REQUIRED = ResponseOptions(tool_choice="required")
LIST = ResponseOptions(tool_choice="required", tool_name="list")
NO_CALL = ResponseOptions(tool_choice="none")
SCHEMAS = {tool.name: tool.parameters for tool in TOOLS}


def _follows(chat: ChatFormat, tokenizer: Tokenizer, ids: Sequence[int], options: ResponseOptions = REQUIRED) -> bool:
    """Whether the grammar lets exactly these ids through and is complete behind them."""
    grammar = chat.grammar(TOOLS, options)
    assert grammar is not None
    constraint = Constraint(grammar, GrammarVocabulary(tokenizer))
    for token in ids:
        if not constraint.allows(token) or constraint.complete:
            return False
        constraint.commit(token)
    return constraint.complete


def _gemma(written: str, tokenizer: Tokenizer) -> list[int]:
    written = f"<|tool_call>call:{written}<tool_call|>".replace("'", '<|"|>')
    return parse_special(tokenizer, written, GEMMA_MARKERS)


RIGHT = [
    "read{path:'a.py'}",
    "read{limit:3,path:'a.py'}",
    "read{limit:3,offset:-2,path:'a}b\n\"x\"<b> <|tool_call'}",
    "list{}",
    "loose{}",
    "loose{a:1.5e3}",
    "loose{b:{},c:'x'}",
    "loose{a:1,b:{x:[1,'y',{z:null}]},c:null}",
    "edit{edits:[{new:'n',old:'o'}],path:'p'}",
    "edit{edits:[{new:'n',old:'o'}],mode:'größe \"1\"',path:'p'}",
    "edit{edits:[{all:true,new:'n',old:''},{new:'',old:'q'}],limit:null,mode:'fuzzy',path:'p'}",
]
WRONG = [
    "read{limit:3}",
    "read{}",
    "read{path:3}",
    "read{path:'a',path:'b'}",
    "read{path:'a',limit:3}",
    "read{path:'a',other:'b'}",
    "rm{path:'a'}",
    "edit{edits:[],path:'p'}",
    "edit{edits:[{new:'n'}],path:'p'}",
    "edit{edits:[{new:'n',old:'o'}],mode:'x',path:'p'}",
    "list{a:1}",
]


QUOTABLE = Quotable("edit", "path", "old", "new", (("a.py", 'x = "ä"\n\tif x:\n'), ("b/c.py", "y\n")))


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("edit{edits:[{new:'n',old:'x = \"ä\"\n\tif'}],path:'a.py'}", True),
        ("edit{edits:[{new:'n',old:'y'},{new:'n',old:'\tif x'}],path:'b/c.py'}", True),
        ("edit{edits:[{new:'n',old:'x = 1'}],path:'a.py'}", False),
        ("edit{edits:[{new:'n',old:'x'}],path:'a.py'}", False),
        ("edit{edits:[{new:'n',old:'x:'}],path:'a.py'}", True),
        ("edit{edits:[{new:'n',old:'    if x'}],path:'a.py'}", False),
        ("edit{edits:[{new:'n',old:'if x:\ny'}],path:'a.py'}", False),
        ("edit{edits:[{new:'n',old:'y'}],path:'c.py'}", False),
        ("read{path:'c.py'}", True),
    ],
)
def test_a_gemma_call_can_be_held_to_quote_what_is_there(written: str, right: bool) -> None:
    tokenizer = gemma_vocabulary()
    chat = Gemma4Format(tokenizer, thinking=False)
    assert _follows(chat, tokenizer, _gemma(written, tokenizer), replace(REQUIRED, quotable=QUOTABLE)) is right


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("edit{edits:[{new:'n',old:'if x'}],path:'a.py'}", True),
        ("edit{edits:[{new:'n',old:' x:'}],path:'a.py'}", True),
        ("edit{edits:[{new:'n',old:'x'}],path:'a.py'}", True),  # it stands in the file twice, but there once
        ("edit{edits:[{new:'n',old:'= '}],path:'a.py'}", False),
        ("edit{edits:[{new:'n',old:'y'}],path:'b/c.py'}", False),
    ],
)
def test_a_gemma_call_can_be_held_to_a_part_of_what_is_there(written: str, right: bool) -> None:
    tokenizer = gemma_vocabulary()
    chat = Gemma4Format(tokenizer, thinking=False)
    held = replace(QUOTABLE, parts=(("a.py", "\tif x:"),))
    assert _follows(chat, tokenizer, _gemma(written, tokenizer), replace(REQUIRED, quotable=held)) is right


def test_what_is_too_large_to_be_held_to_is_quoted_freely() -> None:
    chat = Gemma4Format(gemma_vocabulary(), thinking=False)
    large = Quotable("edit", "path", "old", "new", (("a.py", "x\n" * 200_000),))
    assert chat.grammar(TOOLS, ResponseOptions(quotable=large)) == chat.grammar(TOOLS, ResponseOptions())


@pytest.mark.parametrize("written", RIGHT)
def test_a_gemma_call_that_fits_its_schema_is_let_through_and_read(written: str) -> None:
    tokenizer = gemma_bytes()
    chat = Gemma4Format(tokenizer)
    ids = _gemma(written, tokenizer)
    assert _follows(chat, tokenizer, ids)
    (call,) = read(chat, ids, SCHEMAS).calls
    assert call.error is None


@pytest.mark.parametrize("written", WRONG)
def test_a_gemma_call_that_does_not_fit_its_schema_is_stopped(written: str) -> None:
    tokenizer = gemma_bytes()
    assert not _follows(Gemma4Format(tokenizer), tokenizer, _gemma(written, tokenizer))


@pytest.mark.slow
def test_gemma_calls_are_let_through_over_the_real_vocabulary() -> None:
    tokenizer = gemma_vocabulary()
    chat = Gemma4Format(tokenizer)
    grammar = chat.grammar(TOOLS, REQUIRED)
    assert grammar is not None
    vocabulary = GrammarVocabulary(tokenizer)
    for written in RIGHT:
        constraint = Constraint(grammar, vocabulary)
        for token in _gemma(written, tokenizer):
            constraint.commit(token)
        assert constraint.complete


def test_in_automatic_mode_the_grammar_begins_behind_the_opening_marker() -> None:
    tokenizer = gemma_bytes()
    chat = Gemma4Format(tokenizer)
    text = tokenizer.encode("I look. ")
    assert _follows(chat, tokenizer, [*text, *_gemma("list{}", tokenizer)], ResponseOptions())


def test_a_required_tool_is_the_only_one_let_through() -> None:
    tokenizer = gemma_bytes()
    chat = Gemma4Format(tokenizer)
    assert _follows(chat, tokenizer, _gemma("list{}", tokenizer), LIST)
    assert not _follows(chat, tokenizer, _gemma("read{path:'a'}", tokenizer), LIST)


@pytest.mark.parametrize(
    ("thinking", "written", "allowed"),
    [
        (False, "Hello\nthere<turn|>", True),
        (False, "<|channel>thought\nhm<channel|>Hello<turn|>", False),
        (True, "<|channel>thought\nhm<channel|>Hello<turn|>", True),
        (True, "Hello<turn|>", True),
        (False, "Hello<|tool_call>", False),
    ],
)
def test_where_calls_are_forbidden_only_words_are_let_through(thinking: bool, written: str, allowed: bool) -> None:
    tokenizer = gemma_bytes()
    chat = Gemma4Format(tokenizer, thinking=thinking)
    assert _follows(chat, tokenizer, parse_special(tokenizer, written), NO_CALL) == allowed


def _hermes(body: str, tokenizer: Tokenizer) -> list[int]:
    return parse_special(tokenizer, f"<tool_call>\n{body}\n</tool_call>", CHATML_MARKERS)


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        ('{"name": "read", "arguments": {"path": "a.py"}}', True),
        ('{"name": "read", "arguments": {"path": "a\\nb \\"é\\"", "limit": 3}}', True),
        ('{"name": "list", "arguments": {}}', True),
        ('{"name": "loose", "arguments": {"a": 1, "b": {"x": [1]}, "c": null}}', True),
        ('{"name": "edit", "arguments": {"path": "p", "edits": [{"old": "a", "new": "b"}], "limit": null}}', True),
        ('{"name": "edit", "arguments": {"path": "p", "edits": []}}', False),
        ('{"name": "read", "arguments": {}}', False),
        ('{"name": "read", "arguments": {"path": "a", "other": 1}}', False),
        ('{"name": "rm", "arguments": {"path": "a.py"}}', False),
        ('{"name":"read","arguments":{"path":"a.py"}}', False),
    ],
)
def test_a_hermes_call_is_let_through_where_it_fits_its_schema(body: str, allowed: bool) -> None:
    tokenizer = chatml_bytes()
    chat = ChatMLFormat(tokenizer)
    assert _follows(chat, tokenizer, _hermes(body, tokenizer)) == allowed


def test_words_alone_are_let_through_in_chatml_where_calls_are_forbidden() -> None:
    tokenizer = chatml_bytes()
    chat = ChatMLFormat(tokenizer)
    assert _follows(chat, tokenizer, parse_special(tokenizer, "Hi<|im_end|>", CHATML_MARKERS), NO_CALL)
    assert not _follows(chat, tokenizer, parse_special(tokenizer, "Hi<tool_call>", CHATML_MARKERS), NO_CALL)


def test_without_tools_nothing_is_held_to_a_grammar() -> None:
    assert Gemma4Format(gemma_bytes()).grammar([], ResponseOptions()) is None
    assert ChatMLFormat(chatml_bytes()).grammar([], ResponseOptions()) is None

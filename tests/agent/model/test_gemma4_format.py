"""Gemma 4's format over a made-up vocabulary: declarations, histories, well-formed and malformed output."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.messages import ToolResultMessage, ToolSpec
from agent.model import ThoughtAdded, ToolCallParsed
from agent.model.formats.gemma4 import Gemma4Format
from tests.fakes.outputs import Outcome, read
from tests.fakes.vocabulary import GEMMA_MARKERS, gemma_bytes, parse_special

VOCABULARY = gemma_bytes()
FORMAT = Gemma4Format(VOCABULARY)
TOOLS: dict[str, dict[str, object]] = {
    "edit": {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "old": {"type": "string"},
            "new": {"type": "string"},
            "line": {"type": "integer"},
            "all": {"type": "boolean"},
        },
        "required": ["path"],
    },
    "bash": {"type": "object", "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}}},
    "list_tests": {"type": "object", "properties": {}},
}


def _ids(written: str) -> list[int]:
    return parse_special(VOCABULARY, written.replace("«", '<|"|>').replace("»", '<|"|>'), GEMMA_MARKERS)


def _read(written: str, *, in_thought: bool = False, truncated: bool = False) -> Outcome:
    return read(FORMAT, _ids(written), TOOLS, in_thought=in_thought, truncated=truncated)


def _written(ids: list[int]) -> str:
    return b"".join(map(VOCABULARY.piece, ids)).decode()


def test_a_tool_with_an_optional_and_a_nested_argument_is_declared_in_gemmas_notation() -> None:
    schema = {
        "type": "object",
        "title": "Arguments",
        "$defs": {
            "Pair": {"type": "object", "title": "Pair", "properties": {"old": {"type": "string", "title": "Old"}}}
        },
        "properties": {
            "path": {"title": "Path", "type": "string", "description": "File."},
            "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "edits": {"type": "array", "items": {"$ref": "#/$defs/Pair"}},
        },
        "required": ["path"],
    }
    written = _written(FORMAT.begin("", [ToolSpec("edit", "Edit a file.", schema)]))
    assert written == (
        "<bos><|turn>system\n<|tool>declaration:edit{description:«Edit a file.»,parameters:{properties:{"
        "edits:{items:{properties:{old:{type:«STRING»}},type:«OBJECT»},type:«ARRAY»},"
        "limit:{nullable:true,type:«INTEGER»},path:{description:«File.»,type:«STRING»}},"
        "required:[«path»],type:«OBJECT»}}<tool|><turn|>\n"
    ).replace("«", '<|"|>').replace("»", '<|"|>')


def test_without_anything_to_say_there_is_no_system_turn() -> None:
    assert _written(FORMAT.begin("", [])) == "<bos>"


def test_a_result_is_quoted_as_it_stands() -> None:
    results = FORMAT.results([ToolResultMessage("1", "read", ' {"a": 1}\n')])
    assert _written(results) == 'response:read{value:<|"|> {"a": 1}\n<|"|>}<tool_response|>'


READABLE: dict[str, tuple[str, str, dict[str, object]]] = {
    "plain": ("<|tool_call>call:bash{command:«ls»}<tool_call|>", "bash", {"command": "ls"}),
    "no closing marker": ("<|tool_call>call:bash{command:«ls»}", "bash", {"command": "ls"}),
    "no closing brace": ("<|tool_call>call:bash{command:«ls»<tool_call|>", "bash", {"command": "ls"}),
    "no closing quote": ("<|tool_call>call:bash{command:«ls}<tool_call|>", "bash", {"command": "ls"}),
    "no closing quote, then a stop": (
        "<|tool_call>call:bash{command:«ls}<tool_call|><|tool_response>",
        "bash",
        {"command": "ls"},
    ),
    "braces in an unclosed string": (
        "<|tool_call>call:bash{command:«echo ${X}}<tool_call|>",
        "bash",
        {"command": "echo ${X}"},
    ),
    "closing marker in a string": (
        "<|tool_call>call:bash{command:«echo '{}<tool_call|>' <turn»}<tool_call|>",
        "bash",
        {"command": "echo '{}<tool_call|>' <turn"},
    ),
    "every marker in a string": (
        "<|tool_call>call:bash{command:«<|tool_call> <|channel>thought <channel|> <|turn>»}<tool_call|>",
        "bash",
        {"command": "<|tool_call> <|channel>thought <channel|> <|turn>"},
    ),
    "JSON quotes": (
        '<|tool_call>call:bash{"command":"echo \\"a\\"\\n"}<tool_call|>',
        "bash",
        {"command": 'echo "a"\n'},
    ),
    "JSON quotes, raw newline": ('<|tool_call>call:bash{"command":"a\nb"}<tool_call|>', "bash", {"command": "a\nb"}),
    "a Windows path in JSON quotes": (
        '<|tool_call>call:edit{path:"C:\\users"}<tool_call|>',
        "edit",
        {"path": "C:\\users"},
    ),
    "single quotes": (
        "<|tool_call>call:edit{'path':'it's.py',line:3}<tool_call|>",
        "edit",
        {"path": "it's.py", "line": 3},
    ),
    "back-ticks": ("<|tool_call>call:bash{command:`ls`}<tool_call|>", "bash", {"command": "ls"}),
    "quoted keys": ("<|tool_call>call:bash{«command»:«ls»}<tool_call|>", "bash", {"command": "ls"}),
    "spaces": (
        "<|tool_call> call: bash { command : «ls» , timeout : 3 } <tool_call|>",
        "bash",
        {"command": "ls", "timeout": 3},
    ),
    "a number for a string": ("<|tool_call>call:edit{path:1.10}<tool_call|>", "edit", {"path": "1.10"}),
    "true for a string": ("<|tool_call>call:edit{path:true}<tool_call|>", "edit", {"path": "true"}),
    "a string for a number": (
        "<|tool_call>call:edit{line:«12»,path:«a»}<tool_call|>",
        "edit",
        {"line": 12, "path": "a"},
    ),
    "a string for a truth": (
        "<|tool_call>call:edit{all:«True»,path:«a»}<tool_call|>",
        "edit",
        {"all": True, "path": "a"},
    ),
    "no quotes": (
        "<|tool_call>call:edit{new:x = 1, # a,b\n,path:a.py}<tool_call|>",
        "edit",
        {"new": "x = 1, # a,b\n", "path": "a.py"},
    ),
    "no call:": ("<|tool_call>bash{command:«ls»}<tool_call|>", "bash", {"command": "ls"}),
    "with a namespace": ("<|tool_call>call:default_api:bash{command:«ls»}<tool_call|>", "bash", {"command": "ls"}),
    "no arguments": ("<|tool_call>call:list_tests<tool_call|>", "list_tests", {}),
    "no opening marker": ("call:bash{command:«ls»}<tool_call|>", "bash", {"command": "ls"}),
    "no marker at all": ("call:bash{command:«echo {}»}", "bash", {"command": "echo {}"}),
    "in a thought": ("<|channel>thought\nhm<|tool_call>call:bash{command:«ls»}<tool_call|>", "bash", {"command": "ls"}),
    "tool_code": ('```tool_code\nprint(default_api.bash(command="ls"))\n```', "bash", {"command": "ls"}),
    "fenced JSON": ('```json\n{"name": "bash", "arguments": {"command": "ls"}}\n```\n', "bash", {"command": "ls"}),
}


@pytest.mark.parametrize("case", READABLE)
def test_a_malformed_call_with_one_reading_is_read(case: str) -> None:
    written, name, arguments = READABLE[case]
    outcome = _read(written)
    assert outcome.plain_calls == [(name, arguments)]
    assert outcome.text.strip() == ""


UNREADABLE = [
    "<|tool_call>call:edit{path:«one,old:«two»}<tool_call|>",
    "<|tool_call>call:edit{line:many,path:«a»}<tool_call|>",
    "<|tool_call>call:bash{command:«ls» «la»}<tool_call|>",
    "<|tool_call>call:bash{command «ls»}<tool_call|>",
    "<|tool_call>call:bash{" + "a:{" * 100 + "<tool_call|>",
]


@pytest.mark.parametrize("written", UNREADABLE)
def test_a_call_with_no_or_several_readings_is_an_error_with_its_reason(written: str) -> None:
    (call,) = _read(written).calls
    assert call.error
    assert call.arguments == {}


def test_a_call_that_was_cut_off_is_never_completed() -> None:
    for written in (
        "call:edit{path:«a»,new:«half",
        "call:edit{path:«a»",
        "call:edit{path:«a»,new:«half<tool_call|>more",
    ):
        (call,) = _read("<|tool_call>" + written, truncated=True).calls
        assert call.error


THOUGHTS = {
    "plain": ("<|channel>thought\nhm\n<channel|>Yes", "hm", "Yes"),
    "no newline": ("<|channel>thought<channel|>Yes", "", "Yes"),
    "no label": ("<|channel>hm<channel|>Yes", "hm", "Yes"),
    "doubled opening": ("<|channel><|channel>thought\nhm<channel|>Yes", "hm", "Yes"),
    "doubled closing": ("<|channel>thought\nhm<channel|><channel|>Yes", "hm", "Yes"),
    "stray closing": ("Ye<channel|>s", "", "Yes"),
    "two thoughts": ("<|channel>thought\na\n<channel|>Y<|channel>thought\nb\n<channel|>es", "a\nb", "Yes"),
    "no closing": ("<|channel>thought\nhm", "hm", ""),
    "ended by a turn": ("<|channel>thought\nhm<turn|>", "hm", ""),
}


@pytest.mark.parametrize("case", THOUGHTS)
def test_thoughts_are_told_from_text_however_their_markers_stand(case: str) -> None:
    written, thought, text = THOUGHTS[case]
    outcome = _read(written)
    assert (outcome.thought.strip(), outcome.text) == (thought, text)


def test_an_output_that_starts_in_a_thought_ends_it_at_the_marker() -> None:
    outcome = _read("going on\n<channel|>Yes", in_thought=True)
    assert (outcome.thought, outcome.text) == ("going on\n", "Yes")


def test_a_marker_in_prose_is_prose() -> None:
    assert (
        _read("The <|tool_call> marker and the «quote» one.").text
        == 'The <|tool_call> marker and the <|"|>quote<|"|> one.'
    )


def test_a_character_that_spans_tokens_is_never_split() -> None:
    outcome = read(FORMAT, list("né ½ 🙂".encode()), TOOLS)
    assert outcome.text == "né ½ 🙂"
    assert "\ufffd" not in "".join(getattr(event, "text", "") for event in outcome.events)


def test_half_a_character_before_a_marker_does_not_leak_into_what_follows() -> None:
    outcome = read(FORMAT, [0xC3, *_ids("<|channel>thought\nb<channel|>c")], TOOLS)
    assert (outcome.text, outcome.thought) == ("\ufffdc", "b")


def test_thoughts_stream_as_they_come() -> None:
    parser = FORMAT.parser(TOOLS)
    streamed = [event for token in _ids("<|channel>thought\nab") for event in parser.feed(token)]
    assert streamed == [ThoughtAdded("a"), ThoughtAdded("b")]


def test_a_call_is_complete_at_its_closing_marker() -> None:
    parser = FORMAT.parser(TOOLS)
    streamed = [
        event for token in _ids("<|tool_call>call:bash{command:«ls»}<tool_call|>") for event in parser.feed(token)
    ]
    assert isinstance(streamed[-1], ToolCallParsed)


PIECES = [
    *GEMMA_MARKERS,
    "call:bash",
    "{",
    "}",
    "command",
    ":",
    ",",
    "ls",
    "```json\n",
    "\n",
    "[",
    "1",
    "true",
    '"',
    "'",
]


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=25), truncated=st.booleans())
def test_any_output_is_read_without_failing_and_accounts_for_every_thought(pieces: list[str], truncated: bool) -> None:
    ids = _ids("".join(pieces))
    read(FORMAT, ids, TOOLS, truncated=truncated)
    parser = FORMAT.parser(TOOLS)
    for token in ids:
        parser.feed(token)
        assert all(0 <= start <= end for start, end in parser.thought_spans)
        spans = [index for span in parser.thought_spans for index in span]
        assert spans == sorted(spans)

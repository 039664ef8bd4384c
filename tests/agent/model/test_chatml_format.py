"""ChatML with Hermes tool calls: rendering as Qwen's template does it, and reading what small models write."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.messages import AssistantMessage, ToolCall, ToolResultMessage, ToolSpec, UserMessage
from agent.model.formats.chatml import ChatMLFormat
from tests.fakes.outputs import Outcome, read
from tests.fakes.vocabulary import CHATML_MARKERS, chatml_bytes, parse_special, qwen_vocabulary

VOCABULARY = chatml_bytes()
FORMAT = ChatMLFormat(VOCABULARY)
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}},
    "required": ["path"],
}
TOOLS: dict[str, dict[str, object]] = {
    "read": SCHEMA,
    "write": {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}},
}
READ = ToolSpec("read", "Read a file.", SCHEMA)

SYSTEM = """<|im_start|>system
Be brief.

# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{"type": "function", "function": {"name": "read", "description": "Read a file.", "parameters": SCHEMA}}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
""".replace("SCHEMA", json.dumps(SCHEMA))
REST = """<|im_start|>user
Go<|im_end|>
<|im_start|>assistant
Let me see.
<tool_call>
{"name": "read", "arguments": {"path": "a.py"}}
</tool_call><|im_end|>
<|im_start|>user
<tool_response>
x = 1
</tool_response><|im_end|>
<|im_start|>assistant
"""


def _rendered(chat: ChatMLFormat) -> list[int]:
    call = ToolCall("1", "read", {"path": "a.py"})
    messages = [
        UserMessage("u", "Go"),
        AssistantMessage("a", "Let me see.", tool_calls=(call,)),
        ToolResultMessage("1", "read", "x = 1"),
    ]
    history, tail = chat.history(messages)
    return [*chat.begin("Be brief.", [READ]), *history, *chat.cue(tail, "auto").ids]


def test_a_conversation_with_tools_is_rendered_as_qwens_template_does() -> None:
    assert _rendered(FORMAT) == parse_special(VOCABULARY, SYSTEM + REST, CHATML_MARKERS)


@pytest.mark.weights
def test_a_conversation_has_the_token_ids_that_qwens_own_tokenizer_gives() -> None:
    vocabulary = qwen_vocabulary()
    assert _rendered(ChatMLFormat(vocabulary)) == parse_special(vocabulary, SYSTEM + REST, CHATML_MARKERS)


def test_without_anything_to_say_there_is_no_system_turn() -> None:
    assert FORMAT.begin("", []) == []


def _read(written: str, *, truncated: bool = False) -> Outcome:
    return read(FORMAT, parse_special(VOCABULARY, written, CHATML_MARKERS), TOOLS, truncated=truncated)


CALL = '{"name": "read", "arguments": {"path": "a.py"}}'
READABLE = {
    "plain": f"<tool_call>\n{CALL}\n</tool_call><|im_end|>",
    "no closing marker": f"<tool_call>\n{CALL}\n<|im_end|>",
    "no closing brace": f"<tool_call>\n{CALL[:-1]}\n</tool_call>",
    "one brace too many": f"<tool_call>\n{CALL}}}\n</tool_call>",
    "fenced within": f"<tool_call>\n```json\n{CALL}\n```\n</tool_call>",
    "trailing commas": '<tool_call>{"name": "read", "arguments": {"path": "a.py",},}</tool_call>',
    "single quotes": "<tool_call>{'name': 'read', 'arguments': {'path': 'a.py'}}</tool_call>",
    "arguments as text": '<tool_call>{"name": "read", "arguments": "{\\"path\\": \\"a.py\\"}"}</tool_call>',
    "parameters": '<tool_call>{"name": "read", "parameters": {"path": "a.py"}}</tool_call>',
    "arguments beside the name": '<tool_call>{"name": "read", "path": "a.py"}</tool_call>',
    "OpenAI's shape": f'{{"type": "function", "function": {CALL}}}',
    "fenced JSON": f"```json\n{CALL}\n```",
    "fenced JSON, indented": '```json\n{\n  "name": "read",\n  "arguments": {\n    "path": "a.py"\n  }\n}\n```\n',
    "fence without a label": f"```\n{CALL}\n```",
    "fence that is not closed": f"```json\n{CALL}\n",
    "bare object": CALL,
    "bare object, no last brace": CALL[:-1],
    "tools tag": f"<tools>\n{CALL}\n</tools>",
}


@pytest.mark.parametrize("case", READABLE)
def test_a_call_is_read_in_whatever_wrapping_a_small_model_puts_it(case: str) -> None:
    outcome = _read(READABLE[case])
    assert outcome.plain_calls == [("read", {"path": "a.py"})]
    assert not outcome.calls[0].error
    assert outcome.text.strip() == ""


def test_words_before_and_behind_a_fenced_call_are_text() -> None:
    outcome = _read(f"I will look.\n\n```json\n{CALL}\n```\nThen I fix it.")
    assert outcome.plain_calls == [("read", {"path": "a.py"})]
    assert outcome.text == "I will look.\n\n\nThen I fix it."


def test_several_calls_in_one_answer_are_all_read() -> None:
    other = CALL.replace("a.py", "b.py")
    for written in (
        f"<tool_call>{CALL}</tool_call>\n<tool_call>{other}</tool_call>",
        f"```json\n[{CALL}, {other}]\n```",
        f"{CALL}\n{other}",
    ):
        assert [arguments["path"] for _, arguments in _read(written).plain_calls] == ["a.py", "b.py"]


def test_raw_newlines_and_a_code_block_in_a_string_belong_to_it() -> None:
    content = "# Title\n\n```python\nx = 1\n```\nend"
    raw = json.dumps({"name": "write", "arguments": {"path": "a.md", "content": "@"}}).replace("@", content)
    for written in (f"<tool_call>\n{raw}\n</tool_call>", f"```json\n{raw}\n```", raw):
        assert _read(written).plain_calls == [("write", {"path": "a.md", "content": content})]


NO_CALLS = [
    '```json\n{"name": "left-pad", "version": "1.0"}\n```',
    '```json\n{"a": 1}\n```\nand more',
    '```python\nread(path="a.py")\n```',
    f"```python\nexample = '''\n{CALL}\n'''\n```\n",
    '{"a": "b"}',
    "{not json at all",
    "A list: [1, 2]\n[3]\n",
    "`read` reads <tools> and {braces}.\n<b>bold</b>\n",
    '{"name": "unknown", "arguments": {}}',
]


@pytest.mark.parametrize("written", NO_CALLS)
def test_text_that_only_looks_like_a_call_stays_text(written: str) -> None:
    outcome = _read(written)
    assert outcome.calls == ()
    assert outcome.text == written


def test_a_marked_call_of_an_unknown_tool_is_still_a_call() -> None:
    outcome = _read('<tool_call>{"name": "rm", "arguments": {"path": "a"}}</tool_call>')
    assert outcome.plain_calls == [("rm", {"path": "a"})]


def test_a_marked_call_that_cannot_be_read_is_an_error() -> None:
    for written in (
        "<tool_call>{broken}</tool_call>",
        '<tool_call>{"name": "read"}</tool_call>',
        "<tool_call>[]</tool_call>",
    ):
        (call,) = _read(written).calls
        assert call.error


def test_a_call_that_was_cut_off_is_never_completed() -> None:
    (call,) = _read(f"<tool_call>\n{CALL[:-1]}", truncated=True).calls
    assert call.error
    outcome = _read(f"```json\n{CALL[:-1]}", truncated=True)
    assert outcome.calls == ()


def test_code_streams_while_it_is_written() -> None:
    parser = FORMAT.parser(TOOLS)
    code = "```python\nfor i in range(10):\n    print(i)"
    streamed = [event for byte in code.encode() for event in parser.feed(byte)]
    assert "".join(getattr(event, "text", "") for event in streamed) == code[:-3]


PIECES = [
    *CHATML_MARKERS,
    CALL,
    CALL[:20],
    "```json\n",
    "```",
    "\n",
    "<tools>",
    "</tools>",
    "text",
    '"',
    "{",
    "}",
    "\\",
    "é",
]


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=15), truncated=st.booleans())
def test_any_output_is_read_without_failing(pieces: list[str], truncated: bool) -> None:
    _read("".join(pieces), truncated=truncated)


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="ab`{}[]<>\n \"':", max_size=60))
def test_an_answer_without_calls_loses_no_character(text: str) -> None:
    outcome = _read(text)
    assert outcome.calls == ()
    assert outcome.text == text

"""The local model over a scripted engine: what the model is given to read, and what its answers become."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ModelError
from agent.messages import (
    AssistantMessage,
    Drafted,
    StopReason,
    ToolCall,
    ToolResultMessage,
    ToolSpec,
    Usage,
    UserMessage,
)
from agent.model import (
    Dump,
    ModelEvent,
    PromptRead,
    ResponseFinished,
    ResponseOptions,
    TextAdded,
    ToolCallParsed,
)
from agent.model.local import LocalConversation, LocalModel, LocalSettings
from inference.errors import ContextOverflow, DecodeFailed
from inference.tokenizer import Tokenizer
from tests.fakes.fake_engine import ScriptedEngine
from tests.fakes.vocabulary import CHATML_MARKERS, GEMMA_MARKERS, chatml_bytes, gemma_bytes, parse_special

READ = ToolSpec(
    "read",
    "Read a file.",
    {"type": "object", "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}}, "required": ["path"]},
)
TODO = ToolSpec("todo", "Plan.", {"type": "object", "properties": {"items": {"type": "string"}}})
CALL = '<|tool_call>call:read{path:<|"|>a.py<|"|>}<tool_call|>'
OTHER_CALL = '<|tool_call>call:read{path:<|"|>b.py<|"|>}<tool_call|>'
SMALL = LocalSettings(name="gemma-4-E2B", temperature=0.5)


class Chat:
    """A conversation over scripted answers, each given as written text with markers."""

    def __init__(
        self,
        *answers: str | Exception,
        settings: LocalSettings = SMALL,
        context_tokens: int = 8192,
        chatml: bool = False,
    ) -> None:
        self.tokenizer: Tokenizer = chatml_bytes() if chatml else gemma_bytes()
        markers = CHATML_MARKERS if chatml else GEMMA_MARKERS
        self.answers = [a if isinstance(a, Exception) else parse_special(self.tokenizer, a, markers) for a in answers]
        architecture = "qwen2" if chatml else "gemma4"
        self.engine = ScriptedEngine(self.answers, self.tokenizer, context_tokens, architecture)
        self.model = LocalModel(self.engine, settings)
        asyncio.run(self.model.start())
        self.conversation = self.model.open("Be brief.", [READ, TODO])

    def respond(self, **options: object) -> tuple[AssistantMessage, list[ModelEvent]]:
        events = asyncio.run(_all(self.conversation, ResponseOptions(**options)))  # pyright: ignore[reportArgumentType]
        last = events[-1]
        assert isinstance(last, ResponseFinished)
        return last.message, events

    def prompt(self, index: int = -1) -> str:
        """What the engine was given to read, with markers as they are written."""
        return self.written(self.engine.requests[index].tokens)

    def written(self, ids: Sequence[int]) -> str:
        return b"".join(map(self.tokenizer.piece, ids)).decode()

    def said(self, index: int = -1) -> str:
        """The part of a prompt behind the system turn."""
        return self.prompt(index).split("<turn|>\n", 1)[1]


async def _all(conversation: LocalConversation, options: ResponseOptions) -> list[ModelEvent]:
    return [event async for event in conversation.respond(options)]


def _result(text: str = "x = 1") -> ToolResultMessage:
    return ToolResultMessage("1", "read", text)


def test_an_answer_streams_and_becomes_a_message_with_its_cost() -> None:
    chat = Chat("Good day.<turn|>")
    chat.conversation.add_user("Hello")
    message, events = chat.respond()
    assert isinstance(events[0], PromptRead)
    assert "".join(e.text for e in events if isinstance(e, TextAdded)) == "Good day."
    assert (message.text, message.stop_reason) == ("Good day.", StopReason.END)
    assert message.usage.decoded_tokens == len(chat.answers[0])  # pyright: ignore[reportArgumentType]
    assert chat.said() == "<|turn>user\nHello<turn|>\n<|turn>model\n"


def test_what_drafters_may_know_goes_with_the_request() -> None:
    """Texts that are likely to be repeated, and what tells the kinds of text in the answer apart."""
    chat = Chat("Good day.<turn|>", "Well.<turn|>", "Yes.<turn|>")
    chat.conversation.add_user("Hello")
    chat.respond(references=("x = 1\n",))
    request = chat.engine.requests[-1]
    assert [chat.written(reference) for reference in request.references] == ["x = 1\n"]
    kinds = {chat.written(region.opening): region.kind for region in request.regions}
    assert kinds["<|tool_call>"] == "arguments"
    assert (kinds['<|"|>'], kinds["```"], kinds[""]) == ("content", "code", "prose")


@pytest.mark.parametrize("chatml", [False, True])
def test_an_answer_that_begins_inside_a_code_block_is_known_to_be_code(chatml: bool) -> None:
    chat = Chat("x = 1\n```", chatml=chatml, settings=LocalSettings() if chatml else SMALL)
    chat.conversation.add_user("Hello")
    chat.respond(prefix="Here:\n```python\n")
    kinds = {chat.written(region.opening): region.kind for region in chat.engine.requests[-1].regions}
    assert kinds[""] == "code"


def test_usage_adds_up_drafter_by_drafter() -> None:
    first = Usage(drafted_tokens=5, accepted_tokens=3, drafters=(Drafted("copy", 4, 3), Drafted("forced", 1, 0)))
    second = Usage(drafted_tokens=9, accepted_tokens=9, drafters=(Drafted("mtp", 7, 7), Drafted("copy", 2, 2)))
    assert (first + second).drafters == (Drafted("copy", 6, 5), Drafted("forced", 1, 0), Drafted("mtp", 7, 7))
    assert (Usage() + first).drafters == first.drafters


def test_what_was_sampled_is_read_again_as_it_was_and_never_rendered_anew() -> None:
    odd = '<|tool_call>call:read{ "path" : <|"|>a.py<|"|> }<tool_call|><|tool_response>'
    chat = Chat(odd, "Done.<turn|>", "Yes.<turn|>")
    chat.conversation.add_user("Go")
    message, _ = chat.respond()
    assert [(c.name, c.arguments) for c in message.tool_calls] == [("read", {"path": "a.py"})]
    chat.conversation.add_tool_results([_result()])
    chat.respond()
    chat.conversation.add_user("Sure?")
    chat.respond()
    result = 'response:read{value:<|"|>x = 1<|"|>}<tool_response|>'
    assert chat.said() == (
        f"<|turn>user\nGo<turn|>\n<|turn>model\n{odd}{result}Done.<turn|>\n<|turn>user\nSure?<turn|>\n<|turn>model\n"
    )
    first, second, third = (request.tokens for request in chat.engine.requests)
    assert second[: len(first)] == first
    assert third[: len(second)] == second


@pytest.mark.parametrize("sampled", ["", "<|tool_response>", "<turn|>", "<eos>"])
def test_results_follow_a_call_in_the_same_way_however_the_call_ended(sampled: str) -> None:
    chat = Chat(CALL + sampled, "Done.<turn|>")
    chat.conversation.add_user("Go")
    chat.respond()
    chat.conversation.add_tool_results([_result("1"), _result("2")])
    chat.respond()
    expected = "".join(f'<|tool_response>response:read{{value:<|"|>{n}<|"|>}}<tool_response|>' for n in (1, 2))
    assert chat.said().endswith(f"<|turn>model\n{CALL}{expected}")


@pytest.mark.parametrize("sampled", ["", "<turn|>", "<eos>"])
def test_a_turn_is_closed_once_however_the_answer_ended(sampled: str) -> None:
    chat = Chat("Hi" + sampled, "Yes.<turn|>")
    chat.conversation.add_user("1")
    chat.respond()
    chat.conversation.add_user("2")
    chat.respond()
    assert chat.said().endswith("<|turn>model\nHi<turn|>\n<|turn>user\n2<turn|>\n<|turn>model\n")


def test_thoughts_stay_while_tools_are_called_and_go_when_the_user_speaks_again() -> None:
    thinking = LocalSettings(name="gemma-4-26B-A4B")
    chat = Chat(
        f"<|channel>thought\nfirst\n<channel|>{CALL}<|tool_response>",
        "second\n<channel|>Done.<turn|>",
        "<|channel>thought\nthird\n<channel|>Yes.<turn|>",
        settings=thinking,
    )
    chat.conversation.add_user("Go")
    message, _ = chat.respond()
    assert message.thought == "first"
    chat.conversation.add_tool_results([_result()])
    message, _ = chat.respond()
    assert (message.thought, message.text) == ("second", "Done.")
    assert chat.said().count("first") == 1
    assert chat.said().endswith("<|channel>thought\n")
    before = chat.engine.requests[0].checkpoints, len(chat.engine.requests[0].tokens)
    chat.conversation.add_user("Sure?")
    chat.respond()
    result = 'response:read{value:<|"|>x = 1<|"|>}<tool_response|>'
    assert chat.said() == (
        f"<|turn>user\nGo<turn|>\n<|turn>model\n{CALL}<|tool_response>{result}Done.<turn|>\n"
        "<|turn>user\nSure?<turn|>\n<|turn>model\n"
    )
    assert before[1] in chat.engine.requests[1].checkpoints, "where the hidden thought began"


def test_thoughts_are_kept_where_the_settings_say_so() -> None:
    keeping = LocalSettings(name="gemma-4-26B-A4B", keep_thoughts=True)
    chat = Chat("<|channel>thought\nwhy\n<channel|>Hi<turn|>", "Yes.<turn|>", settings=keeping)
    chat.conversation.add_user("1")
    chat.respond()
    chat.conversation.add_user("2")
    chat.respond()
    assert "why" in chat.said()


def test_a_large_model_that_does_not_think_is_told_so() -> None:
    chat = Chat("Hi<turn|>", settings=LocalSettings(name="gemma-4-12B", thinking=False))
    chat.conversation.add_user("1")
    chat.respond()
    assert chat.said().endswith("<|turn>model\n<|channel>thought\n<channel|>")


def test_an_answer_that_is_closed_early_keeps_its_ids_and_leaves_a_sound_transcript() -> None:
    chat = Chat("Hello there, friend<turn|>", "Yes.<turn|>")
    chat.conversation.add_user("1")

    async def some() -> None:
        seen = ""
        stream = cast("AsyncGenerator[ModelEvent]", chat.conversation.respond(ResponseOptions()))
        async with aclosing(stream):
            async for event in stream:
                seen += event.text if isinstance(event, TextAdded) else ""
                if seen == "Hello":
                    return

    asyncio.run(some())
    chat.conversation.add_user("2")
    chat.respond()
    assert chat.said().endswith("<|turn>model\nHello<turn|>\n<|turn>user\n2<turn|>\n<|turn>model\n")


def test_an_answer_that_is_closed_before_its_first_token_never_happened() -> None:
    chat = Chat("Hello<turn|>", "Yes.<turn|>")
    chat.conversation.add_user("1")
    count = chat.conversation.token_count

    async def none() -> None:
        stream = cast("AsyncGenerator[ModelEvent]", chat.conversation.respond(ResponseOptions()))
        async with aclosing(stream):
            async for _ in stream:
                return

    asyncio.run(none())
    assert chat.conversation.token_count == count


def test_a_call_that_is_cut_off_is_an_error_and_its_string_is_closed() -> None:
    chat = Chat(CALL + '<|tool_call>call:read{path:<|"|>long', "Sorry.<turn|>")
    chat.conversation.add_user("1")
    message, _ = chat.respond()
    assert [(c.arguments, bool(c.error)) for c in message.tool_calls] == [({"path": "a.py"}, False), ({}, True)]
    assert message.stop_reason is StopReason.TOOL_CALLS
    chat.conversation.add_tool_results([_result(), _result("cut off")])
    chat.respond()
    assert '{path:<|"|>long<|"|><tool_call|><|tool_response>response:read' in chat.said()


def test_a_thought_that_is_cut_off_is_hidden_whole() -> None:
    chat = Chat("<|channel>thought\nendless", "Yes.<turn|>", settings=LocalSettings(name="gemma-4-31B"))
    chat.conversation.add_user("1")
    message, _ = chat.respond()
    assert (message.stop_reason, message.thought) == (StopReason.LENGTH, "endless")
    chat.conversation.add_user("2")
    chat.respond()
    assert chat.said().endswith("1<turn|>\n<|turn>model\n<turn|>\n<|turn>user\n2<turn|>\n<|turn>model\n")


def test_a_prompt_that_does_not_fit_changes_nothing() -> None:
    chat = Chat("Hi<turn|>", context_tokens=400)
    chat.conversation.add_user("long" * 100)
    count, mark = chat.conversation.token_count, chat.conversation.mark()
    with pytest.raises(ContextOverflow):
        chat.respond()
    assert (chat.conversation.token_count, chat.conversation.mark()) == (count, mark)


def test_a_failing_engine_is_a_model_error() -> None:
    chat = Chat(DecodeFailed("The device was lost."))
    chat.conversation.add_user("1")
    with pytest.raises(ModelError, match="device was lost"):
        chat.respond()


def test_rewinding_brings_back_the_transcript_of_the_mark() -> None:
    chat = Chat("Hi<turn|>", "Wrong<turn|>", "Right<turn|>")
    chat.conversation.add_user("1")
    chat.respond()
    mark, count = chat.conversation.mark(), chat.conversation.token_count
    chat.conversation.add_user("2")
    chat.respond()
    chat.conversation.rewind(mark)
    assert chat.conversation.token_count == count
    chat.conversation.add_user("2")
    chat.respond()
    assert chat.prompt(2) == chat.prompt(1)
    with pytest.raises(ValueError, match="no mark"):
        chat.conversation.rewind(99)


def test_a_dumped_conversation_goes_on_where_it_was() -> None:
    chat = Chat(CALL + "<|tool_response>", "Done.<turn|>")
    chat.conversation.add_user("1")
    chat.respond()
    dumped = chat.conversation.dump()
    chat.conversation = chat.model.restore(dumped)
    assert chat.conversation.dump() == dumped
    chat.conversation.add_tool_results([_result()])
    chat.respond()
    assert chat.prompt(1).startswith(chat.prompt(0) + CALL + "<|tool_response>response:read{")


def test_a_conversation_of_another_model_is_refused() -> None:
    dumped = Chat().conversation.dump()
    with pytest.raises(ValueError, match=r"made by gemma-4-E2B, not by gemma-4-E4B"):
        Chat(settings=LocalSettings(name="gemma-4-E4B")).model.restore(dumped)


@pytest.mark.parametrize("header", ["", "[]", "{}", '{"model":1}', '{"model":"gemma-4-E2B","format":"gemma4"}'])
def test_a_damaged_header_is_refused_in_one_sentence(header: str) -> None:
    with pytest.raises(ValueError, match="damaged"):
        Chat().model.restore(Dump(header, ()))


@pytest.mark.parametrize("part", ["", "{}", "[]", '["user","user",7]', '["nonsense","user",[7]]'])
def test_a_damaged_part_is_refused_in_one_sentence(part: str) -> None:
    whole = Chat().conversation.dump()
    with pytest.raises(ValueError, match="damaged"):
        Chat().model.restore(Dump(whole.header, (*whole.parts, part)))


def test_later_parts_of_a_dump_are_what_came_since_a_mark() -> None:
    chat = Chat("Yes.<turn|>")
    before, mark = chat.conversation.dump(), chat.conversation.mark()
    chat.conversation.add_user("1")
    chat.respond()
    later = chat.conversation.dump(mark)
    assert before.parts + later.parts == chat.conversation.dump().parts
    assert len(before.parts) == mark


def test_a_history_of_another_model_is_rendered() -> None:
    chat = Chat("Yes.<turn|>")
    call = ToolCall("7", "read", {"path": "a.py"})
    history = [
        UserMessage("u", "Go"),
        AssistantMessage("a", "", tool_calls=(call,)),
        ToolResultMessage("7", "read", "1"),
    ]
    chat.conversation = chat.model.open("Be brief.", [READ], [*history, AssistantMessage("b", "Done.")])
    chat.conversation.add_user("Sure?")
    chat.respond()
    response = '<|tool_response>response:read{value:<|"|>1<|"|>}<tool_response|>'
    assert chat.said() == (
        f"<|turn>user\nGo<turn|>\n<|turn>model\n{CALL}{response}Done.<turn|>\n<|turn>user\nSure?<turn|>\n<|turn>model\n"
    )


def test_a_call_that_comes_twice_in_one_response_is_run_once_and_leaves_no_trace() -> None:
    chat = Chat(CALL + OTHER_CALL + CALL + OTHER_CALL * 50, "Done.<turn|>")
    chat.conversation.add_user("Go")
    message, events = chat.respond()
    assert [call.arguments["path"] for call in message.tool_calls] == ["a.py", "b.py"]
    assert message.stop_reason is StopReason.TOOL_CALLS
    dropped = [e.call.error for e in events if isinstance(e, ToolCallParsed) and e.call.error]
    assert len(dropped) == 1
    chat.conversation.add_tool_results([_result("1"), _result("2")])
    chat.respond()
    assert chat.said().count(CALL) == chat.said().count(OTHER_CALL) == 1


def test_the_options_reach_the_engine() -> None:
    chat = Chat("a<turn|>", "b<turn|>", "c<turn|>")
    chat.conversation.add_user("1")
    chat.respond(max_tokens=7, temperature=0.0, seed=3)
    chat.conversation.add_user("2")
    chat.respond()
    chat.conversation.add_user("3")
    chat.respond(warmer=0.25)
    first, second, third = chat.engine.requests
    assert (first.max_tokens, first.sampling.temperature, first.sampling.seed) == (7, 0.0, 3)
    assert (second.sampling.temperature, second.sampling.top_k) == (0.5, 64)
    assert third.sampling.temperature == 0.75
    assert {chat.written([token]) for token in first.stop_ids} == {"<eos>", "<|tool_response>", "<turn|>"}


def test_tool_choice_becomes_a_grammar() -> None:
    chat = Chat(*["a<turn|>"] * 4)
    chat.conversation.add_user("1")
    for options in (
        {},
        {"tool_choice": "required"},
        {"tool_choice": "required", "tool_name": "todo"},
        {"tool_choice": "none"},
    ):
        chat.respond(**options)
    auto, required, named, none = (request.grammar for request in chat.engine.requests)
    assert auto is not None
    assert required is not None
    assert named is not None
    assert none is not None
    assert not auto.from_start
    assert {chat.written([token]) for token in auto.triggers} == {"<|tool_call>"}
    assert required.from_start
    assert required.then_stop
    assert "call:read" in required.lark
    assert "call:todo" in named.lark
    assert "call:read" not in named.lark
    assert "call:" not in none.lark


def test_where_calls_are_forbidden_a_call_in_the_text_is_text() -> None:
    written = '```json\n{"name": "read", "arguments": {"path": "a.py"}}\n```'
    chat = Chat(written + "<turn|>")
    chat.conversation.add_user("Show me a call.")
    message, _ = chat.respond(tool_choice="none")
    assert (message.text, message.tool_calls) == (written, ())


def test_an_answer_begins_with_its_prefix_and_ends_before_a_stop_text() -> None:
    chat = Chat(" return 1\n``` and so on<turn|>", "Yes.<turn|>")
    chat.conversation.add_user("Fix it")
    message, _ = chat.respond(tool_choice="none", prefix="```python\ndef f():", stop=("\n```",))
    assert message.text == "```python\ndef f(): return 1"
    assert message.stop_reason is StopReason.END
    assert chat.said().endswith("<|turn>model\n```python\ndef f():")
    chat.conversation.add_user("Sure?")
    chat.respond()
    assert "```python\ndef f(): return 1\n```<turn|>\n<|turn>user" in chat.said()


def test_checkpoints_are_wanted_behind_the_system_part_and_before_each_user_turn() -> None:
    chat = Chat("a<turn|>", "b<turn|>")
    for text in ("1", "2"):
        chat.conversation.add_user(text)
        chat.respond()
    request = chat.engine.requests[-1]
    behind = [chat.written(request.tokens[count:]) for count in request.checkpoints]
    assert [text.split("<turn|>")[0] for text in behind] == ["<|turn>user\n1", "<|turn>user\n2"]


def test_a_model_without_a_known_chat_format_is_refused_by_name() -> None:
    model = LocalModel(ScriptedEngine([], architecture="llama"), LocalSettings(name="tiny-llama"))
    with pytest.raises(ModelError, match=r"tiny-llama \(llama\).*choose"):
        asyncio.run(model.start())


@pytest.mark.parametrize(
    ("name", "architecture", "small", "thinks"),
    [
        ("gemma-4-E2B-it-qat", "gemma4", True, False),
        ("Gemma 4 E4B It", "gemma4", True, False),
        ("gemma-4-12B-it", "gemma4", False, False),
        ("gemma-4-26B-A4B-it", "gemma4", False, True),
        ("Qwen2.5 Coder 1.5B Instruct", "qwen2", True, False),
        ("Qwen2.5-Coder-7B-Instruct", "qwen2", False, False),
    ],
)
def test_a_models_name_tells_what_nobody_set(name: str, architecture: str, small: bool, thinks: bool) -> None:
    tokenizer = gemma_bytes() if architecture == "gemma4" else chatml_bytes()
    model = LocalModel(ScriptedEngine([], tokenizer, architecture=architecture), LocalSettings(name=name))
    asyncio.run(model.start())
    assert (model.info.name, model.info.small, model.info.thinks) == (name, small, thinks)


def test_a_chatml_conversation_is_well_formed_from_call_to_answer() -> None:
    call = '<tool_call>\n{"name": "read", "arguments": {"path": "a.py"}}\n</tool_call>'
    chat = Chat(call + "<|im_end|>", "Done.", "Yes.<|im_end|>", chatml=True)
    chat.conversation.add_user("Go")
    message, _ = chat.respond()
    assert [(c.name, c.arguments) for c in message.tool_calls] == [("read", {"path": "a.py"})]
    chat.conversation.add_tool_results([_result("1"), _result("2")])
    chat.respond()
    chat.conversation.add_user("Sure?")
    chat.respond()
    results = "\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"
    assert chat.prompt().split("<|im_end|>\n", 1)[1] == (
        f"<|im_start|>user\nGo<|im_end|>\n<|im_start|>assistant\n{call}<|im_end|>\n"
        f"<|im_start|>user{results}<|im_end|>\n<|im_start|>assistant\nDone.<|im_end|>\n"
        "<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\n"
    )


turns = st.lists(
    st.tuples(
        st.lists(
            st.sampled_from(["Hi ", "ok\n", CALL, OTHER_CALL, '<|"|>', "<tool_call|>", "```json\n"]),
            min_size=1,
            max_size=4,
        ),
        st.sampled_from(["", "<turn|>", "<eos>", "<|tool_response>"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(turns=turns)
def test_without_thoughts_every_prompt_extends_the_one_before_and_what_was_sampled(
    turns: list[tuple[list[str], str, bool]],
) -> None:
    chat = Chat(*["".join(parts) + stop for parts, stop, _ in turns])
    for _, _, results in turns:
        if results and chat.engine.requests:
            chat.conversation.add_tool_results([_result()])
        else:
            chat.conversation.add_user("go on")
        chat.respond()
    prompts = [request.tokens for request in chat.engine.requests]
    for before, after in pairwise(prompts):
        assert after[: len(before)] == before
    for prompt in map(chat.written, prompts):
        assert prompt.endswith(("<|turn>model\n", "<tool_response|>"))
        assert prompt.count("<|turn>") - prompt.count("<turn|>") == 1

"""What a conversation has read in the background: always a beginning of the next request, and as much as is known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.messages import AssistantMessage, ToolResultMessage, ToolSpec
from agent.model import ResponseFinished, ResponseOptions
from agent.model.background import certain_ids
from agent.model.local import LocalConversation, LocalModel, LocalSettings
from inference.request import Request
from tests.fakes.fake_engine import ScriptedEngine
from tests.fakes.vocabulary import CHATML_MARKERS, GEMMA_MARKERS, chatml_bytes, gemma_bytes, parse_special

BASH = ToolSpec("bash", "Run.", {"type": "object", "properties": {"command": {"type": "string"}}})
GEMMA_CALL = '<|tool_call>call:bash{command:<|"|>make<|"|>}<tool_call|>'
THOUGHT = "<|channel>thought\nLet me see.\n<channel|>"
CHATML_CALL = '<tool_call>\n{"name": "bash", "arguments": {"command": "make"}}\n</tool_call>'
OUTPUT = "compiling a.c\ncompiling b.c\n\nlinking\n"


class Chat:
    """A conversation over scripted answers, and the last requests that it made."""

    def __init__(self, *answers: str, chatml: bool = False, thinking: bool = False) -> None:
        tokenizer = chatml_bytes() if chatml else gemma_bytes()
        markers = CHATML_MARKERS if chatml else GEMMA_MARKERS
        ids = [parse_special(tokenizer, answer, markers) for answer in answers]
        self.engine = ScriptedEngine(ids, tokenizer, 8192, "qwen2" if chatml else "gemma4")
        self.model = LocalModel(self.engine, LocalSettings(name="gemma-4-12B", thinking=thinking))

    async def open(self) -> LocalConversation:
        await self.model.start()
        return self.model.open("Be brief.", [BASH])

    @property
    def ahead(self) -> Request:
        return self.engine.background[-1]

    @property
    def asked(self) -> Request:
        return self.engine.requests[-1]

    def written(self, request: Request) -> str:
        return b"".join(map(self.engine.tokenizer.piece, request.tokens)).decode()

    def missing(self) -> str:
        """What the last request had besides that which was read ahead of it."""
        read, asked = self.ahead.tokens, self.asked.tokens
        assert asked[: len(read)] == read, "what was read ahead is not what was asked then"
        return b"".join(map(self.engine.tokenizer.piece, asked[len(read) :])).decode()


async def respond(conversation: LocalConversation) -> AssistantMessage:
    last = [event async for event in conversation.respond(ResponseOptions())][-1]
    assert isinstance(last, ResponseFinished)
    return last.message


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(scene(), 10)

    asyncio.run(main())


def test_before_the_first_message_all_but_its_text_is_read() -> None:
    async def scene() -> None:
        chat = Chat("Hello.<turn|>")
        conversation = await chat.open()
        conversation.prepare("The date is today.\n\n")
        await conversation.read_ahead()
        conversation.add_user("The date is today.\n\nHi there")
        await respond(conversation)
        assert chat.missing().startswith("Hi there<turn|>\n")
        assert chat.ahead.background
        assert chat.ahead.max_tokens == 0
        assert chat.ahead.static == chat.asked.static > 20
        assert chat.ahead.checkpoints[0] == chat.ahead.static

    play(scene)


def test_after_a_turn_the_history_is_read_as_it_will_be_without_its_thoughts() -> None:
    async def scene() -> None:
        call = f"{THOUGHT}{GEMMA_CALL}<|tool_response>"
        chat = Chat(call, "I know now.\n<channel|>Done.<turn|>", "Fine.<turn|>", thinking=True)
        conversation = await chat.open()
        conversation.add_user("Build it")
        message = await respond(conversation)
        conversation.add_tool_results([ToolResultMessage(message.tool_calls[0].id, "bash", OUTPUT)])
        await respond(conversation)
        conversation.prepare()
        await conversation.read_ahead()
        assert "Let me see" in chat.written(chat.asked), "a thought of the turn that goes on"
        conversation.add_user("And now?")
        await respond(conversation)
        assert "Let me see" not in chat.written(chat.ahead)
        assert chat.missing().startswith("And now?<turn|>\n")
        assert set(chat.ahead.checkpoints) <= set(chat.asked.checkpoints)
        assert max(chat.ahead.checkpoints) == len(chat.ahead.tokens) - 1 - len("user\n"), "before the user's turn"

    play(scene)


@pytest.mark.parametrize("chatml", [False, True])
def test_while_a_tool_works_the_certain_beginning_of_its_result_is_read(chatml: bool) -> None:
    async def scene() -> None:
        call = f"{CHATML_CALL}<|im_end|>" if chatml else f"{GEMMA_CALL}<|tool_response>"
        chat = Chat(call, "Done.<|im_end|>" if chatml else "Done.<turn|>", chatml=chatml)
        conversation = await chat.open()
        conversation.add_user("Build it")
        message = await respond(conversation)
        first = ToolResultMessage(message.tool_calls[0].id, "bash", OUTPUT)
        for length in (14, 28):
            conversation.expect_results([], ToolResultMessage(first.call_id, first.name, OUTPUT[:length]))
            await conversation.read_ahead()
        conversation.add_tool_results([first])
        await respond(conversation)
        assert chat.missing().startswith("\nlinking\n")

    play(scene)


def test_results_that_are_complete_are_read_while_the_next_tool_works() -> None:
    async def scene() -> None:
        chat = Chat(f"{GEMMA_CALL}{GEMMA_CALL.replace('make', 'ls')}<|tool_response>", "Done.<turn|>")
        conversation = await chat.open()
        conversation.add_user("Build it")
        message = await respond(conversation)
        first, second = (ToolResultMessage(call.id, "bash", OUTPUT) for call in message.tool_calls)
        conversation.expect_results([first])
        await conversation.read_ahead()
        conversation.add_tool_results([first, second])
        await respond(conversation)
        assert chat.missing().count("compiling") == 2, "those of the second"

    play(scene)


def test_the_latest_wish_counts_and_nothing_is_read_ahead_once_something_is_asked() -> None:
    async def scene() -> None:
        chat = Chat("Hello.<turn|>")
        conversation = await chat.open()
        for beginning in ("a\n", "a\nb\n", "a\nb\nc\n"):
            conversation.prepare(beginning)
        await conversation.read_ahead()
        assert len(chat.engine.background) == 1
        conversation.prepare("something else")
        conversation.add_user("Hi")
        await respond(conversation)
        await conversation.read_ahead()
        assert len(chat.engine.background) == 1

    play(scene)


def test_reading_ahead_leaves_the_conversation_as_it_was() -> None:
    async def scene() -> None:
        chat = Chat("Hello.<turn|>")
        conversation = await chat.open()
        before = (conversation.mark(), conversation.token_count)
        conversation.prepare()
        conversation.expect_results([])
        assert (conversation.mark(), conversation.token_count) == before

    play(scene)


def test_only_what_no_continuation_changes_is_certain() -> None:
    def pairs(text: str) -> list[int]:
        return [hash(text[i : i + 2]) for i in range(0, len(text), 2)]

    assert certain_ids(pairs, "abcd") == pairs("abcd")
    assert certain_ids(pairs, "abc") == pairs("ab")

"""The local model on real weights: required calls are well formed, and nothing is read twice."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from agent.messages import AssistantMessage, ToolResultMessage, ToolSpec
from agent.model import ResponseFinished, ResponseOptions
from agent.model.local import LocalConversation, LocalModel, LocalSettings
from tests.fakes.vocabulary import QWEN_FILE

READ = ToolSpec(
    "read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
)
FOLDER = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.weights,
    pytest.mark.skipif(not (FOLDER / QWEN_FILE).exists(), reason=f"{QWEN_FILE} is not in {FOLDER}"),
]


async def _respond(conversation: LocalConversation, options: ResponseOptions) -> AssistantMessage:
    events = [event async for event in conversation.respond(options)]
    assert isinstance(events[-1], ResponseFinished)
    return events[-1].message


async def _session() -> tuple[AssistantMessage, AssistantMessage, int]:
    from inference.backend.llama_cpp import LlamaCppBackend
    from inference.in_process import InProcessEngine

    engine = InProcessEngine(lambda _: LlamaCppBackend.load(FOLDER / QWEN_FILE, n_ctx=1024, n_threads=1))
    model = LocalModel(engine, LocalSettings(temperature=0.0))
    await model.start()
    try:
        conversation = model.open("You read files.", [READ])
        conversation.add_user("What is in setup.py?")
        first = await _respond(conversation, ResponseOptions(max_tokens=60, tool_choice="required", tool_name="read"))
        count = conversation.token_count
        conversation.add_tool_results([ToolResultMessage(first.tool_calls[0].id, "read", "print('hello')")])
        second = await _respond(conversation, ResponseOptions(max_tokens=8, tool_choice="none"))
        return first, second, count
    finally:
        await model.close()


def test_a_required_call_is_well_formed_and_the_next_prompt_reuses_all_that_was_read() -> None:
    first, second, count = asyncio.run(_session())
    (call,) = first.tool_calls
    assert (call.name, call.error, list(call.arguments)) == ("read", None, ["path"])
    assert second.tool_calls == ()
    assert second.usage.cached_tokens >= count - 1, "all but the last sampled token, which was never read"

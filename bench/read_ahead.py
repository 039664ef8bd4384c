"""Claim: what is known before it is needed is read while nobody waits, so a message costs its own tokens only.

Sessions with thoughts, tool calls and results, the same with and without reading ahead, turn by turn: on the
constructed Gemma 4 with a window, which thinks, and on Qwen2.5-Coder-0.5B. It judges no answer.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import prompts
from agent.messages import ToolResultMessage, ToolSpec
from agent.model import ResponseOptions
from agent.model.local import LocalConversation, LocalModel, LocalSettings
from bench.claims import report
from bench.prefix_reuse import QWEN, Exchange, Plan, RecordingEngine, finished, source_pieces
from inference.hardware import physical_cores
from inference.in_process import InProcessEngine
from tests.constructed_gemma4 import Shape, target
from tools.registry import tools_for
from tools.schema import json_schema

CALL = ResponseOptions(max_tokens=40, tool_choice="required", tool_name="read")


@dataclass(frozen=True)
class Side:
    """One of the two sessions: with reading ahead, or without."""

    engine: RecordingEngine
    conversation: LocalConversation
    ahead: bool

    async def turn(self, text: str, result: str, thought_tokens: int) -> tuple[Exchange, Exchange]:
        """A message, a call, its result, a thought, a call, its result (half of it while the tool works), an answer.

        The exchanges behind the message and behind the second result.
        """
        self.conversation.add_user(text)
        call = (await finished(self.conversation.respond(CALL))).message.tool_calls[0]
        after_message = self.last()
        self.conversation.add_tool_results([ToolResultMessage(call.id, call.name, result)])
        await finished(self.conversation.respond(ResponseOptions(max_tokens=thought_tokens, tool_choice="none")))
        call = (await finished(self.conversation.respond(CALL))).message.tool_calls[0]
        whole = ToolResultMessage(call.id, call.name, result)
        if self.ahead:
            half = result[: result.rfind("\n", 0, len(result) // 2) + 1]
            self.conversation.expect_results([], ToolResultMessage(call.id, call.name, half))
            await self.conversation.read_ahead()
        self.conversation.add_tool_results([whole])
        await finished(self.conversation.respond(ResponseOptions(max_tokens=24, tool_choice="none")))
        after_result = self.last()
        if self.ahead:
            self.conversation.prepare()
            await self.conversation.read_ahead()
        return after_message, after_result

    def last(self) -> Exchange:
        return next(each for each in reversed(self.engine.exchanges) if not each.request.background)


async def open_side(plan: Plan, *, ahead: bool) -> tuple[LocalModel, Side]:
    engine = RecordingEngine(InProcessEngine(plan.load))
    thinking = "Gemma" in plan.name
    model = LocalModel(engine, LocalSettings(temperature=0.0, small=True, thinking=thinking))
    await model.start()
    tools = [ToolSpec(tool.name, tool.description, json_schema(tool)) for tool in tools_for(small=True)]
    conversation = model.open(prompts.load("system"), tools)
    if ahead:
        conversation.prepare()
        await conversation.read_ahead()
    return model, Side(engine, conversation, ahead)


def prefilled(exchanges: Sequence[Exchange]) -> float:
    return median(each.stats.prefilled_tokens for each in exchanges)


def waited(exchanges: Sequence[Exchange]) -> float:
    return median(each.stats.prefill_ms for each in exchanges)


async def run(plan: Plan, thought_tokens: int) -> bool:
    """Both sessions by turns."""
    model, ahead = await open_side(plan, ahead=True)
    other_model, plain = await open_side(plan, ahead=False)
    found: dict[bool, list[tuple[Exchange, Exchange]]] = {True: [], False: []}
    for number, piece in zip(range(plan.turns), source_pieces(plan.result_characters), strict=False):
        for side in (ahead, plain):
            text = f"Question {number}: what does this part do?"
            found[side.ahead].append(await side.turn(text, piece, thought_tokens))
    message = len(ahead.engine.tokenizer.encode("Question 10: what does this part do?"))
    for model_ in (model, other_model):
        await model_.close()
    label = f"({plan.name}, {plan.turns} turns)"
    holds = True
    for place, name in enumerate(("a message", "a tool result")):
        with_it = [pair[place] for pair in found[True][1:]]
        without = [pair[place] for pair in found[False][1:]]
        report(f"tokens read behind {name}, not ahead {label}", prefilled(without), "tokens")
        bar = f"<= {message + 24}" if place == 0 else None  # the cue, and the end of the user's turn
        holds &= report(f"tokens read behind {name} {label}", prefilled(with_it), "tokens", bar)
        report(f"prefill behind {name}, not ahead {label}", waited(without), "ms")
        holds &= report(
            f"prefill behind {name} / not ahead {label}", waited(with_it) / waited(without), "ratio", "<= 1"
        )
    for side in (ahead, plain):
        read = sum(each.stats.prefilled_tokens for each in side.engine.exchanges)
        report(f"tokens read in all, {'ahead or later' if side.ahead else 'not ahead'} {label}", read, "tokens")
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--only", choices=["gemma", "qwen"])
    given = parser.parse_args()
    holds = True
    if given.only != "qwen":
        constructed = target(Shape(window=512))
        plan = Plan(
            "constructed Gemma 4, window 512, thinking",
            constructed,
            32_768,
            given.turns,
            900,
            given.threads,
        )
        holds &= asyncio.run(run(plan, 300))
    if given.only != "gemma" and QWEN.exists():
        plan = Plan("Qwen2.5-Coder-0.5B", QWEN, 8_192, given.turns, 600, given.threads)
        holds &= asyncio.run(run(plan, 24))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

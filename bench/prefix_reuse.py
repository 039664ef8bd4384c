"""Claim: over a session with tool calls no token is read twice, and a rewind reads only what follows its checkpoint.

Runs real conversations (system prompt, tool declarations, calls, results) on Qwen2.5-Coder-0.5B, where its file is
there, and on a constructed Gemma 4 with a sliding window. It judges no answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import prompts
from agent.messages import ToolResultMessage, ToolSpec
from agent.model import Conversation, ModelEvent, ResponseFinished, ResponseOptions
from agent.model.local import LocalModel, LocalSettings
from bench.claims import report
from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend
from inference.engine import Engine
from inference.hardware import physical_cores
from inference.in_process import InProcessEngine, LoadProgress
from inference.prefix_cache import PrefixCache
from inference.request import EngineEvent, Finished, Request, Stats, TokensDecoded
from inference.sampling import FloatRow
from inference.tokenizer import Tokenizer
from inference.worker import Worker
from tests.constructed_gemma4 import Shape, target
from tools.registry import tools_for
from tools.schema import json_schema

ROOT = Path(__file__).parents[1]
MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
QWEN = MODELS / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
LOGIT_NOISE = 0.03  # between batch shapes of the same tokens on a CPU, unquantised weights
REWOUND = 3  # turns


@dataclass(frozen=True)
class Exchange:
    """One request as the engine saw it."""

    request: Request
    ids: tuple[int, ...]
    stats: Stats


class CountingBackend(LlamaCppBackend):
    """Counts the rows that llama.cpp really computed."""

    rows = 0
    last_row = 0

    def decode(self, batch: Batch) -> None:
        super().decode(batch)
        self.rows += len(batch.tokens)
        self.last_row = len(batch.tokens) - 1


class RecordingEngine:
    """An Engine that passes everything on and writes it down."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.exchanges: list[Exchange] = []

    @property
    def tokenizer(self) -> Tokenizer:
        return self._engine.tokenizer

    @property
    def context_tokens(self) -> int:
        return self._engine.context_tokens

    @property
    def model_name(self) -> str:
        return self._engine.model_name

    @property
    def architecture(self) -> str:
        return self._engine.architecture

    async def start(self) -> None:
        await self._engine.start()

    async def submit(self, request: Request) -> AsyncIterator[EngineEvent]:
        ids: list[int] = []
        async for event in self._engine.submit(request):
            if isinstance(event, TokensDecoded):
                ids += event.ids
            elif isinstance(event, Finished):
                self.exchanges.append(Exchange(request, tuple(ids), event.stats))
            yield event

    def cancel(self, request_id: str) -> None:
        self._engine.cancel(request_id)

    async def close(self) -> None:
        await self._engine.close()


@dataclass(frozen=True)
class Plan:
    """A session on one model: ``result_characters`` is the length of a tool's result."""

    name: str
    path: Path
    n_ctx: int
    turns: int
    result_characters: int
    threads: int

    def load(self, _progress: LoadProgress | None = None) -> CountingBackend:
        backend = CountingBackend.load(self.path, n_ctx=self.n_ctx, n_threads=self.threads)
        assert isinstance(backend, CountingBackend)
        return backend


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def source_pieces(length: int) -> Iterator[str]:
    """Pieces of this project's own source, as a read tool would return them."""
    for path in sorted((ROOT / "inference").rglob("*.py")):
        text = path.read_text()
        yield from (text[start : start + length] for start in range(0, len(text) - length, length))


async def finished(events: AsyncIterator[ModelEvent]) -> ResponseFinished:
    """Read a response to its end."""
    last = [event async for event in events][-1]
    assert isinstance(last, ResponseFinished)
    return last


async def turn(conversation: Conversation, text: str, result: str) -> None:
    """A user message, a call that the grammar enforces, its result, an answer."""
    conversation.add_user(text)
    call = await finished(
        conversation.respond(ResponseOptions(max_tokens=40, tool_choice="required", tool_name="read"))
    )
    calls = call.message.tool_calls
    conversation.add_tool_results([ToolResultMessage(made.id, made.name, result) for made in calls])
    await finished(conversation.respond(ResponseOptions(max_tokens=24, tool_choice="none")))


async def converse(engine: RecordingEngine, plan: Plan) -> None:
    """The session and, at its end, a rewind of three turns with another question."""
    model = LocalModel(engine, LocalSettings(temperature=0.0, small=True))
    await model.start()
    tools = [ToolSpec(tool.name, tool.description, json_schema(tool)) for tool in tools_for(small=True)]
    conversation = model.open(prompts.load("system"), tools)
    marks: list[int] = []
    for number, piece in zip(range(plan.turns), source_pieces(plan.result_characters), strict=False):
        marks.append(conversation.mark())
        await turn(conversation, f"Question {number}: what does this part do?", piece)
    conversation.rewind(marks[-REWOUND])
    conversation.add_user("Something else: which errors can it raise?")
    await finished(conversation.respond(ResponseOptions(max_tokens=8, tool_choice="none")))
    await model.close()


def report_session(plan: Plan, exchanges: Sequence[Exchange], rows: int) -> bool:
    """Print what was read against what was new; whether all bars hold."""
    *session, rewind = exchanges
    resident: tuple[int, ...] = ()
    new = decoded = 0
    for exchange in session:
        new += len(exchange.request.tokens) - common_prefix(exchange.request.tokens, resident)
        decoded += max(0, len(exchange.ids) - 1)  # the last sampled token is read by the next request, if it stays
        resident = (*exchange.request.tokens, *exchange.ids[:-1])
    prefilled = sum(exchange.stats.prefilled_tokens for exchange in session)
    extra = rewind.stats.prefilled_tokens + max(0, len(rewind.ids) - 1)
    diverged = common_prefix(rewind.request.tokens, resident)
    checkpoint = max(position for position in rewind.request.checkpoints if position <= diverged)
    read_again = rewind.stats.prefilled_tokens - (len(rewind.request.tokens) - diverged)
    rewound = f"rewind of {REWOUND} turns, {len(resident) - diverged} tokens ({plan.name})"
    label = f"{plan.name}, {plan.turns} turns"
    report(f"tokens at the end ({label})", len(resident), "tokens")
    return all(
        [
            report(f"prefilled / new tokens ({label})", prefilled / new, "ratio", "== 1"),
            report(
                f"rows computed / tokens that had to be ({label})", (rows - extra) / (new + decoded), "ratio", "== 1"
            ),
            report(f"tokens read again, {rewound}", read_again, "tokens", f"<= {diverged - checkpoint}"),
        ]
    )


def logits_behind(worker: Worker, backend: CountingBackend, request: Request) -> FloatRow:
    """The logits behind the request's prompt, read with whatever the worker has in its cache."""
    list(worker.serve(replace(request, max_tokens=1, grammar=None), lambda: False))
    return backend.logits(backend.last_row).copy()


def report_logits(plan: Plan, long: Request, rewound: Request) -> bool:
    """Compare the logits behind a rewound prompt with those of an engine that never read what was dropped.

    Both read the kept part and the rest in the same pieces: on a CPU the number of rows read at a time alone changes
    logits, with quantised weights by far more than LOGIT_NOISE. By how much is shown.
    """
    plain = replace(rewound, checkpoints=())
    kept = common_prefix(long.tokens, rewound.tokens)
    with closing(plan.load()) as backend:
        if backend.info.n_swa:
            kept = max(position for position in rewound.checkpoints if position <= kept)
        worker = Worker(backend, PrefixCache(backend))
        begin = replace(plain, tokens=plain.tokens[:kept])
        logits_behind(worker, backend, begin)
        logits_behind(worker, backend, long)
        restored = logits_behind(worker, backend, rewound)
        worker.reset()
        logits_behind(worker, backend, begin)
        fresh = logits_behind(worker, backend, plain)
        worker.reset()
        whole = logits_behind(worker, backend, plain)
    report(f"logits of two fresh prefills in different pieces ({plan.name})", distance(whole, fresh), "logits")
    claim = f"logits after a rewind against an engine that never read what was dropped ({plan.name})"
    return report(claim, distance(restored, fresh), "logits", f"<= {LOGIT_NOISE}")


def distance(one: FloatRow, other: FloatRow) -> float:
    return float(np.abs(one - other).max())


async def run(plan: Plan) -> bool:
    """All measurements of one model."""
    loaded: list[CountingBackend] = []

    def load(progress: LoadProgress) -> CountingBackend:
        loaded.append(plan.load(progress))
        return loaded[-1]

    engine = RecordingEngine(InProcessEngine(load))
    await converse(engine, plan)
    holds = report_session(plan, engine.exchanges, loaded[0].rows)
    *_, last, rewind = engine.exchanges
    return report_logits(plan, last.request, rewind.request) and holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--only", choices=["gemma", "qwen"])
    given = parser.parse_args()
    plans: list[Plan] = []
    if given.only != "qwen":
        constructed = target(Shape(window=512))
        plans.append(Plan("constructed Gemma 4, window 512", constructed, 32_768, given.turns, 900, given.threads))
    if given.only != "gemma" and QWEN.exists():
        plans.append(Plan("Qwen2.5-Coder-0.5B", QWEN, 12_288, given.turns, 600, given.threads))
    elif given.only != "gemma":
        print(f"{QWEN} is not there: measured without it", file=sys.stderr)
    results = [asyncio.run(run(plan)) for plan in plans]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

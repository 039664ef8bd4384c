"""Records the tool session of ``workloads.tool_session``: the agent with a real model in a small repository.

Kept so that the recording can be made again (``python -m bench.peers.record_session``); it judges no answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import tempfile
from argparse import Namespace
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from agent.assembly import Wish, open_session
from agent.context import system_prompt
from agent.messages import AssistantMessage, ToolSpec
from agent.model import ModelEvent, ResponseFinished, ResponseOptions
from agent.model.local import LocalModel, LocalSettings
from agent.permissions import Mode
from agent.setup import read_setup
from bench.peers.workloads import DATA
from inference.backend.llama_cpp import LlamaCppBackend
from inference.engine import Engine
from inference.hardware import physical_cores
from inference.in_process import InProcessEngine
from inference.request import EngineEvent, Request, TokensDecoded
from inference.tokenizer import Tokenizer
from tools.registry import tools_for
from tools.schema import json_schema

MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
LEAD_IN = '```json\n{{"name": "{tool}", "arguments": {{"'
"""A model of this size answers without looking when it is free to; so each first step begins like a call of a tool."""
MESSAGES = (
    ("read", "Read inventory.py and tell me in one sentence what it does."),
    ("bash", "Which files are in this folder?"),
    ("grep", "Search for the word `raises`."),
    ("read", "Read access_log.py and tell me in one sentence what it does."),
    ("edit", "In inventory.py, let `sell` raise ValueError when fewer than `count` pieces are left."),
    ("bash", "Run `git diff`."),
    ("read", "Read task_queue.py and tell me what happens when a job fails."),
    ("grep", "Search for `def result` and tell me where it is."),
    ("edit", "In access_log.py, open the log with encoding utf-8."),
    ("bash", "Run `python -m py_compile inventory.py access_log.py task_queue.py`."),
    ("edit", "In inventory.py, change `limit: int = 5` to `limit: int = 10`."),
    ("bash", "Run `git diff --stat` and sum up what we changed."),
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and what was generated behind it, as token ids."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


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
        try:
            async for event in self._engine.submit(request):
                if isinstance(event, TokensDecoded):
                    ids += event.ids
                yield event
        finally:
            self.exchanges.append(Exchange(request.tokens, tuple(ids)))

    def cancel(self, request_id: str) -> None:
        self._engine.cancel(request_id)

    async def close(self) -> None:
        await self._engine.close()


def make_repository(root: Path) -> None:
    """The three files that are rewritten elsewhere, committed."""
    for path in (DATA / "rewrite").glob("*.py.txt"):
        (root / path.name.removesuffix(".txt")).write_text(path.read_text())
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "Three modules"]):
        subprocess.run(["git", *command], cwd=root, check=True)


async def hold(engine: RecordingEngine, root: Path) -> None:
    """The session: in each turn a call, its result, and an answer. Everything that the model asks for is allowed."""
    setup = read_setup(Namespace(model="qwen2.5-coder-1.5b"), cwd=root)
    model = LocalModel(engine, LocalSettings(temperature=0.0, small=True))
    await model.start()
    session = open_session(setup, model, Wish(mode=Mode.YOLO, keep=False, preface=False)).session
    tools = [ToolSpec(tool.name, tool.description, json_schema(tool)) for tool in tools_for(small=True)]
    conversation = model.open(system_prompt(), tools)
    for tool, message in MESSAGES:
        conversation.add_user(message)
        lead_in = LEAD_IN.format(tool=tool)
        called = await finished(conversation.respond(ResponseOptions(200, temperature=0.0, prefix=lead_in)))
        if not called.tool_calls:
            raise SystemExit(f"no call of {tool}: {called.text}")
        conversation.add_tool_results([await session.run_tool(call, lambda _: None) for call in called.tool_calls])
        await finished(conversation.respond(ResponseOptions(120, temperature=0.0, tool_choice="none")))
        print(f"{called.tool_calls}: {conversation.token_count} tokens", flush=True)
    await session.close()


async def finished(events: AsyncIterator[ModelEvent]) -> AssistantMessage:
    """The whole response."""
    last = [event async for event in events][-1]
    assert isinstance(last, ResponseFinished)
    return last.message


def steps(exchanges: list[Exchange]) -> list[dict[str, object]]:
    """What was appended before each answer, and how long the answer was; the session must have been append-only."""
    made: list[dict[str, object]] = []
    known: tuple[int, ...] = ()
    for exchange in exchanges:
        if exchange.prompt[: len(known)] != known:
            raise SystemExit("a prompt does not go on from what was read and generated before it")
        made.append({"appended": exchange.prompt[len(known) :], "answer": len(exchange.answer)})
        known = (*exchange.prompt, *exchange.answer)
    return made


async def record(model: Path, target: Path) -> None:
    engine = RecordingEngine(
        InProcessEngine(lambda _progress: LlamaCppBackend.load(model, n_ctx=16_384, n_threads=physical_cores()))
    )
    with tempfile.TemporaryDirectory() as folder:
        make_repository(Path(folder))
        await hold(engine, Path(folder))
        made = steps(engine.exchanges)
    lines = ",\n  ".join(json.dumps(step, separators=(",", ":")) for step in made)
    stop = json.dumps([151645])  # <|im_end|> in Qwen's vocabulary
    await asyncio.to_thread(
        target.write_text, f'{{"model": "{model.name}", "stop": {stop}, "steps": [\n  {lines}\n]}}\n'
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODELS / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf")
    parser.add_argument("--to", type=Path, default=DATA / "tool-session.json")
    given = parser.parse_args()
    asyncio.run(record(given.model, given.to))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

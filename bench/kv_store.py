"""Claims: a restart loads instead of reading, a rewind after it too, and no damaged file ends a process.

A conversation is read once, the engine is closed, and another process-like engine goes on with it: on the constructed
Gemma 4 with a window, and on Qwen2.5-Coder where its files are there. It judges no answer.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.claims import report
from bench.prefix_reuse import MODELS, ROOT
from inference.backend.llama_cpp import LlamaCppBackend
from inference.hardware import physical_cores
from inference.in_process import EngineOptions, InProcessEngine
from inference.kv_store import StoreOptions
from inference.request import Finished, Request, Stats, TokensDecoded
from tests.constructed_gemma4 import Shape, target

TURNS = 8


@dataclass(frozen=True)
class Plan:
    """A model and a conversation of ``tokens`` tokens on it."""

    name: str
    path: Path
    tokens: int
    text: bool
    rounds: int


@dataclass(frozen=True)
class Answered:
    """One request: seconds to its first token, and what it cost."""

    seconds: float
    stats: Stats


async def ask(engine: InProcessEngine, request: Request) -> Answered:
    began, first = time.perf_counter(), 0.0
    async for event in engine.submit(request):
        if isinstance(event, TokensDecoded) and not first:
            first = time.perf_counter() - began
        if isinstance(event, Finished):
            return Answered(first, event.stats)
    raise AssertionError("the request never finished")


async def life(plan: Plan, folder: Path, *requests: Request) -> list[Answered]:
    """One engine from start to close."""
    engine = InProcessEngine(
        lambda progress: LlamaCppBackend.load(
            plan.path, n_ctx=plan.tokens + 512, n_threads=physical_cores(), progress=progress
        ),
        EngineOptions(store=StoreOptions(folder, plan.name)),
    )
    await engine.start()
    answers = [await ask(engine, request) for request in requests]
    await engine.close()
    return answers


async def conversation(plan: Plan) -> tuple[int, ...]:
    """Ids of this project's own source, or of the constructed vocabulary."""
    if not plan.text:
        return tuple(random.Random(1).choices(range(494, 590), k=plan.tokens))
    engine = InProcessEngine(lambda progress: LlamaCppBackend.load(plan.path, n_ctx=512, progress=progress))
    await engine.start()
    text = "\n".join(path.read_text() for path in sorted((ROOT / "inference").rglob("*.py")))
    ids = engine.tokenizer.encode(text[: 8 * plan.tokens])[: plan.tokens]
    await engine.close()
    return tuple(ids)


def largest(folder: Path) -> int:
    return max(path.stat().st_size for path in folder.rglob("*.kv"))


def request(tokens: tuple[int, ...], static: int, step: int) -> Request:
    return Request("a", tokens, 8, checkpoints=tuple(range(static, len(tokens), step)), static=static)


async def restart(plan: Plan) -> bool:
    tokens = await conversation(plan)
    static, step = len(tokens) // TURNS, len(tokens) // TURNS
    whole, question = request(tokens, static, step), (*tokens, *tokens[:12])
    rewound = (*tokens[: len(tokens) * 5 // 8 + 20], *tokens[:12])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        [cold] = await life(plan, folder, whole)
        again = [(await life(plan, folder, request(question, static, step)))[0] for _ in range(plan.rounds)]
        back = [(await life(plan, folder, request(rewound, static, step)))[0] for _ in range(plan.rounds)]
        [other] = await life(plan, folder, request((*tokens[:static], *tokens[-12:]), static, step))
        size = largest(folder)
    label = f"({plan.name}, {len(tokens)} tokens)"
    seconds = median(each.seconds for each in again)
    report(f"cold prefill {label}", cold.stats.prefill_ms / 1000, "s")
    report(f"first token after a restart {label}", seconds, "s")
    report(f"file {label}", size / len(tokens), "bytes a token")
    holds = [
        report(
            f"first token after a restart / cold prefill {label}",
            1000 * seconds / cold.stats.prefill_ms,
            "ratio",
            "<= 0.05",
        ),
        report(f"tokens read after a restart {label}", again[0].stats.prefilled_tokens, "tokens", f"<= {12 + 8}"),
        report(
            f"tokens read after a restart and a rewind of three eighths {label}",
            back[0].stats.prefilled_tokens,
            "tokens",
            f"<= {step + 32}",
        ),
        report(
            f"tokens read by another conversation with the static prefix {label}",
            other.stats.prefilled_tokens,
            "tokens",
            "<= 12",
        ),
    ]
    report(f"first token after a restart and a rewind {label}", median(each.seconds for each in back), "s")
    return all(holds)


def damaged(files: int) -> bool:
    """Another process tries them all; a native abort would be its end."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.inference.damaged_files", str(files)], capture_output=True, text=True, check=False
    )
    said = [int(number) for number in run.stdout.split()]
    intact = said == [files, files]
    report("exit code of a process that was given damaged KV files", run.returncode, "code", "== 0")
    report(
        f"of {files} damaged KV files: answered as without them",
        said[1] if len(said) > 1 else 0,
        "files",
        f"== {files}",
    )
    if not intact:
        print(run.stderr[-2000:], file=sys.stderr)
    return intact and run.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["gemma", "0.5b", "1.5b", "damaged"])
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--files", type=int, default=500)
    given = parser.parse_args()
    plans = {"gemma": Plan("constructed Gemma 4, window 512", target(Shape(window=512)), given.tokens, False, 3)}
    for size in ("0.5b", "1.5b"):
        path = MODELS / f"qwen2.5-coder-{size}-instruct-q4_k_m.gguf"
        if path.exists():
            plans[size] = Plan(f"Qwen2.5-Coder-{size.upper()}", path, given.tokens, True, 3)
    results = [asyncio.run(restart(plan)) for name, plan in plans.items() if given.only in (None, name)]
    if given.only in (None, "damaged"):
        results.append(damaged(given.files))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Claim: Python takes at most 2 % of a decode step of 20 ms, and cancelling answers within one decode.

Times llama.cpp's own functions from inside the process; everything else in a step is ours: the worker's loop, the
batch, the grammar's bookkeeping, the events, the asyncio reader. It compares with no other program.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from llama_cpp import llama_cpp as lib

from bench.claims import report
from inference.backend import Backend
from inference.backend.llama_cpp import LlamaCppBackend
from inference.hardware import physical_cores
from inference.in_process import InProcessEngine
from inference.request import EngineEvent, Finished, PrefillProgress, Request, SamplingParams, TokensDecoded

MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
QWEN = MODELS / "qwen2.5-coder-{}b-instruct-q4_k_m.gguf"
PROMPT = "Write a Python module that parses INI files, with tests and a command line.\n"
STEP_MS = 20.0
NATIVE = ("llama_decode", "llama_sampler_sample")


@dataclass
class Step:
    """From one llama_decode to the next, in seconds: inside llama.cpp; outside, by the clock and by the processor."""

    inside: float = 0.0
    outside: float = 0.0
    outside_cpu: float = 0.0


class NativeClock:
    """Stands in for llama.cpp's functions and notes the time in and outside of them, step by step."""

    def __init__(self) -> None:
        self.decodes = 0
        self.steps = [Step()]
        self._left = (time.perf_counter(), time.thread_time())
        module = cast("Any", lib)
        for name in NATIVE:
            setattr(module, name, self._timed(name, getattr(module, name)))

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            entered, cpu = time.perf_counter(), time.thread_time()
            self.steps[-1].outside += entered - self._left[0]
            self.steps[-1].outside_cpu += cpu - self._left[1]
            if name == "llama_decode":
                self.decodes += 1
                self.steps.append(Step())
            result = function(*arguments)
            self._left = (time.perf_counter(), time.thread_time())
            self.steps[-1].inside += self._left[0] - entered
            return result

        return call


def request(name: str, prompt: list[int], max_tokens: int) -> Request:
    return Request(name, tuple(prompt), max_tokens, SamplingParams(temperature=0.8, top_k=40))


async def measure_share(engine: InProcessEngine, clock: NativeClock, model: str, tokens: int) -> bool:
    """Time outside llama.cpp for each generated token; medians, because other programs interrupt single steps."""
    first = 0
    async for event in engine.submit(request("share", engine.tokenizer.encode(PROMPT), tokens)):
        if isinstance(event, PrefillProgress):
            first = len(clock.steps) + 1
    steps = clock.steps[first:-1]
    ours = 1000 * statistics.median(step.outside for step in steps)
    report(f"decode step ({model})", 1000 * statistics.median(step.inside + step.outside for step in steps), "ms")
    report(f"Python's time in a decode step ({model})", ours, "ms")
    processor = 1000 * statistics.median(step.outside_cpu for step in steps)
    report(f"Python's processor time in a decode step ({model})", processor, "ms")
    return report(f"Python's share of a decode step of {STEP_MS:.0f} ms ({model})", 100 * ours / STEP_MS, "%", "<= 2")


async def measure_cancel(
    engine: InProcessEngine, clock: NativeClock, name: str, prompt: list[int], when: Callable[[EngineEvent], bool]
) -> bool:
    """Cancel at the first event that ``when`` names, a little into the next decode."""
    cancelled_at = 0.0
    decodes = 0
    async for event in engine.submit(request(name, prompt, 200)):
        if isinstance(event, Finished):
            report(f"answer to cancel ({name})", 1000 * (time.perf_counter() - cancelled_at), "ms")
        elif not cancelled_at and when(event):
            await asyncio.sleep(0.005)
            cancelled_at, decodes = time.perf_counter(), clock.decodes
            engine.cancel(name)
    return report(f"decodes begun after cancel ({name})", clock.decodes - decodes, "decodes", "<= 1")


async def run(path: Path, tokens: int, threads: int) -> bool:
    """All measurements on one model."""
    clock = NativeClock()

    def load(_progress: Callable[[float], None]) -> Backend:
        return LlamaCppBackend.load(path, n_ctx=4096, n_threads=threads)

    engine = InProcessEngine(load)
    await engine.start()
    model = engine.model_name
    share = await measure_share(engine, clock, model, tokens)
    short = engine.tokenizer.encode(PROMPT)
    decode = await measure_cancel(engine, clock, "while decoding", short, lambda e: isinstance(e, TokensDecoded))
    long = engine.tokenizer.encode("\n".join(f"{number} {PROMPT}" for number in range(150)))[:3000]
    prefill = await measure_cancel(engine, clock, "while reading", long, lambda e: isinstance(e, PrefillProgress))
    await engine.close()
    return share and decode and prefill


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path(str(QWEN).format("0.5")))
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--threads", type=int, default=physical_cores())
    given = parser.parse_args()
    path: Path = given.model
    if not path.exists():
        print(f"{path} is not there; pass --model", file=sys.stderr)
        return 2
    return 0 if asyncio.run(run(path, given.tokens, given.threads)) else 1


if __name__ == "__main__":
    sys.exit(main())

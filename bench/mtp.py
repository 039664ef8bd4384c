"""Claim: MTP earns at least 90 % of the speed-up that measured verify and draft costs allow, whatever the acceptance.

On constructed Gemma 4 pairs with the real vocabulary, at acceptance 0.2, 0.6 and 0.99. Costs are llama.cpp's own: a
decode of so many rows, a step of the drafter. What the loop, the draws and the bookkeeping take comes on top and counts
against us. No language is spoken, so nothing is said about real acceptance.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from bench.claims import report
from inference.backend import Batch
from inference.backend.llama_assistant import LlamaCppAssistant
from inference.backend.llama_cpp import LlamaCppBackend
from inference.drafters.mtp import MtpDrafter
from inference.hardware import physical_cores
from inference.planner import AlwaysDraft
from inference.prefix_cache import PrefixCache
from inference.repetition import RepetitionLimits
from inference.request import Finished, Request, Stats
from inference.worker import Worker, WorkerOptions
from tests.constructed_gemma4 import REAL_VOCABULARY, Shape, drafter, target

SHAPES = {
    "tiny pair": Shape(window=512, width=128, layers=4, context_gain=0.05, real_vocabulary=True),
    "larger pair": Shape(window=512, width=256, layers=24, context_gain=0.02, real_vocabulary=True),
}
ENDLESS = WorkerOptions(repetition=RepetitionLimits(min_tokens=1 << 30))
PROMPT = tuple(random.Random(4).choices(range(1000, 200_000), k=64))
LENGTHS = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True)
class Costs:
    """Milliseconds of a decode by its rows, and of one step of the drafter."""

    rows: dict[int, float]
    step: float

    def best_length(self, acceptance: float) -> int:
        """The length of draft with the most expected tokens per millisecond."""

        def rate(k: int) -> float:
            return sum(acceptance**i for i in range(k + 1)) / (self.rows[k + 1] + k * self.step)

        return max(LENGTHS, key=rate)


@dataclass
class Bench:
    """One pair, loaded: a worker that decodes plainly and one that drafts, on the same backend."""

    backend: LlamaCppBackend
    assistant: LlamaCppAssistant

    def run(self, tokens: int, k: int = 0) -> Stats:
        """Generate with drafts of ``k`` tokens, 0: plainly."""
        planner = AlwaysDraft(MtpDrafter(self.assistant), k) if k else None
        self.backend.seq_rm(0, 0, -1)
        worker = Worker(self.backend, PrefixCache(self.backend), planner, ENDLESS)
        *_, end = worker.serve(Request("bench", PROMPT, tokens), lambda: False)
        assert isinstance(end, Finished)
        return end.stats

    def costs(self, answer: int, repeats: int = 9) -> Costs:
        """Medians of llama.cpp's own work in the middle of an answer of so many tokens.

        Each decode follows a draft, and before that one of the same shape, as it does in a run: another shape costs a
        new graph first. Attention takes longer with every token, so what a shorter text costs would promise too much.
        """
        length, backend = len(PROMPT) + answer // 2, self.backend
        backend.seq_rm(0, 0, -1)
        for start in range(0, length, len(PROMPT)):
            piece = PROMPT[: length - start]
            places = range(start, start + len(piece))
            backend.decode(Batch(piece, places, [0] * len(piece), [False] * (len(piece) - 1) + [True]))
        hidden = np.empty(self.assistant.width, np.float32)
        self.assistant.read_row((length - 1) % len(PROMPT), hidden)
        rows: dict[int, list[float]] = {k + 1: [] for k in (0, *LENGTHS)}
        steps: list[float] = []
        for _ in range(repeats):
            for count, measured in rows.items():
                batch = Batch(PROMPT[:count], range(length, length + count), [0] * count, [True] * count)
                backend.decode(batch)
                backend.seq_rm(0, length, -1)
                steps.append(timed(lambda: self.assistant.draft(hidden, PROMPT[-1], length, 0, 8)) / 8)
                measured.append(timed(lambda batch=batch: backend.decode(batch)))
                backend.seq_rm(0, length, -1)
        return Costs({n: statistics.median(ms) for n, ms in rows.items()}, statistics.median(steps))


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


@contextmanager
def loaded(shape: Shape, knows: float, threads: int) -> Generator[Bench]:
    backend = LlamaCppBackend.load(target(shape), n_ctx=4096, n_batch=64, n_threads=threads)
    assistant = LlamaCppAssistant.load(drafter(shape, knows=knows), backend)
    try:
        yield Bench(backend, assistant)
    finally:
        assistant.close()
        backend.close()


def per_token(stats: Stats) -> float:
    return stats.decode_ms / stats.decoded_tokens


def measure(name: str, bench: Bench, acceptance: float, tokens: int, rounds: int) -> bool:
    """Interleave plain and drafted runs and compare the speed-up with what the costs allow.

    Plain decoding is what a plain run takes: a single decode among others costs more, as it finds other caches.
    """
    k = bench.costs(tokens).best_length(acceptance)
    plain, drafted, allowed, accepted = list[float](), list[float](), list[float](), list[float]()
    for _ in range(rounds):
        costs = bench.costs(tokens, 3)
        plain.append(per_token(bench.run(tokens)))
        stats = bench.run(tokens, k)
        drafted.append(per_token(stats))
        accepted.append(stats.accepted_tokens / stats.drafted_tokens)
        steps = stats.drafted_tokens / k
        allowed.append(plain[-1] * stats.decoded_tokens / (steps * (costs.rows[k + 1] + k * costs.step)))
        report(f"round ({name}, {acceptance})", plain[-1] / drafted[-1], "x plain")
    speed_up = statistics.median(p / d for p, d in zip(plain, drafted, strict=True))
    possible = statistics.median(allowed)
    text = f"{name}, acceptance {acceptance}, k = {k}"
    report(f"plain decoding ({text})", 1000 / statistics.median(plain), "tokens/s")
    report(f"decoding with MTP ({text})", 1000 / statistics.median(drafted), "tokens/s")
    report(f"share of drafted tokens accepted ({text})", statistics.median(accepted), "")
    report(f"speed-up that verify and draft costs allow ({text})", possible, "x")
    report(f"speed-up measured ({text})", speed_up, "x")
    return report(f"share of the possible speed-up ({text})", 100 * speed_up / possible, "%", ">= 90")


def report_costs(name: str, costs: Costs) -> None:
    for count, ms in costs.rows.items():
        report(f"decode of {count} rows ({name})", ms, "ms")
    report(f"one step of the drafter ({name})", costs.step, "ms")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", choices=list(SHAPES), action="append")
    parser.add_argument("--acceptance", type=float, action="append")
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=physical_cores())
    given = parser.parse_args(arguments)
    if not REAL_VOCABULARY.exists():
        print(f"the real vocabulary is not at {REAL_VOCABULARY}", file=sys.stderr)
        return 2
    holds = True
    for name in given.pair or SHAPES:
        for acceptance in given.acceptance or (0.99, 0.6, 0.2):
            with loaded(SHAPES[name], acceptance, given.threads) as bench:
                report_costs(name, bench.costs(given.tokens))
                holds &= measure(name, bench, acceptance, given.tokens, given.rounds)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

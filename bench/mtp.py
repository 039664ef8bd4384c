"""Claim: MTP earns at least 90 % of the speed-up that measured verify and draft costs allow, whatever the acceptance.

On constructed Gemma 4 pairs with the real vocabulary, at acceptance 0.2, 0.6 and 0.99. No language is spoken, so
nothing is said about real acceptance.

What the costs allow: an answer with drafts is recorded, every decode of the target and every step of the drafter. The
same calls are then made again, in the same order on the same rows, straight from llama.cpp's interface, and the time
inside them is what verifying and drafting cost. Everything else of a run counts against us: the choice of tokens from
the logits, hidden rows and batches being filled, plans, cuts of the cache, events. Plain decoding is what a plain run
takes. Runs and repetitions go by turns.
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
from functools import partial
from typing import Any

import numpy as np

from bench.claims import report
from inference.backend import Batch
from inference.backend.bindings import extension, lib
from inference.backend.llama_assistant import LlamaCppAssistant
from inference.backend.llama_cpp import LlamaCppBackend
from inference.backend.native import BatchColumns, HiddenRow, returning_address
from inference.drafters.mtp import MtpDrafter
from inference.hardware import physical_cores
from inference.planner import AlwaysDraft
from inference.prefix_cache import PrefixCache
from inference.repetition import RepetitionLimits
from inference.request import Finished, Request, Stats
from inference.sampling import FloatRow
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


@dataclass(frozen=True)
class Step:
    """Drafter steps from one hidden row of the target: what it was asked, and how many ids came."""

    hidden: FloatRow
    token: int
    position: int
    sequence: int
    count: int


@dataclass(frozen=True)
class Cut:
    """Positions dropped from a sequence."""

    sequence: int
    start: int
    end: int


Call = Batch | Step | Cut


class RecordedBackend(LlamaCppBackend):
    """Notes the decodes and cuts of a run."""

    def __init__(self, *loaded: Any) -> None:
        super().__init__(*loaded)
        self.calls: list[Call] | None = None

    def decode(self, batch: Batch) -> None:
        if self.calls is not None:
            self.calls.append(batch)
        super().decode(batch)

    def seq_rm(self, sequence: int, start: int, end: int) -> bool:
        if self.calls is not None:
            self.calls.append(Cut(sequence, start, end))
        return super().seq_rm(sequence, start, end)


class RecordedAssistant:
    """``inference.drafters.mtp.Assistant`` that notes what it is asked, among the calls of the backend."""

    def __init__(self, assistant: LlamaCppAssistant, backend: RecordedBackend) -> None:
        self._assistant = assistant
        self._backend = backend
        self.width = assistant.width
        self.read_row = assistant.read_row
        self.close = assistant.close

    def draft(self, hidden: FloatRow, token: int, position: int, sequence: int, limit: int) -> list[int]:
        ids = self._assistant.draft(hidden, token, position, sequence, limit)
        if self._backend.calls is not None:
            self._backend.calls.append(Step(hidden.copy(), token, position, sequence, len(ids)))
        return ids


@dataclass
class Bench:
    """One pair, loaded: a worker that decodes plainly and one that drafts, on the same backend."""

    backend: RecordedBackend
    assistant: LlamaCppAssistant

    def run(self, tokens: int, k: int = 0) -> Stats:
        """Generate with drafts of ``k`` tokens, 0: plainly."""
        planner = AlwaysDraft(MtpDrafter(RecordedAssistant(self.assistant, self.backend)), k) if k else None
        self.backend.seq_rm(0, 0, -1)
        worker = Worker(self.backend, PrefixCache(self.backend), planner, ENDLESS)
        *_, end = worker.serve(Request("bench", PROMPT, tokens), lambda: False)
        assert isinstance(end, Finished)
        return end.stats

    def record(self, tokens: int, k: int) -> tuple[Call, ...]:
        """The calls of a run with drafts."""
        calls = list[Call]()
        self.backend.calls = calls
        self.run(tokens, k)
        self.backend.calls = None
        return tuple(calls)

    def repeat(self, calls: Sequence[Call]) -> float:
        """Make the calls again; milliseconds inside llama.cpp's decodes of those behind the prompt."""
        target, drafter = self.backend.context, self.assistant.context
        columns = BatchColumns(lib.llama_batch(), self.backend.info.n_batch)
        row = HiddenRow(lib.llama_batch(), self.assistant.width)
        hidden_of = returning_address(extension().llama_get_embeddings_nextn_ith)
        spent, read = 0.0, 0
        self.backend.seq_rm(0, 0, -1)
        for call in calls:
            if isinstance(call, Cut):
                self.backend.seq_rm(call.sequence, call.start, call.end)
            elif isinstance(call, Batch):
                ms = timed(partial(lib.llama_decode, target, columns.fill(call)))
                spent += ms if read >= len(PROMPT) else 0.0
                read += len(call.tokens)
            else:
                row.place(call.position, call.sequence)
                row.fill(call.token, call.hidden.ctypes.data)
                for step in range(call.count):
                    if step:
                        row.fill(call.token, hidden_of(drafter, 0))
                    spent += timed(partial(lib.llama_decode, drafter, row.native))
        return spent

    def costs(self, answer: int, repeats: int = 9) -> Costs:
        """Medians in the middle of an answer of so many tokens, by which the length of drafts is chosen.

        Each decode follows one of the same shape: another shape costs a new graph first.
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
    backend = RecordedBackend.load(target(shape), n_ctx=4096, n_batch=64, n_threads=threads)
    assistant = LlamaCppAssistant.load(drafter(shape, knows=knows), backend)
    try:
        yield Bench(backend, assistant)
    finally:
        assistant.close()
        backend.close()


def per_token(stats: Stats) -> float:
    return stats.decode_ms / stats.decoded_tokens


def measure(name: str, bench: Bench, acceptance: float, tokens: int, rounds: int) -> bool:
    """Plain and drafted runs and repeated calls by turns; compare the speed-up with what the costs allow."""
    k = bench.costs(tokens).best_length(acceptance)
    calls = bench.record(tokens, k)
    plain, drafted, allowed, accepted = list[float](), list[float](), list[float](), list[float]()
    for number in range(rounds):
        # In the middle between two repetitions: a machine that grows slower favours neither.
        costs = [bench.repeat(calls)]
        plain.append(per_token(bench.run(tokens)))
        stats = bench.run(tokens, k)
        costs.append(bench.repeat(calls))
        drafted.append(per_token(stats))
        accepted.append(stats.accepted_tokens / stats.drafted_tokens)
        allowed.append(plain[-1] * stats.decoded_tokens / statistics.mean(costs))
        share = 100 * plain[-1] / drafted[-1] / allowed[-1]
        report(f"round {number + 1}: share of the possible speed-up ({name}, {acceptance})", share, "%")
    speed_up = statistics.median(p / d for p, d in zip(plain, drafted, strict=True))
    share = statistics.median(100 * p / d / a for p, d, a in zip(plain, drafted, allowed, strict=True))
    text = f"{name}, acceptance {acceptance}, k = {k}"
    report(f"plain decoding ({text})", 1000 / statistics.median(plain), "tokens/s")
    report(f"decoding with MTP ({text})", 1000 / statistics.median(drafted), "tokens/s")
    report(f"share of drafted tokens accepted ({text})", statistics.median(accepted), "")
    report(f"speed-up that verify and draft costs allow ({text})", statistics.median(allowed), "x")
    report(f"speed-up measured ({text})", speed_up, "x")
    return report(f"share of the possible speed-up ({text})", share, "%", ">= 90")


def report_costs(name: str, costs: Costs) -> None:
    for count, ms in costs.rows.items():
        report(f"decode of {count} rows ({name})", ms, "ms")
    report(f"one step of the drafter ({name})", costs.step, "ms")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", choices=list(SHAPES), action="append")
    parser.add_argument("--acceptance", type=float, action="append")
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=15)
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

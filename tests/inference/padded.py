"""Workers on constructed models with a drafter of choice, and the plain decoding they are compared with.

Truth is decoding without a drafter, padded to two rows: a CPU computes one row with other kernels than several. What is
left are differences in rounding, by the width of a decode and by the places of its rows in the window's ring.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend
from inference.drafters import Drafter
from inference.drafters.load import load_drafter
from inference.planner import AlwaysDraft
from inference.prefix_cache import PrefixCache
from inference.repetition import RepetitionLimits
from inference.request import Finished, Request, Stats, TokensDecoded
from inference.worker import Worker, WorkerOptions
from tests.constructed_gemma4 import Shape, target
from tests.fakes.drafters import FakeDrafter

TEXT = range(494, 590)  # ids of plain characters in the constructed vocabulary
PROMPT = tuple(random.Random(11).choices(TEXT, k=90))
PAD = 5
"""A token that is nearly always wrong."""
ENDLESS = WorkerOptions(repetition=RepetitionLimits(min_tokens=1 << 30))

ROUNDING = 0.15
"""So much less than the best logit may that of a written token be. Decodes of 2 to 16 rows moved a logit by up to 0.08
(seen on AVX2, with flash attention), so which of two nearly equal tokens is best differs between processors."""

MakeDrafter = Callable[[LlamaCppBackend, Shape], Drafter]


class Padding(FakeDrafter):
    """Drafts one token that is nearly always wrong: every decode has two rows, and nothing else is changed."""

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        return (PAD,)


@dataclass(frozen=True)
class Answer:
    ids: tuple[int, ...]
    stats: Stats


def serve(worker: Worker, request: Request) -> Answer:
    ids: list[int] = []
    for event in worker.serve(request, lambda: False):
        if isinstance(event, TokensDecoded):
            ids += event.ids
        elif isinstance(event, Finished):
            return Answer(tuple(ids), event.stats)
    raise AssertionError("a request ends with Finished")


def check_written_plainly(shape: Shape, request: Request, ids: Sequence[int]) -> None:
    """Each of ``ids`` is what padded plain decoding chooses behind those before it, near-ties apart."""
    tokens, start = (*request.tokens, *ids), len(request.tokens) - 1
    backend = LlamaCppBackend.load(target(shape), n_ctx=4096, n_batch=64, n_threads=1)
    near_ties = 0
    with closing(backend):
        for begin in range(0, start, 64):
            piece = tokens[begin : min(begin + 64, start)]
            backend.decode(Batch(piece, range(begin, begin + len(piece)), [0] * len(piece), [False] * len(piece)))
        for place in range(start, len(tokens) - 1):
            backend.decode(Batch((tokens[place], PAD), (place, place + 1), (0, 0), (True, True)))
            backend.seq_rm(0, place + 1, -1)
            logits = backend.logits(0)
            near_ties += int(logits.argmax()) != tokens[place + 1]
            assert logits.max() - logits[tokens[place + 1]] < ROUNDING, f"token {place - start} is another one"
    assert near_ties <= len(ids) / 500, "too often for chance"


def from_file(choose: Callable[[Shape], Path]) -> MakeDrafter:
    """The drafter in the file that ``choose`` gives for a target's shape."""
    return lambda backend, shape: load_drafter(choose(shape), target(shape), backend, n_threads=1)


def padding(_backend: LlamaCppBackend, _shape: Shape) -> Drafter:
    return Padding()


@contextmanager
def drafting_worker(shape: Shape, make: MakeDrafter = padding, k: int = 1, n_sequences: int = 1) -> Generator[Worker]:
    """A worker on ``target(shape)`` that asks for ``k`` drafted tokens each time; by default padded plain decoding."""
    backend = LlamaCppBackend.load(target(shape), n_ctx=4096, n_batch=64, n_threads=1, n_sequences=n_sequences)
    planner = AlwaysDraft(make(backend, shape), k)
    try:
        yield Worker(backend, PrefixCache(backend), planner, ENDLESS)
    finally:
        planner.close()
        backend.close()

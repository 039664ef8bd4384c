"""Workers on constructed models with a drafter of choice, and the plain decoding they are compared with.

Truth is decoding without a drafter, padded to two rows: a CPU computes one row with other kernels than several.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
ENDLESS = WorkerOptions(repetition=RepetitionLimits(min_tokens=1 << 30))

MakeDrafter = Callable[[LlamaCppBackend, Shape], Drafter]


class Padding(FakeDrafter):
    """Drafts one token that is nearly always wrong: every decode has two rows, and nothing else is changed."""

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        return (5,)


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

"""The sliding-window cache on llama.cpp itself: which cuts are safe, what a checkpoint restores, that the trap exists.

Truth is a fresh prefill of the same tokens; the models are constructed, the architecture and the kernels are real.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend
from inference.errors import DecodeFailed
from inference.sampling import FloatRow
from tests.constructed_gemma4 import Shape, target

NOISE = 3e-2  # how far logits of the same tokens differ between batch shapes on a CPU; a wrong cache is off by units
TEXT = tuple(random.Random(7).choices(range(494, 590), k=700))
SHAPES = {
    "window 32": Shape(window=32),
    "window 64": Shape(window=64),
    "shared KV layers": Shape(layers=6, shared_layers=2, context_gain=0.4),
}


@dataclass(frozen=True)
class Model:
    """A constructed model: ``open`` gives a backend of 64 rows a batch, closed with the test."""

    path: Path
    open: Callable[..., LlamaCppBackend]

    def fresh(self, length: int) -> FloatRow:
        """The logits behind the first ``length`` tokens of TEXT, read from nothing."""
        with closing(LlamaCppBackend.load(self.path, n_ctx=1024, n_batch=64, n_threads=1)) as backend:
            return read(backend, 0, length)


@pytest.fixture(params=SHAPES.values(), ids=list(SHAPES))
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    path = target(request.param)
    opened: list[LlamaCppBackend] = []

    def open_backend(n_sequences: int = 1, swa_full: bool = False, n_batch: int = 64) -> LlamaCppBackend:
        backend = LlamaCppBackend.load(
            path, n_ctx=1024, n_batch=n_batch, n_threads=1, n_sequences=n_sequences, swa_full=swa_full
        )
        opened.append(backend)
        return backend

    yield Model(path, open_backend)
    for backend in opened:
        backend.close()


def read(backend: LlamaCppBackend, start: int, end: int, sequence: int = 0) -> FloatRow:
    """Append TEXT[start:end] in batches and return the logits behind the last token."""
    for first in range(start, end, backend.info.n_batch):
        last = min(first + backend.info.n_batch, end)
        count = last - first
        backend.decode(Batch(TEXT[first:last], range(first, last), [sequence] * count, [False] * (count - 1) + [True]))
    return backend.logits((end - start - 1) % backend.info.n_batch).copy()


@contextmanager
def aborting(backend: LlamaCppBackend) -> Generator[None]:
    """Another thread asks for an abort over and over, as a user who holds Ctrl+C down."""
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.wait(0.001):
            backend.request_abort()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def lowest_safe_cut(backend: LlamaCppBackend, sequence: int = 0) -> int:
    return backend.seq_pos_min(sequence) + backend.info.n_swa - 1


def distance(one: FloatRow, other: FloatRow) -> float:
    return float(np.abs(one - other).max())


def test_a_cut_that_the_window_still_covers_continues_like_a_fresh_prefill(model: Model) -> None:
    backend = model.open()
    read(backend, 0, 600)
    cut = lowest_safe_cut(backend)
    assert backend.seq_rm(0, cut, -1)

    assert distance(read(backend, cut, cut + 40), model.fresh(cut + 40)) < NOISE


def test_a_blind_cut_beyond_the_window_succeeds_and_then_gives_wrong_logits(model: Model) -> None:
    backend = model.open()
    read(backend, 0, 600)
    cut = lowest_safe_cut(backend) - backend.info.n_swa
    assert backend.seq_rm(0, cut, -1)

    assert distance(read(backend, cut, cut + 3), model.fresh(cut + 3)) > 10 * NOISE


def test_a_checkpoint_restores_the_window_after_the_ring_has_moved_on(model: Model) -> None:
    backend = model.open()
    read(backend, 0, 100)
    checkpoint = backend.save_window(0)
    read(backend, 100, 600)
    assert lowest_safe_cut(backend) > 100

    backend.load_window(0, checkpoint)
    backend.seq_rm(0, 100, -1)

    assert backend.seq_pos_max(0) == 99
    assert lowest_safe_cut(backend) <= 100
    assert distance(read(backend, 100, 180), model.fresh(180)) < NOISE


def test_a_checkpoint_taken_elsewhere_does_not_pass_for_the_right_one(model: Model) -> None:
    backend = model.open()
    read(backend, 0, 160)
    checkpoint = backend.save_window(0)
    read(backend, 160, 600)

    backend.load_window(0, checkpoint)
    backend.seq_rm(0, 100, -1)

    assert lowest_safe_cut(backend) > 100 or backend.seq_pos_min(0) == -1


def test_a_cache_that_keeps_every_position_can_be_cut_anywhere_and_needs_no_checkpoint(model: Model) -> None:
    backend = model.open(swa_full=True)
    read(backend, 0, 600)
    assert (backend.info.n_swa, backend.save_window(0), backend.seq_pos_min(0)) == (0, b"", 0)
    backend.seq_rm(0, 120, -1)

    assert distance(read(backend, 120, 160), model.fresh(160)) < NOISE


def test_a_copied_sequence_goes_its_own_way_after_the_ring_has_moved_on(model: Model) -> None:
    backend = model.open(n_sequences=2)
    read(backend, 0, 600)
    backend.seq_cp(0, 1, 0, -1)
    backend.seq_rm(1, 590, -1)

    assert distance(read(backend, 590, 640, sequence=1), model.fresh(640)) < NOISE
    assert distance(read(backend, 600, 620, sequence=0), model.fresh(620)) < NOISE


def test_an_aborted_decode_costs_the_window_nothing(model: Model) -> None:
    backend = model.open(n_batch=256)
    read(backend, 0, 300)
    before = (backend.seq_pos_min(0), backend.seq_pos_max(0))
    with aborting(backend), pytest.raises(DecodeFailed, match="on request"):
        read(backend, 300, 556)

    assert backend.seq_pos_max(0) == before[1]
    assert lowest_safe_cut(backend) <= 300
    assert distance(read(backend, 300, 360), model.fresh(360)) < NOISE


def test_two_sequences_in_one_batch_do_not_see_each_other(model: Model) -> None:
    backend = model.open(n_sequences=2)
    rows: Sequence[int] = TEXT[:30] + TEXT[300:330]
    positions = [*range(30), *range(30)]
    backend.decode(Batch(rows, positions, [0] * 30 + [1] * 30, ([False] * 29 + [True]) * 2))

    assert distance(backend.logits(29), model.fresh(30)) < NOISE

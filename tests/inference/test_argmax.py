"""The largest logit as the kernels found it on the way: the same as by looking, and never another decode's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager

import pytest

from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend
from inference.kernels import open_kernels
from tests.constructed_gemma4 import REAL_VOCABULARY, Shape, target

pytestmark = pytest.mark.skipif(not REAL_VOCABULARY.exists(), reason=f"the real vocabulary is not at {REAL_VOCABULARY}")
LARGE_HEAD = Shape(real_vocabulary=True)  # a smaller one is left to llama.cpp


@contextmanager
def loaded(n_sequences: int = 1) -> Generator[LlamaCppBackend]:
    path = target(LARGE_HEAD)
    with closing(LlamaCppBackend.load(path, n_ctx=256, n_batch=64, n_threads=2, n_sequences=n_sequences)) as backend:
        yield backend


def decode(backend: LlamaCppBackend, tokens: list[int], sequences: list[int] | None = None) -> None:
    rows = len(tokens)
    backend.decode(Batch(tokens, range(rows), sequences or [0] * rows, [True] * rows))


def looked_for(backend: LlamaCppBackend, rows: int) -> list[int]:
    return [int(backend.logits(row).argmax()) for row in range(rows)]


def said(backend: LlamaCppBackend, rows: int) -> list[int]:
    return [backend.argmax(row) for row in range(rows)]


def test_what_the_kernels_found_is_what_is_there() -> None:
    kernels = open_kernels()
    if kernels is None:
        pytest.skip("this processor has none of the instructions")
    with loaded() as backend:
        before = kernels.begin()
        decode(backend, [300, 301, 302, 303, 304])
        mine = [kernels.argmax(before + 1, 5, row, backend.logits(row).ctypes.data) for row in range(5)]
        assert mine == looked_for(backend, 5)
        # Neither another computation, nor another shape, nor a row that is not there.
        assert kernels.argmax(before, 5, 0, backend.logits(0).ctypes.data) is None
        assert kernels.argmax(before + 1, 4, 0, backend.logits(0).ctypes.data) is None
        assert kernels.argmax(before + 1, 5, 5, backend.logits(0).ctypes.data) is None
        # Nor a row that llama.cpp has put elsewhere.
        other = backend.logits(1) + 1
        assert kernels.argmax(before + 1, 5, 1, other.ctypes.data) is None


def test_two_models_in_a_thread_do_not_take_each_other_s() -> None:
    with loaded() as first, loaded() as second:
        decode(first, [300, 301, 302])
        decode(second, [400, 401, 402])
        assert said(first, 3) == looked_for(first, 3)
        assert said(second, 3) == looked_for(second, 3)


def test_a_prompt_with_logits_of_its_last_row_only() -> None:
    with loaded() as backend:
        backend.decode(Batch([300, 301, 302], range(3), [0] * 3, [False, False, True]))
        assert backend.argmax(2) == int(backend.logits(2).argmax())
        with pytest.raises(ValueError, match="row 0"):
            backend.argmax(0)


def test_rows_of_several_sequences() -> None:
    with loaded(n_sequences=3) as backend:
        tokens, sequences = [300, 301, 302, 303, 304], [0, 1, 1, 2, 0]
        backend.decode(Batch(tokens, [0, 0, 1, 0, 1], sequences, [True] * 5))
        assert said(backend, 5) == looked_for(backend, 5)

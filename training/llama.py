"""Logits and hidden rows of a pair of models as llama.cpp computes them, row by row, with everything in float32.

For comparing it with another implementation: the engine keeps KV in 16 bits and would hide small differences. It
draws no tokens and keeps no cache.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from inference.backend import Batch
from inference.backend.bindings import extension, lib, native_log
from inference.backend.llama_cpp import load_native_model
from inference.backend.native import BatchColumns, HiddenRow, returning_address

Row = npt.NDArray[np.float32]


class Pair:
    """A target, and its drafter where there is one; a context manager.

    One row a decode, positions ascending. ``threads`` is for both. Raises ModelLoadError, or RuntimeError where
    llama.cpp gives no context.
    """

    def __init__(self, target: Path, drafter: Path | None = None, *, context: int = 1024, threads: int = 1) -> None:
        self._threads = threads
        self._opened: list[tuple[Any, Any]] = []
        params = self._params(context)
        self._target, model = self._open(target, params)
        self.vocabulary: int = lib.llama_vocab_n_tokens(cast("Any", lib.llama_model_get_vocab(model)))
        self.width: int = lib.llama_model_n_embd(model)
        self._columns = BatchColumns(lib.llama_batch(), 1)
        functions = extension()
        self._logits_of = returning_address(lib.llama_get_logits_ith)
        self._hidden_of = returning_address(functions.llama_get_embeddings_nextn_ith)
        if drafter is not None:
            params.n_batch = params.n_ubatch = params.n_outputs_max = params.n_outputs_max_per_seq = 1
            params.ctx_type, params.ctx_other = lib.LLAMA_CONTEXT_TYPE_MTP, self._target
            self._drafter, _ = self._open(drafter, params)
            functions.llama_set_embeddings_nextn(self._drafter, True, True)
            self._row = HiddenRow(lib.llama_batch(), self.width)
        functions.llama_set_embeddings_nextn(self._target, True, True)

    def read(self, token: int, position: int) -> tuple[Row, Row]:
        """Append a token to what the target has read: its logits (vocabulary,), and its hidden row (width,)."""
        batch = self._columns.fill(Batch((token,), (position,), (0,), (True,)))
        return self._decode(self._target, batch)

    def draft(self, token: int, hidden: Row, position: int) -> tuple[Row, Row]:
        """The drafter's logits and its own hidden row for a token that will stand at ``position``.

        ``hidden`` is the target's row of the token before it, or the drafter's own of the step before. The drafter
        sees what the target has read, and leaves no trace.
        """
        given = np.ascontiguousarray(hidden, np.float32)
        self._row.place(position, 0)
        self._row.fill(token, given.ctypes.data)
        return self._decode(self._drafter, self._row.native)

    def close(self) -> None:
        """Free both, the drafter first."""
        while self._opened:
            context, model = self._opened.pop()
            lib.llama_free(context)
            lib.llama_model_free(model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _params(self, context: int) -> lib.llama_context_params:
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = context, 64, 64, 1
        params.swa_full = False
        params.type_k = params.type_v = lib.GGML_TYPE_F32
        params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.n_threads = params.n_threads_batch = self._threads
        return params

    def _open(self, path: Path, params: lib.llama_context_params) -> tuple[Any, Any]:
        native_log().clear()
        model = load_native_model(path, 0, None)
        context = lib.llama_init_from_model(model, params)
        if not context:
            lib.llama_model_free(model)
            raise RuntimeError(f"no context for {path.name}: {native_log().reason()}")
        self._opened.append((context, model))
        return context, model

    def _decode(self, context: Any, batch: Any) -> tuple[Row, Row]:
        if lib.llama_decode(context, batch):
            raise RuntimeError(f"llama.cpp failed while decoding: {native_log().reason()}")
        return self._copy(self._logits_of(context, 0), self.vocabulary), self._copy(
            self._hidden_of(context, 0), self.width
        )

    def _copy(self, address: int, size: int) -> Row:
        return np.frombuffer(cast("Any", (ctypes.c_float * size).from_address(address)), np.float32).copy()

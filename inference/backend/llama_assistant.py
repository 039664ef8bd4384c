"""Gemma 4's MTP drafter on llama.cpp: a small model without a KV memory of its own, which reads the target's.

It knows no request and decides no length; ``inference.drafters.mtp`` does.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from inference.backend.bindings import extension, lib, native, native_log
from inference.backend.llama_cpp import LlamaCppBackend, load_native_model
from inference.backend.model_file import check_assistant_file
from inference.backend.native import HiddenRow
from inference.errors import EngineClosed, ModelLoadError, NotEnoughMemory
from inference.sampling import FloatRow


class LlamaCppAssistant:
    """``inference.drafters.mtp.Assistant`` beside a LlamaCppBackend; made by ``load``, closed before the backend."""

    def __init__(
        self, target: LlamaCppBackend, model: lib.llama_model_p, context: lib.llama_context_p, functions: Any
    ) -> None:
        self._target = target
        self._model: lib.llama_model_p | None = model
        self._context: lib.llama_context_p | None = context
        self._hidden_of = functions.llama_get_embeddings_nextn_ith
        self._row = HiddenRow(lib.llama_batch(), target.width)
        self._logits_type = ctypes.c_float * target.info.n_vocab
        # Only rows with logits: then the target computes no more than it did without a drafter.
        functions.llama_set_embeddings_nextn(target.context, True, True)
        functions.llama_set_embeddings_nextn(context, True, True)

    @classmethod
    def load(cls, path: Path, target: LlamaCppBackend, n_gpu_layers: int = -1) -> LlamaCppAssistant:
        """Load the drafter ``path`` for ``target``, which forgets whatever it had read.

        Raises ModelLoadError, DrafterMismatch (the drafter of another model) or NotEnoughMemory.
        """
        check_assistant_file(path, target.width, target.info.n_vocab)
        try:
            functions = extension()
        except ImportError as error:
            raise ModelLoadError(
                f"This build of llama.cpp gives drafters no hidden rows ({error}); update llama-cpp-python."
            ) from None
        native_log().clear()
        model = load_native_model(path, n_gpu_layers, None)
        context = target.share_memory(model)
        if context is None:
            lib.llama_model_free(model)
            raise NotEnoughMemory(
                f"The drafter {path.name} does not fit into memory ({native_log().reason()}); leave it out."
            )
        return cls(target, model, context, functions)

    @property
    def width(self) -> int:
        """The length of the target's hidden rows, in floats."""
        return self._target.width

    def read_row(self, row: int, into: FloatRow) -> None:
        """Copy the hidden state of row ``row`` of the target's last decode; ValueError where there is none."""
        hidden = self._hidden_of(self._target.context, row)
        if not hidden:
            raise ValueError(f"row {row} of the last decode has no hidden state")
        ctypes.memmove(into.ctypes.data, hidden, into.nbytes)

    def draft(self, hidden: FloatRow, token: int, position: int, sequence: int, limit: int) -> list[int]:
        """Up to ``limit`` ids behind ``token``, which was drawn from ``hidden`` and will stand at ``position``.

        Fewer come when a decode is aborted or fails. One row a step, all at the same position: the drafter looks at
        what the target has read, and hands its own guesses on in the hidden state only.
        """
        context, row, hidden_of = self._open(), self._row, self._hidden_of
        decode, logits_of = lib.llama_decode, native.llama_get_logits_ith
        row.place(position, sequence)
        row.fill(token, hidden.ctypes.data)
        ids: list[int] = []
        while not decode(context, row.native):
            memory: Any = self._logits_type.from_address(ctypes.addressof(logits_of(context, 0).contents))
            ids.append(int(np.frombuffer(memory, np.float32).argmax()))
            if len(ids) == limit:
                break
            row.fill(ids[-1], hidden_of(context, 0))
        return ids

    def _open(self) -> lib.llama_context_p:
        if self._context is None:
            raise EngineClosed("The drafter was closed; start the engine again.")
        return self._context

    def close(self) -> None:
        """Free the context and the model; calling it again does nothing."""
        if self._context is not None:
            lib.llama_free(self._context)
            self._context = None
        if self._model is not None:
            lib.llama_model_free(self._model)
            self._model = None

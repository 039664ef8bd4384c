"""Gemma 4's MTP drafter on llama.cpp: a small model without a KV memory of its own, which reads the target's.

It knows no request and decides no length; ``inference.drafters.mtp`` does.
"""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path
from typing import Any

from inference.backend.argmax import Argmax
from inference.backend.bindings import extension, lib, native_log
from inference.backend.llama_cpp import LlamaCppBackend, load_native_model
from inference.backend.model_file import check_assistant_file
from inference.backend.native import HiddenRow, RowViews, returning_address
from inference.errors import EngineClosed, ModelLoadError, NotEnoughMemory
from inference.gguf_header import GgufHeader
from inference.gguf_trim import write_without
from inference.sampling import FloatRow

CENTROID_HEAD = ("masked_embd_centroids.weight", "masked_embd_ordering", "masked_embd_ordering.weight")
"""The tensors by which the drafters of E2B and E4B choose among 4,096 tokens: gguf's names of them."""


class LlamaCppAssistant:
    """``inference.drafters.mtp.Assistant`` beside a LlamaCppBackend; made by ``load``, closed before the backend."""

    def __init__(
        self, target: LlamaCppBackend, model: lib.llama_model_p, context: lib.llama_context_p, functions: Any
    ) -> None:
        self._target = target
        self._model: lib.llama_model_p | None = model
        self._context: lib.llama_context_p | None = context
        self._hidden_of = returning_address(functions.llama_get_embeddings_nextn_ith)
        self._logits_of = returning_address(lib.llama_get_logits_ith)
        self._row = HiddenRow(lib.llama_batch(), target.width)
        self._argmax = Argmax(RowViews(target.info.n_vocab))
        # Only rows with logits: then the target computes no more than it did without a drafter.
        functions.llama_set_embeddings_nextn(target.context, True, True)
        functions.llama_set_embeddings_nextn(context, True, True)

    @classmethod
    def load(cls, path: Path, target: LlamaCppBackend, n_gpu_layers: int = -1) -> LlamaCppAssistant:
        """Load the drafter ``path`` for ``target``, which forgets whatever it had read.

        Raises ModelLoadError, DrafterMismatch (the drafter of another model) or NotEnoughMemory.
        """
        header = check_assistant_file(path, target.width, target.info.n_vocab)
        try:
            functions = extension()
        except ImportError as error:
            raise ModelLoadError(
                f"This build of llama.cpp gives drafters no hidden rows ({error}); update llama-cpp-python."
            ) from None
        native_log().clear()
        model = _load_model(path, header, n_gpu_layers)
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

    @property
    def context(self) -> lib.llama_context_p:
        """The native context; raises EngineClosed."""
        if self._context is None:
            raise EngineClosed("The drafter was closed; start the engine again.")
        return self._context

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
        context, row, hidden_of, logits_of, argmax = (
            self.context,
            self._row,
            self._hidden_of,
            self._logits_of,
            self._argmax,
        )
        decode, batch = lib.llama_decode, row.native
        row.place(position, sequence)
        row.fill(token, hidden.ctypes.data)
        ids: list[int] = []
        while len(ids) < limit:
            argmax.begin(1)
            if decode(context, batch):
                break
            ids.append(argmax.of(0, logits_of(context, 0)))
            row.fill(ids[-1], hidden_of(context, 0))
        return ids

    def close(self) -> None:
        """Free the context and the model; calling it again does nothing."""
        if self._context is not None:
            lib.llama_free(self._context)
            self._context = None
        if self._model is not None:
            lib.llama_model_free(self._model)
            self._model = None


def _load_model(path: Path, header: GgufHeader, n_gpu_layers: int) -> lib.llama_model_p:
    """The drafter's weights without its centroid head, which llama.cpp does not use.

    llama-cpp-python 0.3.36 refuses a file that has one (gemma4-assistant.cpp expects these two tensors to have a single
    element; its own converter leaves them out). Then it gets a copy without them, which is gone again when it is read.
    """
    if not any(tensor.name in CENTROID_HEAD for tensor in header.tensors):
        return load_native_model(path, n_gpu_layers, None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            with copy.open("wb") as file:
                write_without(path, header, CENTROID_HEAD, file)
            return load_native_model(copy, n_gpu_layers, None, mapped=False)
    except OSError as error:
        raise ModelLoadError(
            f"The drafter {path} holds a centroid head, and no copy without it could be written to the folder for "
            f"temporary files ({error.strerror or error}); make room there, or use a drafter converted without it."
        ) from None

"""The real Backend, on llama-cpp-python's low-level API.

It knows no request and no cache policy: when a cut is safe stands in ``inference.backend``.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np

from inference.backend import BackendInfo, Batch
from inference.backend.argmax import Argmax
from inference.backend.barriers import open_barriers
from inference.backend.bindings import engine_version, lib, native, native_log, use_kernels
from inference.backend.llama_sampler import LlamaCppSampler
from inference.backend.llama_tokenizer import LlamaCppTokenizer
from inference.backend.model_file import check_kv_memory, check_model_file
from inference.backend.native import AbortFlag, BatchColumns, Bytes, RowViews, pointer, returning_address
from inference.errors import DecodeFailed, EngineClosed, KvFull, ModelLoadError, NotEnoughMemory
from inference.gguf_header import GgufHeader
from inference.hardware import physical_cores
from inference.kernels import KERNELS_VERSION
from inference.memory import LOGIT_ROWS
from inference.request import SamplingParams
from inference.sampling import FloatRow

KV_TYPES = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0, "q4_0": lib.GGML_TYPE_Q4_0}
# Rows times bytes of weights up to which one thread decodes quicker than two that wait for each other at every node of
# the graph: a model of 1 MB with 4 rows does, one of 16 MB with a single row does not (tests/constructed_gemma4).
_LONE_WORK = 8_000_000
_NO_SLOT, _ABORTED, _INVALID_BATCH = 1, 2, -1  # results of llama_decode
_PARTIAL, _WHOLE = lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY, lib.LLAMA_STATE_SEQ_FLAGS_NONE


class LlamaCppBackend:
    """``inference.backend.Backend`` over one llama.cpp model and context; made by ``load``."""

    def __init__(
        self,
        model: lib.llama_model_p,
        context: lib.llama_context_p,
        params: lib.llama_context_params,
        info: BackendInfo,
    ) -> None:
        self._model: lib.llama_model_p | None = model
        self._context: lib.llama_context_p | None = context
        self._params = params
        self._width = lib.llama_model_n_embd(model)
        memory = lib.llama_get_memory(context)
        vocabulary = lib.llama_model_get_vocab(model)
        if not memory or not vocabulary:
            raise ModelLoadError(f"{info.model_name} has no KV memory or no vocabulary; choose a text model.")
        self._memory = memory
        self._info = info
        self._tokenizer = LlamaCppTokenizer(vocabulary)
        self._columns = BatchColumns(lib.llama_batch(), info.n_batch)
        self._views = RowViews(info.n_vocab)
        self._logits_of = returning_address(lib.llama_get_logits_ith)
        self._decode = lib.llama_decode
        self._abort = AbortFlag()
        self._barriers = open_barriers()
        self._argmax = Argmax(self._views)
        self._n_threads: int = lib.llama_n_threads(context)
        self._threads_now = self._n_threads
        lib.llama_set_abort_callback(context, self._abort.callback, self._abort.data)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        n_ctx: int,
        n_batch: int = 512,
        n_sequences: int = 1,
        unified: bool = False,
        n_threads: int | None = None,
        n_gpu_layers: int = -1,
        swa_full: bool = False,
        kv_type: str = "f16",
        flash_attention: bool = True,
        kernels: bool = True,
        progress: Callable[[float], None] | None = None,
    ) -> Self:
        """Load the GGUF file ``path`` with room for ``n_ctx`` tokens in each of ``n_sequences`` sequences.

        With ``unified`` that is their room together, and copies of a sequence share it.
        ``n_batch`` rows are computed at once. ``n_threads`` defaults to the physical cores. ``n_gpu_layers`` -1 means
        all layers, where the build can. ``kv_type`` is a key of ``KV_TYPES``. ``swa_full`` keeps all positions of
        sliding-window layers: then no cut needs a checkpoint, at several times the memory. ``kernels`` lets
        ``inference.kernels`` compute products where they can; without, the model must be loaded before any with.
        ``progress`` gets the loaded fraction. Raises ModelLoadError or NotEnoughMemory.
        """
        header = check_model_file(path)
        on_cpu = not n_gpu_layers or not lib.llama_supports_gpu_offload()
        if on_cpu:  # a GPU refuses by itself
            cells = n_ctx if unified else n_ctx * n_sequences
            check_kv_memory(path, header, cells, kv_type, swa_full=swa_full)
        native_log().clear()
        kernels = kernels and on_cpu and use_kernels()
        # llama.cpp's own kernels want some weights in another order, which ours do not read. It keeps that order for
        # the experts of a mixture, which it computes itself.
        model = load_native_model(path, n_gpu_layers, progress, reordered=not kernels or header.n_experts > 0)
        params = _context_params(n_ctx=n_ctx, n_batch=n_batch, n_sequences=n_sequences, n_threads=n_threads)
        if unified:
            params.n_ctx, params.kv_unified = n_ctx, True
        params.swa_full = swa_full
        params.type_k = params.type_v = KV_TYPES[kv_type]
        if not flash_attention:
            params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        elif kernels:  # "auto" would turn it off: another device than the layer's computes it
            params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_ENABLED
        else:  # on wherever the device has it
            params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_AUTO
        native_log().clear()
        context = lib.llama_init_from_model(model, params)
        if not context:
            lib.llama_model_free(model)
            raise NotEnoughMemory(
                f"A context of {n_ctx:,} tokens for {path.name} does not fit into memory ({native_log().reason()}); "
                "choose a smaller context or a smaller model."
            )
        layout = f"{engine_version()}, kv {kv_type}, flash attention {'auto' if flash_attention else 'off'}"
        if kernels:
            layout += f", kernels {KERNELS_VERSION}"
        return cls(model, context, params, _info(path, header, (model, context), params, layout))

    @property
    def info(self) -> BackendInfo:
        """Facts of the loaded model; ``n_swa`` is 0 also when the cache keeps every position (``swa_full``)."""
        return self._info

    @property
    def tokenizer(self) -> LlamaCppTokenizer:
        """The model's vocabulary."""
        return self._tokenizer

    @property
    def context(self) -> lib.llama_context_p:
        """The native context, for drafters and samplers; raises EngineClosed."""
        if self._context is None:
            raise EngineClosed("The model was closed; start the engine again.")
        return self._context

    @property
    def width(self) -> int:
        """The length of a hidden row, in floats."""
        return self._width

    def share_memory(self, model: lib.llama_model_p) -> lib.llama_context_p | None:
        """A context for a drafter's ``model`` that reads this one's KV memory, one row a decode; None when it fails.

        Whatever the memory holds is lost, so this comes before anything is decoded. The caller frees it before this
        backend is closed. ``request_abort`` stops its decodes too.
        """
        params = lib.llama_context_params.from_buffer_copy(self._params)
        # llama.cpp reserves a row of output for each sequence.
        params.n_batch = params.n_ubatch = params.n_outputs_max = self._info.n_sequences
        params.n_outputs_max_per_seq = 1
        params.ctx_type = lib.LLAMA_CONTEXT_TYPE_MTP
        params.ctx_other = self.context
        params.n_threads = self._threads_for(lib.llama_model_size(model))
        context = lib.llama_init_from_model(model, params)
        if not context:
            return None
        lib.llama_set_abort_callback(context, self._abort.callback, self._abort.data)
        return context

    def decode(self, batch: Batch) -> None:
        """Append the rows to the KV memory; raises DecodeFailed, the memory unchanged.

        All rows are one micro-batch (n_ubatch = n_batch), so even a decode that is aborted half-way has overwritten
        nothing that the window before it needs. ValueError for no rows, more than ``n_batch``, or logits for more than
        ``LOGIT_ROWS``: llama.cpp would abort the process.
        """
        if not 0 < len(batch.tokens) <= self._info.n_batch:
            raise ValueError(f"a batch has 1 to {self._info.n_batch} rows, not {len(batch.tokens)}")
        if sum(batch.logits) > LOGIT_ROWS:
            raise ValueError(f"at most {LOGIT_ROWS} rows of a batch can have logits")
        self._abort.clear()
        # llama.cpp may put rows of several sequences in another order.
        in_order = all(batch.logits) and len(set(batch.sequences)) == 1
        self._argmax.begin(len(batch.tokens) if in_order else 0)
        if self._barriers:
            self._barriers.enter(time.perf_counter())
        threads = self._threads_for(len(batch.tokens) * self._info.model_bytes)
        if threads != self._threads_now:
            lib.llama_set_n_threads(self.context, threads, threads)
            self._threads_now = threads
        result = self._decode(self.context, self._columns.fill(batch))
        if self._barriers:
            self._barriers.leave(threads, time.perf_counter())
        if result != 0:
            self._undo(batch, result)

    def _threads_for(self, work: int) -> int:
        """How many threads a decode is worth; ``work`` is its rows times the bytes of the model."""
        return 1 if work <= _LONE_WORK else self._n_threads

    def _undo(self, batch: Batch, result: int) -> None:
        """Cut what a failed decode may have left, and raise."""
        if result == _NO_SLOT:
            raise KvFull(f"The KV memory of {self._info.n_ctx:,} tokens is full; compact the conversation.")
        if result == _INVALID_BATCH:
            raise DecodeFailed(f"llama.cpp refused the batch ({native_log().reason()}).")
        starts: dict[int, int] = {}
        for sequence, position in zip(batch.sequences, batch.positions, strict=True):
            starts[sequence] = min(position, starts.get(sequence, position))
        for sequence, position in starts.items():
            self.seq_rm(sequence, position, -1)
        if result == _ABORTED:
            raise DecodeFailed("The decode was stopped on request.")
        raise DecodeFailed(f"llama.cpp failed while decoding ({native_log().reason()}).")

    def abort_with(self, other: LlamaCppBackend) -> None:
        """From now on ``other.request_abort`` stops this backend's decodes too."""
        self._abort = other._abort
        lib.llama_set_abort_callback(self.context, self._abort.callback, self._abort.data)

    def request_abort(self) -> None:
        """From any thread: the decode in progress fails at its next graph node (CPU; a GPU finishes its graph)."""
        self._abort.set()

    def seq_rm(self, sequence: int, start: int, end: int) -> bool:
        """Drop positions [start, end) of a sequence; end -1 means to the end."""
        return bool(lib.llama_memory_seq_rm(self._memory, sequence, start, end))

    def seq_cp(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` share positions [start, end) of ``source``."""
        lib.llama_memory_seq_cp(self._memory, source, target, start, end)

    def seq_pos_min(self, sequence: int) -> int:
        """Lowest position that every layer still holds; -1 when the sequence is empty."""
        return lib.llama_memory_seq_pos_min(self._memory, sequence)

    def seq_pos_max(self, sequence: int) -> int:
        """Highest position held; -1 when the sequence is empty."""
        return lib.llama_memory_seq_pos_max(self._memory, sequence)

    def save_window(self, sequence: int) -> bytes:
        """The sliding-window state of a sequence; empty where there is no window."""
        return self._save(sequence, _PARTIAL).tobytes() if self._info.n_swa else b""

    def load_window(self, sequence: int, data: bytes) -> None:
        """Restore what ``save_window`` gave; raises DecodeFailed when llama.cpp refuses it."""
        if not data:
            return
        self._restore(sequence, np.frombuffer(data, np.uint8), _PARTIAL)

    def save_sequence(self, sequence: int) -> Bytes:
        """Everything that the memory holds of a sequence."""
        return self._save(sequence, _WHOLE)

    def load_sequence(self, sequence: int, data: Bytes) -> None:
        """Make the sequence what ``save_sequence`` gave; raises DecodeFailed."""
        self._restore(sequence, data, _WHOLE)

    def _save(self, sequence: int, flags: int) -> Bytes:
        size: int = native.llama_state_seq_get_size_ext(self.context, sequence, flags)
        data = np.empty(size, np.uint8)
        target = pointer(data, ctypes.c_uint8)
        written: int = native.llama_state_seq_get_data_ext(self.context, target, size, sequence, flags)
        return data[:written]

    def _restore(self, sequence: int, data: Bytes, flags: int) -> None:
        native_log().clear()
        source = pointer(data, ctypes.c_uint8)
        read: int = native.llama_state_seq_set_data_ext(self.context, source, data.size, sequence, flags)
        if read != data.size:
            raise DecodeFailed(f"A saved state could not be restored ({native_log().reason()}).")

    def logits(self, row: int) -> FloatRow:
        """A view of one row's logits, valid until the next decode; ValueError where none were asked for."""
        return self._views.at(self._address(row))

    def argmax(self, row: int) -> int:
        """The id with the highest logit of a row, the first of equals; ValueError where no logits were asked for."""
        return self._argmax.of(row, self._address(row))

    def _address(self, row: int) -> int:
        address: int | None = self._logits_of(self.context, row)
        if address is None:
            raise ValueError(f"row {row} of the last decode has no logits")
        return address

    def sampler(self, params: SamplingParams) -> LlamaCppSampler:
        """A new sampler; the caller closes it."""
        return LlamaCppSampler(self, params)

    def close(self) -> None:
        """Free the context and the model; calling it again does nothing."""
        self._tokenizer.close()
        if self._context is not None:
            lib.llama_free(self._context)
            self._context = None
        if self._model is not None:
            lib.llama_model_free(self._model)
            self._model = None


def load_native_model(
    path: Path,
    n_gpu_layers: int,
    progress: Callable[[float], None] | None,
    *,
    mapped: bool = True,
    reordered: bool = True,
) -> lib.llama_model_p:
    """The weights of ``path`` as a native model, which the caller frees; raises ModelLoadError.

    ``mapped`` weights are read from the file when they are used, others at once: then the file may go. ``reordered``
    lets llama.cpp keep a copy of some in the order that its own kernels for several rows read fastest.
    """
    params = lib.llama_model_default_params()
    params.use_extra_bufts = reordered
    if not mapped:
        params.load_mode = lib.LLAMA_LOAD_MODE_NONE
    params.n_gpu_layers = n_gpu_layers if lib.llama_supports_gpu_offload() else 0

    def report(fraction: float, _data: object) -> bool:
        if progress is not None:
            progress(fraction)
        return True

    callback = lib.llama_progress_callback(report)  # kept until loading is over
    params.progress_callback = callback
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise ModelLoadError(f"llama.cpp cannot load {path} ({native_log().reason()}); choose another model.")
    return model


def _context_params(*, n_ctx: int, n_batch: int, n_sequences: int, n_threads: int | None) -> lib.llama_context_params:
    params = lib.llama_context_default_params()
    params.n_ctx = n_ctx * n_sequences
    params.n_batch = params.n_ubatch = n_batch
    params.n_seq_max = n_sequences
    params.n_outputs_max = params.n_outputs_max_per_seq = min(LOGIT_ROWS, n_batch)
    params.kv_unified = n_sequences == 1
    params.n_threads = params.n_threads_batch = n_threads or physical_cores()
    return params


def _info(
    path: Path,
    header: GgufHeader,
    opened: tuple[lib.llama_model_p, lib.llama_context_p],
    params: lib.llama_context_params,
    layout: str,
) -> BackendInfo:
    model, context = opened
    streams = 1 if params.kv_unified else params.n_seq_max
    window = "every position" if params.swa_full else f"window {lib.llama_model_n_swa(model)}"
    vocabulary = lib.llama_model_get_vocab(model)
    return BackendInfo(
        model_name=header.name or path.name,
        architecture=header.architecture,
        n_ctx=lib.llama_n_ctx_seq(context),
        n_batch=lib.llama_n_batch(context),
        n_vocab=lib.llama_vocab_n_tokens(vocabulary) if vocabulary else 0,
        n_swa=0 if params.swa_full else lib.llama_model_n_swa(model),
        n_sequences=params.n_seq_max,
        model_bytes=lib.llama_model_size(model),
        n_logit_rows=min(LOGIT_ROWS, lib.llama_n_batch(context)),
        layout=f"{layout}, {window}, streams {streams}",
        unified=params.kv_unified,
    )

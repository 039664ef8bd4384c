"""``inference.backend.Sampler`` in numpy and llama.cpp's sampler chain.

It decodes nothing and knows no grammar: which tokens are allowed comes as a bit mask.
"""

from __future__ import annotations

import ctypes
from typing import Protocol

import numpy as np

from inference.backend.bindings import lib, native
from inference.backend.native import pointer
from inference.errors import EngineClosed
from inference.request import SamplingParams
from inference.sampling import FloatRow, Mask, allowed_ids, greedy

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


class LogitRows(Protocol):
    """Where logits are read: a backend."""

    @property
    def context(self) -> lib.llama_context_p:
        """The native context."""
        ...

    def logits(self, row: int) -> FloatRow:
        """The logits of one row of the last decode; ValueError where there are none."""
        ...

    def argmax(self, row: int) -> int:
        """The id with the highest logit of a row, the first of equals; ValueError where there are none."""
        ...


class LlamaCppSampler:
    """``inference.backend.Sampler``: greedy in numpy, everything else in llama.cpp's sampler chain."""

    def __init__(self, rows: LogitRows, params: SamplingParams) -> None:
        self._rows = rows
        self._greedy = params.temperature <= 0
        self._chain = None if self._greedy else _chain(params)

    def sample(self, row: int, mask: Mask | None = None) -> int:
        """Draw from row ``row`` of the last decode, among the ids that ``mask`` allows (ValueError: none)."""
        if self._greedy and mask is None:
            return self._rows.argmax(row)
        logits = self._rows.logits(row)  # also a guard: the native sampler aborts the process on a bad row
        if self._greedy:
            return greedy(logits, mask)
        if self._chain is None:
            raise EngineClosed("The sampler was closed.")
        if mask is None:
            return lib.llama_sampler_sample(self._chain, self._rows.context, row)
        ids = allowed_ids(mask, logits.size)
        if not ids.size:
            raise ValueError("the mask allows no token")
        candidates = np.zeros(ids.size, _CANDIDATE)
        candidates["id"], candidates["logit"] = ids, logits[ids]
        data = pointer(candidates, lib.llama_token_data)
        array = native.llama_token_data_array(data, ids.size, -1, False)
        native.llama_sampler_apply(self._chain, ctypes.byref(array))
        chosen = int(array.data[array.selected].id)
        lib.llama_sampler_accept(self._chain, chosen)
        return chosen

    def close(self) -> None:
        """Free native memory."""
        if self._chain is not None:
            lib.llama_sampler_free(self._chain)
            self._chain = None


def _chain(params: SamplingParams) -> lib.llama_sampler_p:
    """top-k, top-p, min-p, temperature, draw: in this order (top-p sorts whatever top-k leaves)."""
    chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    if params.top_k > 0:
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_k(params.top_k))
    if params.top_p < 1:
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_p(params.top_p, 1))
    if params.min_p > 0:
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_min_p(params.min_p, 1))
    lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_temp(params.temperature))
    lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_dist(params.seed & 0x7FFFFFFF))
    return chain

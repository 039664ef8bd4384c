"""The Backend protocol: what the worker needs from llama.cpp, and nothing more.

``inference.backend.llama_cpp`` is the real one, over ``bindings``, the only importer of llama_cpp; tests have a
LedgerBackend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from inference.request import SamplingParams
from inference.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """Facts of a loaded model and its context; sizes are tokens unless said otherwise.

    ``n_swa`` is the sliding window (0: every layer sees everything). ``n_ctx`` is what one sequence may hold.
    ``n_logit_rows`` is how many rows of one batch may ask for logits.
    With ``unified`` all sequences share ``n_ctx`` cells, and a copy takes none until it goes its own way.
    ``layout`` names all that a saved sequence depends on besides model and tokens: the engine's version, the types of K
    and V, and what else shapes its bytes.
    """

    model_name: str
    architecture: str
    n_ctx: int
    n_batch: int
    n_vocab: int
    n_swa: int
    n_sequences: int
    model_bytes: int
    n_logit_rows: int
    layout: str = ""
    unified: bool = False


class Batch(NamedTuple):
    """Rows for one decode, as parallel columns; ``logits[i]`` asks for the logits of row i. At most ``n_batch``
    rows."""

    tokens: Sequence[int]
    positions: Sequence[int]
    sequences: Sequence[int]
    logits: Sequence[bool]


class Sampler(Protocol):
    """Draws tokens from logits with fixed SamplingParams; stateful through its random generator only."""

    def sample(self, row: int, mask: npt.NDArray[np.uint32] | None = None) -> int:
        """Draw from row ``row`` of the last decode (an index into the batch that asked for logits).

        ``mask`` has one bit a token id (bit i%32 of word i//32), 1 = allowed; without it every token is.
        """
        ...

    def close(self) -> None:
        """Free native memory."""
        ...


class Backend(Protocol):
    """One model with one KV memory; not thread-safe: the worker's thread owns it.

    Contract of the memory, as llama.cpp has it: positions of a sequence are contiguous; ``decode`` appends at the next
    position. ``seq_rm`` beyond what the sliding window still holds *succeeds and then decodes wrong logits*:
    callers must
    check ``seq_pos_min`` first (rule 1 of the engine notes). A checkpoint holds the sliding-window state of one
    sequence
    and is valid for the position it was taken at only: restore it, then ``seq_rm(seq, n, -1)``, then replay.
    """

    @property
    def info(self) -> BackendInfo:
        """Facts of the loaded model."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's vocabulary."""
        ...

    def decode(self, batch: Batch) -> None:
        """Append the rows to the KV memory and compute the asked logits.

        Raises DecodeFailed, the memory unchanged; KvFull where it has no room.
        """
        ...

    def request_abort(self) -> None:
        """Called from any thread: make the decode in progress fail soon; the next decode clears the request."""
        ...

    def seq_rm(self, sequence: int, start: int, end: int) -> bool:
        """Drop positions [start, end) of a sequence; end -1 means to the end."""
        ...

    def seq_cp(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` share positions [start, end) of ``source``."""
        ...

    def seq_pos_min(self, sequence: int) -> int:
        """Lowest position that the *sliding-window* part still holds; -1 when the sequence is empty."""
        ...

    def seq_pos_max(self, sequence: int) -> int:
        """Highest position held; -1 when the sequence is empty."""
        ...

    def save_window(self, sequence: int) -> bytes:
        """The sliding-window state of a sequence (a checkpoint's payload); empty where there is no window."""
        ...

    def load_window(self, sequence: int, data: bytes) -> None:
        """Restore what ``save_window`` gave; raises DecodeFailed when llama.cpp refuses it."""
        ...

    def save_sequence(self, sequence: int) -> npt.NDArray[np.uint8]:
        """Everything that the memory holds of a sequence, for any process with the same model and ``info.layout``."""
        ...

    def load_sequence(self, sequence: int, data: npt.NDArray[np.uint8]) -> None:
        """Make the sequence what ``save_sequence`` gave; raises DecodeFailed, the sequence then in any state.

        ``data`` must be known to be whole: many damaged states abort the process. The window then reaches back exactly
        as far as the next token needs it.
        """
        ...

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        """A view of the logits of one row of the last decode, shape (n_vocab,); valid until the next decode."""
        ...

    def sampler(self, params: SamplingParams) -> Sampler:
        """A new sampler; the caller closes it."""
        ...

    def close(self) -> None:
        """Free the context and the model; the drafter first, where there is one."""
        ...

"""A Backend that writes a given text and takes, on a clock of its own, as long as a table of costs says.

It has no memory worth the name: what it would have read is not checked. LedgerBackend checks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inference.backend import BackendInfo, Batch
from inference.request import SamplingParams
from inference.step_costs import WIDTHS
from tests.fakes.byte_tokenizer import ByteTokenizer

_TWO_CORES = (42.0, 68.0, 96.0, 120.0, 168.0, 267.0, 324.0, 336.0, 497.0, 563.0, 765.0, 884.0)
QWEN_TWO_CORES = dict(zip(WIDTHS, _TWO_CORES, strict=True))
"""Milliseconds by rows: a shape like that of a 1.5B model on two cores, rounded; not a measurement to be quoted."""

_ON_CUDA = (10.0, 10.3, 10.5, 10.8, 11.4, 12.0, 26.0, 27.0, 28.0, 30.0, 34.0, 38.0)
GPU = dict(zip(WIDTHS, _ON_CUDA, strict=True))
"""The shape of a dense model on CUDA: nearly free up to 8 rows, then a cliff."""


class TimedBackend:
    """Position i of the text is ``script[i]``; ``seconds`` is the time so far, for use as a clock."""

    def __init__(self, script: Sequence[int], costs: Mapping[int, float], n_vocab: int = 1000) -> None:
        self.script = list(script)
        self.costs = dict(costs)
        self.n_vocab = n_vocab
        self.seconds = 0.0
        self.rows: list[int] = []
        self._positions: list[int] = []

    @property
    def info(self) -> BackendInfo:
        return BackendInfo("timed", "timed", 1 << 16, 512, self.n_vocab, 0, 1, 0, 64)

    @property
    def tokenizer(self) -> ByteTokenizer:
        return ByteTokenizer()

    def clock(self) -> float:
        return self.seconds

    def cost(self, rows: int) -> float:
        """Milliseconds, on straight lines between the table's entries."""
        known = sorted(self.costs)
        place = min(max(bisect_left(known, rows), 1), len(known) - 1)
        low, high = known[place - 1], known[place]
        slope = (self.costs[high] - self.costs[low]) / (high - low)
        return self.costs[low] + slope * (rows - low)

    def decode(self, batch: Batch) -> None:
        self._positions = list(batch.positions)
        self.seconds += self.cost(len(batch.tokens)) / 1000
        self.rows.append(len(batch.tokens))

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        logits = np.zeros(self.n_vocab, np.float32)
        logits[self.next_token(row)] = 1.0
        return logits

    def next_token(self, row: int) -> int:
        following = self._positions[row] + 1
        return self.script[following] if following < len(self.script) else 0

    def sampler(self, params: SamplingParams) -> TimedSampler:
        return TimedSampler(self)

    def request_abort(self) -> None: ...

    def seq_rm(self, sequence: int, start: int, end: int) -> bool:
        return True

    def seq_cp(self, source: int, target: int, start: int, end: int) -> None: ...

    def seq_pos_min(self, sequence: int) -> int:
        return 0

    def seq_pos_max(self, sequence: int) -> int:
        return 0

    def save_window(self, sequence: int) -> bytes:
        return b""

    def load_window(self, sequence: int, data: bytes) -> None: ...

    def save_sequence(self, sequence: int) -> npt.NDArray[np.uint8]:
        return np.zeros(0, np.uint8)

    def load_sequence(self, sequence: int, data: npt.NDArray[np.uint8]) -> None: ...

    def close(self) -> None: ...


class TimedSampler:
    def __init__(self, backend: TimedBackend) -> None:
        self._backend = backend

    def sample(self, row: int, mask: npt.NDArray[np.uint32] | None = None) -> int:
        return self._backend.next_token(row)

    def close(self) -> None: ...

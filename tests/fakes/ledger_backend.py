"""A Backend without a model: its next token is a checksum of every (position, token) that the KV memory holds.

One misplaced, missing or left-over token changes everything that is generated after it. The memory behaves as
llama.cpp's: windowed layers forget, and a cut behind what they forgot succeeds and then gives wrong logits.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from inference.backend import BackendInfo, Batch
from inference.errors import DecodeFailed, KvFull
from inference.request import SamplingParams
from tests.fakes.byte_tokenizer import ByteTokenizer

_MASK = (1 << 61) - 1
_FACTOR = 0x9E3779B97F4A7C15


def _mix(state: int, value: int) -> int:
    return ((state ^ (value + 0x7F4A7C15)) * _FACTOR ^ (state >> 29)) & _MASK


@dataclass(slots=True)
class _Memory:
    """One sequence: ``digests[i]`` sums up full attention over positions < i; ``window`` maps position to value.

    ``cells`` and ``window_cells`` name where the rows lie: with one memory for all, copies share them.
    """

    tokens: list[int] = field(default_factory=list[int])
    cells: list[int] = field(default_factory=list[int])
    window_cells: dict[int, int] = field(default_factory=dict[int, int])
    digests: list[int] = field(default_factory=lambda: [1])
    window: dict[int, int] = field(default_factory=dict[int, int])

    def copy(self) -> _Memory:
        return _Memory(
            list(self.tokens), list(self.cells), dict(self.window_cells), list(self.digests), dict(self.window)
        )


@dataclass(frozen=True, slots=True)
class LedgerShape:
    """Sizes in tokens. The window ring has ``n_swa + n_ubatch + slack`` cells a sequence, as llama.cpp's.

    With ``unified`` all sequences share ``n_ctx`` cells and one ring (``n_ubatch`` is then ``n_batch``). With
    ``torn_aborts`` an aborted decode leaves half of its rows in the memory.
    """

    n_ctx: int = 200
    n_batch: int = 16
    n_ubatch: int = 16
    n_swa: int = 0
    n_sequences: int = 1
    slack: int = 2
    n_vocab: int = 1000
    torn_aborts: bool = False
    unified: bool = False


class LedgerBackend:
    """See the module. ``rows_decoded`` counts all rows; ``abort_decode`` names a decode (from 1) to be aborted."""

    def __init__(self, shape: LedgerShape | None = None) -> None:
        self.shape = shape or LedgerShape()
        self.rows_decoded = 0
        self.decodes = 0
        self.copies = 0
        self.abort_decode: int | None = None
        self.abort_requested = False
        self.closed = False
        self._memories = [_Memory() for _ in range(self.shape.n_sequences)]
        self._copies: list[tuple[int, int]] = []
        self._states: list[int | None] = []
        self._next_cell = 0

    @property
    def info(self) -> BackendInfo:
        s = self.shape
        sizes = (s.n_ctx, s.n_batch, s.n_vocab, s.n_swa, s.n_sequences, 0, s.n_batch)
        return BackendInfo("ledger", "ledger", *sizes, unified=s.unified)

    @property
    def tokenizer(self) -> ByteTokenizer:
        return ByteTokenizer()

    def resident(self, sequence: int) -> Sequence[int]:
        """What the full-attention layers of a sequence hold, for tests."""
        return self._memories[sequence].tokens

    def intact(self, sequence: int, length: int) -> bool:
        """Whether every layer still holds all that the token behind the first ``length`` ones will look at."""
        memory = self._memories[sequence]
        needed = range(max(0, length - self.shape.n_swa + 1), length) if self.shape.n_swa else ()
        return length <= len(memory.tokens) and all(position in memory.window for position in needed)

    def decode(self, batch: Batch) -> None:
        assert 0 < len(batch.tokens) <= self.shape.n_batch, "llama.cpp aborts the process"
        self.decodes += 1
        self.abort_requested = False
        self._carry_out_copies()
        rows = list(zip(batch.tokens, batch.positions, batch.sequences, batch.logits, strict=True))
        self._check(rows)
        aborted = self.decodes == self.abort_decode
        if aborted:
            rows = rows[: len(rows) // 2] if self.shape.torn_aborts else []
        self._states = []
        for start in range(0, len(rows), self.shape.n_ubatch):
            ubatch = rows[start : start + self.shape.n_ubatch]
            self._make_room(ubatch)
            for token, position, sequence, wanted in ubatch:
                state = self._append(self._memories[sequence], position, token)
                self._states.append(state if wanted else None)
        if aborted:
            raise DecodeFailed("The decode was aborted.")
        self.rows_decoded += len(rows)

    def _carry_out_copies(self) -> None:
        """As in llama.cpp, ``seq_cp`` moves the positions at once and the data with the next decode."""
        for source, target in self._copies:
            values = self._memories[source].window
            window = self._memories[target].window
            window.update({position: values.get(position, 0) for position in window})
        self._copies.clear()

    def _check(self, rows: Sequence[tuple[int, int, int, bool]]) -> None:
        lengths = [len(memory.tokens) for memory in self._memories]
        for _, position, sequence, _ in rows:
            if position != lengths[sequence]:
                raise DecodeFailed(f"Position {position} does not follow the {lengths[sequence]} tokens in the memory.")
            lengths[sequence] += 1
            if lengths[sequence] > self.shape.n_ctx:
                raise KvFull("The KV cache is full.")
        if (
            self.shape.unified
            and len({cell for m in self._memories for cell in m.cells}) + len(rows) > self.shape.n_ctx
        ):
            raise KvFull("The KV cache is full.")

    def _make_room(self, ubatch: Sequence[tuple[int, int, int, bool]]) -> None:
        """Overwrite the oldest cells that the next position does not see any more, as many as are needed."""
        if self.shape.unified:
            self._make_room_for_all(len(ubatch))
            return
        for sequence, memory in enumerate(self._memories):
            capacity = self.shape.n_swa + self.shape.n_ubatch + self.shape.slack
            missing = len(memory.window) + sum(row[2] == sequence for row in ubatch) - capacity
            visible_from = len(memory.tokens) - self.shape.n_swa + 1
            masked = sorted(position for position in memory.window if position < visible_from)
            for position in masked[: max(0, missing)]:
                del memory.window[position]

    def _make_room_for_all(self, rows: int) -> None:
        """In the shared ring only cells of a single sequence can be overwritten."""
        if not self.shape.n_swa:
            return
        owners: dict[int, list[tuple[_Memory, int]]] = {}
        for memory in self._memories:
            for position, cell in memory.window_cells.items():
                owners.setdefault(cell, []).append((memory, position))
        capacity = self.shape.n_swa * self.shape.n_sequences + self.shape.n_ubatch + self.shape.slack
        missing = len(owners) + rows - capacity
        usable = [
            (memory, position)
            for (memory, position), *others in owners.values()
            if not others and position < len(memory.tokens) - self.shape.n_swa + 1
        ]
        if missing > len(usable):
            raise KvFull("The ring of the window is full.")
        for memory, position in sorted(usable, key=lambda each: each[1])[: max(0, missing)]:
            del memory.window[position], memory.window_cells[position]

    def _new_cell(self) -> int:
        self._next_cell += 1
        return self._next_cell

    def _append(self, memory: _Memory, position: int, token: int) -> int:
        state = _mix(_mix(memory.digests[-1], position), token)
        if self.shape.n_swa:
            for seen in range(max(0, position - self.shape.n_swa + 1), position):
                state = _mix(state, memory.window.get(seen, 0))
            memory.window[position] = _mix(state, 3)
            memory.window_cells[position] = self._new_cell()
        memory.cells.append(self._new_cell())
        memory.tokens.append(token)
        memory.digests.append(state)
        return state

    def request_abort(self) -> None:
        self.abort_requested = True

    def seq_rm(self, sequence: int, start: int, end: int) -> bool:
        assert end == -1, "the engine only cuts tails"
        memory = self._memories[sequence]
        del memory.tokens[start:]
        del memory.cells[start:]
        del memory.digests[start + 1 :]
        memory.window = {position: value for position, value in memory.window.items() if position < start}
        memory.window_cells = {position: cell for position, cell in memory.window_cells.items() if position < start}
        return True

    def seq_cp(self, source: int, target: int, start: int, end: int) -> None:
        assert (start, end) == (0, -1), "sequences with separate memory are copied whole"
        self._memories[target] = self._memories[source].copy()
        self.copies += 1
        if self.shape.unified:
            return
        self._memories[target].window = dict.fromkeys(self._memories[source].window, 0)
        self._copies.append((source, target))

    def seq_pos_min(self, sequence: int) -> int:
        memory = self._memories[sequence]
        if self.shape.n_swa:
            return min(memory.window, default=-1)
        return 0 if memory.tokens else -1

    def seq_pos_max(self, sequence: int) -> int:
        return len(self._memories[sequence].tokens) - 1

    def save_window(self, sequence: int) -> bytes:
        memory = self._memories[sequence]
        visible_from = len(memory.tokens) - self.shape.n_swa + 1
        return pickle.dumps({p: value for p, value in memory.window.items() if p >= visible_from})

    def load_window(self, sequence: int, data: bytes) -> None:
        window: dict[int, int] = pickle.loads(data)
        memory = self._memories[sequence]
        memory.window, memory.window_cells = {}, {}
        if self.shape.unified:
            self._make_room_for_all(len(window))
        memory.window = window
        memory.window_cells = {position: self._new_cell() for position in window}

    def save_sequence(self, sequence: int) -> npt.NDArray[np.uint8]:
        memory = self._memories[sequence]
        parts = (memory.tokens, memory.digests, self.save_window(sequence))
        return np.frombuffer(pickle.dumps(parts), np.uint8)

    def load_sequence(self, sequence: int, data: npt.NDArray[np.uint8]) -> None:
        tokens, digests, window = pickle.loads(data.tobytes())
        self._memories[sequence] = _Memory()
        if self.shape.unified and len({c for m in self._memories for c in m.cells}) + len(tokens) > self.shape.n_ctx:
            raise DecodeFailed("There is no room for the saved sequence.")
        memory = self._memories[sequence] = _Memory(tokens, [self._new_cell() for _ in tokens], {}, digests)
        self.load_window(sequence, window)
        assert memory.window.keys() == memory.window_cells.keys()

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        state = self._states[row]
        assert state is not None, "no logits were asked for this row"
        logits = np.zeros(self.shape.n_vocab, dtype=np.float32)
        logits[state % self.shape.n_vocab] = 1.0
        return logits

    def state(self, row: int) -> int:
        """The checksum behind a row that asked for logits."""
        state = self._states[row]
        assert state is not None, "no logits were asked for this row"
        return state

    def sampler(self, params: SamplingParams) -> LedgerSampler:
        return LedgerSampler(self, params)

    def close(self) -> None:
        self.closed = True


class LedgerSampler:
    """Draws the checksum's token; above temperature 0 the draw also depends on the seed and on how many came before."""

    def __init__(self, backend: LedgerBackend, params: SamplingParams) -> None:
        self._backend = backend
        self._params = params
        self._draws = 0

    def sample(self, row: int, mask: npt.NDArray[np.uint32] | None = None) -> int:
        state = self._backend.state(row)
        if self._params.temperature > 0:
            self._draws += 1
            state = _mix(_mix(state, self._params.seed), self._draws)
        n_vocab = self._backend.shape.n_vocab
        allowed = range(n_vocab) if mask is None else [i for i in range(n_vocab) if int(mask[i // 32]) >> i % 32 & 1]
        return allowed[state % len(allowed)]

    def close(self) -> None:
        pass

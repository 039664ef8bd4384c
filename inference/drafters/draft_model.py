"""Drafts with a smaller model of the same vocabulary, which keeps a KV memory of its own.

It reads what the target has read only when it is asked to draft, and at no time for long; it serves one request at a
time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.backend import Backend, Batch
from inference.drafters import Generation
from inference.errors import DecodeFailed
from inference.sequence import KVSequence, common_prefix

GUESSED_TPS = 100.0
"""Reading speed in tokens/s until one is measured: a 0.5B model on two cores."""

AT_ONCE = 32
"""So many missing tokens are read without a thought: fewer than that are one cheap decode."""


@dataclass(frozen=True, slots=True)
class DraftModelOptions:
    """``patience`` is how long reading may hold up one request, in seconds; what is left waits for the next request.

    Reading a whole conversation with the small model takes as long as writing hundreds of tokens with the large one.
    ``clock`` gives seconds.
    """

    patience: float = 1.0
    clock: Callable[[], float] = time.perf_counter


class DraftModelDrafter:
    """``inference.drafters.Drafter`` over the backend of a small model, which it owns.

    The backend must keep every position of its one sequence (``n_swa`` 0): drafts are cut off again at any depth.
    """

    name = "draft model"

    def __init__(self, backend: Backend, options: DraftModelOptions | None = None) -> None:
        if backend.info.n_swa:
            raise ValueError("a draft model needs a memory that can be cut anywhere")
        self.memory = DraftMemory(backend, options or DraftModelOptions())

    def begin(self, generation: Generation) -> DraftModelDrafting:  # noqa: ARG002 - tokens tell all it needs
        """A request begins; while another is under way its drafting proposes nothing."""
        return DraftModelDrafting(self.memory)

    def probe(self) -> None:
        """Find out how fast the small model reads: before that, ``GUESSED_TPS`` is taken for it."""
        self.memory.probe()

    def close(self) -> None:
        """Free the small model."""
        self.memory.close()


class DraftModelDrafting:
    """``inference.drafters.Prediction`` for one request: how far the memory agrees, and what is left of patience."""

    def __init__(self, memory: DraftMemory) -> None:
        self._memory = memory
        self._agreed = 0
        self._patience = memory.options.patience

    def follow(self, tokens: Sequence[int], row: int) -> None:
        """Nothing is read before a draft is wanted."""

    def wait_ms(self, tokens: Sequence[int]) -> float:
        """The time to read what is missing, as far as patience goes; a few tokens are part of drafting."""
        return 1000 * min(self._memory.reading_s(tokens, self._agreed), max(0.0, self._patience))

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """Up to ``limit`` ids; none when there is more to read first than patience allows."""
        memory = self._memory
        if not memory.take(self):
            return ()
        self._agreed = memory.cut(tokens, self._agreed)
        try:
            self._patience -= memory.read(tokens, self._patience)
            return memory.write(min(limit, memory.room + 1)) if len(memory) == len(tokens) else ()
        except DecodeFailed:
            return ()

    def close(self) -> None:
        """Leave the memory to other requests."""
        self._memory.give_back(self)


class DraftMemory:
    """The one sequence of the small model: what is resident, how fast it is read, and whose turn it is."""

    def __init__(self, backend: Backend, options: DraftModelOptions) -> None:
        self.options = options
        self._backend = backend
        self._sequence = KVSequence(0)
        self._tps = GUESSED_TPS
        self._last_row = 0
        self._owner: DraftModelDrafting | None = None

    def __len__(self) -> int:
        """How many tokens are resident."""
        return len(self._sequence)

    @property
    def room(self) -> int:
        """How many more tokens can become resident."""
        return self._backend.info.n_ctx - len(self._sequence)

    def probe(self) -> None:
        """Read a few tokens, of two times the second, and forget them."""
        tokens = [1] * min(AT_ONCE, self._backend.info.n_batch, self._backend.info.n_ctx)
        for _ in range(2):
            began = self.options.clock()
            self._decode(tokens)
            self._backend.logits(self._last_row)  # a GPU is waited for here
            self._tps = len(tokens) / max(self.options.clock() - began, 1e-6)
            self._backend.seq_rm(0, 0, -1)
            self._sequence.cut(0)

    def reading_s(self, tokens: Sequence[int], agreed: int) -> float:
        """Seconds to read what is not resident of ``tokens``, of which ``agreed`` are; 0 for a few."""
        missing = len(tokens) - agreed
        if missing > AT_ONCE:
            missing = len(tokens) - common_prefix(self._sequence.tokens, tokens)
        return missing / self._tps if missing > AT_ONCE else 0.0

    def take(self, drafting: DraftModelDrafting) -> bool:
        """Whether the memory now belongs to this request."""
        if self._owner is None:
            self._owner = drafting
        return self._owner is drafting

    def give_back(self, drafting: DraftModelDrafting) -> None:
        """The request has ended."""
        if self._owner is drafting:
            self._owner = None

    def cut(self, tokens: Sequence[int], agreed: int) -> int:
        """Drop whatever is not a beginning of ``tokens`` and return the length of what is left.

        At least the last token goes, whose logits are wanted. The first ``agreed`` tokens need no comparing.
        """
        resident = self._sequence.tokens
        agreed = min(agreed, len(resident))
        end = min(len(resident), len(tokens) - 1)
        while agreed < end and resident[agreed] == tokens[agreed]:
            agreed += 1
        if agreed < len(resident):
            self._backend.seq_rm(0, agreed, -1)
            self._sequence.cut(agreed)
        return agreed

    def read(self, tokens: Sequence[int], patience: float) -> float:
        """Read the rest of ``tokens``, or so much of it as takes ``patience`` seconds; returns the seconds it took.

        A few tokens are always read, and cost nothing. Raises DecodeFailed.
        """
        info, spent = self._backend.info, 0.0
        while (missing := len(tokens) - len(self._sequence)) and len(tokens) <= info.n_ctx:
            count = min(missing, info.n_batch)
            if missing > AT_ONCE:
                count = min(count, max(AT_ONCE, int((patience - spent) * self._tps)))
                if spent >= patience:
                    break
            start = len(self._sequence)
            began = self.options.clock()
            self._decode(tokens[start : start + count])
            seconds = self.options.clock() - began
            if count >= AT_ONCE:
                self._tps = count / max(seconds, 1e-6)
                spent += seconds
        return spent

    def write(self, limit: int) -> list[int]:
        """Up to ``limit`` likeliest tokens behind the resident ones; raises DecodeFailed."""
        ids: list[int] = []
        while len(ids) < limit:
            ids.append(int(self._backend.logits(self._last_row).argmax()))
            if len(ids) < limit:
                self._decode(ids[-1:])
        return ids

    def close(self) -> None:
        """Free the small model."""
        self._backend.close()

    def _decode(self, tokens: Sequence[int]) -> None:
        """Append ``tokens``; the logits of the last one can be read."""
        start, rows = len(self._sequence), len(tokens)
        logits = [False] * (rows - 1) + [True]
        self._backend.decode(Batch(tokens, range(start, start + rows), [0] * rows, logits))
        self._sequence.append(tokens)
        self._last_row = rows - 1

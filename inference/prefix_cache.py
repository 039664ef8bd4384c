"""Which KV sequence a prompt continues and how much of it is kept: match, cut, restore, fork, evict.

It reads no prompt: whoever decodes one records it with ``KVSequence.append``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from inference.backend import Backend, Batch
from inference.errors import DecodeFailed
from inference.sequence import KVSequence


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The sliding-window state of a sequence behind its first ``position`` tokens; valid there and nowhere else.

    ``requested`` ones were asked for by the request, the others are the worker's own.
    """

    position: int
    requested: bool
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reuse:
    """A sequence made ready for a prompt: it holds the prompt's first ``cached`` tokens and nothing else.

    ``replayed`` tokens behind these were resident too, but have to be read again: those behind a restored checkpoint,
    and the last one of the prompt, whose logits are needed.
    """

    sequence: KVSequence
    cached: int
    replayed: int


DEFAULT_CHECKPOINT_BYTES = 1 << 30
"""Memory for checkpoints, in bytes: 170 of Gemma 4 E2B, 50 of E4B, 3 of 12B (6, 20 and 320 MiB each with f16 KV)."""


class PrefixCache:
    """The sequences of one backend, with their checkpoints.

    ``checkpoint_bytes`` bounds all saved windows together. ``sequence_type`` is there for tests of faulty arithmetic.
    """

    def __init__(
        self,
        backend: Backend,
        checkpoint_bytes: int = DEFAULT_CHECKPOINT_BYTES,
        sequence_type: type[KVSequence] = KVSequence,
    ) -> None:
        self._backend = backend
        self._n_swa = backend.info.n_swa
        self._budget = checkpoint_bytes
        # Least recently used first.
        self._sequences = [sequence_type(i) for i in range(backend.info.n_sequences)]
        self._checkpoints: dict[int, list[Checkpoint]] = {s.id: [] for s in self._sequences}
        self._held: set[int] = set()

    def checkpoints(self, sequence: KVSequence) -> tuple[int, ...]:
        """The positions of the sequence's checkpoints, ascending."""
        return tuple(c.position for c in self._checkpoints[sequence.id])

    def acquire(self, tokens: Sequence[int]) -> Reuse:
        """Make the best sequence ready for the prompt ``tokens`` (at least one).

        Sequences that are held are only copied from; one has to be free.
        """
        # Of equally good ones the first is taken: those that nobody holds before others, then the most recently used.
        candidates = sorted(reversed(self._sequences), key=lambda s: s.id in self._held)  # noqa: C414 - a stable sort
        source, matched = max(((s, s.reusable(tokens)) for s in candidates), key=lambda match: self._keepable(*match))
        common = source.common_prefix(tokens)
        target = self._place(source, matched)
        self.trim(target, matched)
        self._touch(target)
        return Reuse(target, len(target), common - len(target))

    def hold(self, sequence: KVSequence) -> None:
        """Keep the sequence from being cut or emptied for other prompts, until ``release``."""
        self._held.add(sequence.id)

    def release(self, sequence: KVSequence) -> None:
        """It is not worked in any more; what it holds stays until its room is needed."""
        self._held.discard(sequence.id)

    def trim(self, sequence: KVSequence, length: int) -> None:
        """Drop what lies behind the first ``length`` tokens, also rows that the record does not know of.

        This is for rejected drafts and aborted decodes. Where the window has moved on too far, the nearest checkpoint
        is what remains of the sequence.
        """
        if not self._cut(sequence, length):
            self._restore(sequence, length)

    def drop(self, sequence: KVSequence) -> None:
        """Empty a sequence."""
        self._backend.seq_rm(sequence.id, 0, -1)
        sequence.cut(0)
        self._forget_beyond(sequence, 0)

    def reset(self) -> None:
        """Empty all sequences: after a fault nobody knows what the memory holds."""
        for sequence in self._sequences:
            self.drop(sequence)

    def save_checkpoint(self, sequence: KVSequence, requested: bool = True) -> None:
        """Save the window at the end of the sequence, where there is a window and none is saved yet."""
        position = len(sequence)
        saved = self._checkpoints[sequence.id]
        if self._n_swa == 0 or position == 0 or any(c.position == position for c in saved):
            return
        saved.append(Checkpoint(position, requested, self._backend.save_window(sequence.id)))
        saved.sort(key=lambda c: c.position)
        self._evict()

    def _keepable(self, sequence: KVSequence, matched: int) -> int:
        """How many of ``matched`` tokens can be kept, by a cut or by restoring a checkpoint."""
        if sequence.can_cut(matched, self._backend.seq_pos_min(sequence.id), self._n_swa):
            return matched
        best = self._nearest(sequence, matched)
        return best.position if best else 0

    def _nearest(self, sequence: KVSequence, length: int) -> Checkpoint | None:
        """The last checkpoint at or before ``length``."""
        return next((c for c in reversed(self._checkpoints[sequence.id]) if c.position <= length), None)

    def _place(self, source: KVSequence, matched: int) -> KVSequence:
        """The sequence to work in: ``source``, or a copy of it where that loses fewer tokens."""
        kept = self._keepable(source, matched)
        target = next(s for s in self._sequences if s.id not in self._held)
        if source.id not in self._held and len(target) >= len(source) - kept:
            return source
        self.drop(target)
        if kept:
            self._copy(source, target, matched)
        return target

    def _copy(self, source: KVSequence, target: KVSequence, matched: int) -> None:
        """Copy, and cut if that needs no checkpoint; the memory may hold one row more than the record."""
        self._backend.seq_cp(source.id, target.id, 0, -1)
        target.copy_from(source)
        self._checkpoints[target.id] = list(self._checkpoints[source.id])
        self._cut(target, matched)
        # llama.cpp moves the data at the start of the next decode: a window saved or restored before that would be
        # wrong. So one row is decoded at once, for the caller to cut; that it may not fit does no harm.
        if self._n_swa:
            with suppress(DecodeFailed):
                self._backend.decode(Batch([target.tokens[-1]], [len(target)], [target.id], [False]))

    def _cut(self, sequence: KVSequence, length: int) -> bool:
        """Cut where the window allows it. ``length`` may be the sequence's own: the memory may hold more than that."""
        if not sequence.can_cut(length, self._backend.seq_pos_min(sequence.id), self._n_swa):
            return False
        beyond = self._backend.seq_pos_max(sequence.id) >= length
        if beyond and not self._backend.seq_rm(sequence.id, length, -1):
            return False
        sequence.cut(length)
        self._forget_beyond(sequence, length)
        return True

    def _restore(self, sequence: KVSequence, length: int) -> None:
        """Go back to the last checkpoint at or before ``length``, or to nothing."""
        checkpoint = self._nearest(sequence, length)
        if checkpoint is None or not self._load(sequence, checkpoint):
            self.drop(sequence)
            return
        sequence.cut(checkpoint.position)
        self._forget_beyond(sequence, checkpoint.position)

    def _load(self, sequence: KVSequence, checkpoint: Checkpoint) -> bool:
        try:
            self._backend.load_window(sequence.id, checkpoint.data)
        except DecodeFailed:
            return False
        return self._backend.seq_rm(sequence.id, checkpoint.position, -1)

    def _forget_beyond(self, sequence: KVSequence, length: int) -> None:
        self._checkpoints[sequence.id] = [c for c in self._checkpoints[sequence.id] if c.position <= length]

    def _touch(self, sequence: KVSequence) -> None:
        self._sequences.remove(sequence)
        self._sequences.append(sequence)

    def _evict(self) -> None:
        """Free checkpoints until the budget holds; a fork shares its source's, which count once."""
        while sum(len(c.data) for c in self._distinct()) > self._budget:
            victim = self._least_useful()
            for saved in self._checkpoints.values():
                if victim in saved:
                    saved.remove(victim)

    def _distinct(self) -> set[Checkpoint]:
        return {c for saved in self._checkpoints.values() for c in saved}

    def _least_useful(self) -> Checkpoint:
        """What to free first: the worker's own, then others; oldest sequences first.

        The first (the system prompt's) and the last checkpoint of each sequence are spared while there is any other.
        Among the rest that one goes that stands close to its neighbours and far from the end: rewinds go back a turn or
        two far more often than twenty.
        """
        for requested in (False, True):
            for sequence in self._sequences:
                saved = self._checkpoints[sequence.id]
                spacing = {
                    c: (after.position - before.position) / (saved[-1].position - c.position)
                    for before, c, after in zip(saved, saved[1:], saved[2:], strict=False)
                    if c.requested is requested
                }
                if spacing:
                    return min(spacing, key=lambda c: spacing[c])
        return next(self._checkpoints[s.id] for s in self._sequences if self._checkpoints[s.id])[-1]

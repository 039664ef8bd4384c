"""Which KV sequence a prompt continues and how much of it is kept: match, cut, restore, fork, load, evict, save.

It reads no prompt: whoever decodes one records it with ``KVSequence.append``. Files are ``inference.kv_store``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from inference.backend import Backend, Batch
from inference.checkpoints import DEFAULT_CHECKPOINT_BYTES, Checkpoint, Checkpoints
from inference.errors import DecodeFailed
from inference.kv_file import SavedSequence, Window
from inference.kv_store import SequenceStore
from inference.sequence import KVSequence


@dataclass(frozen=True, slots=True)
class Reuse:
    """A sequence made ready for a prompt: it holds the prompt's first ``cached`` tokens and nothing else.

    ``replayed`` tokens behind these were resident too, but have to be read again: those behind a restored checkpoint,
    and the last one of the prompt, whose logits are needed. ``loaded`` of the cached ones came from disk.
    """

    sequence: KVSequence
    cached: int
    replayed: int
    loaded: int = 0


@dataclass(frozen=True, slots=True)
class DiskPolicy:
    """When files are worth it; all in tokens.

    A file is loaded when it saves reading ``load_gain`` (0.15 s on two cores with 1.5B; the file takes a few ms). A
    conversation is saved in the end from ``least_saved`` on, and from ``least_displaced`` on before another one takes
    its place in memory.
    """

    load_gain: int = 16
    least_saved: int = 64
    least_displaced: int = 256


@dataclass(frozen=True, slots=True)
class Disk:
    """Where sequences are kept, and when."""

    store: SequenceStore
    policy: DiskPolicy = field(default_factory=DiskPolicy)


class PrefixCache:
    """The sequences of one backend, with their checkpoints.

    ``checkpoint_bytes`` bounds all saved windows together. Without a ``disk`` nothing is kept there.
    ``left_to_others`` sequences are never taken by ``fork``: other requests may come meanwhile. ``sequence_type`` is
    there for tests of faulty arithmetic.
    """

    def __init__(
        self,
        backend: Backend,
        checkpoint_bytes: int = DEFAULT_CHECKPOINT_BYTES,
        sequence_type: type[KVSequence] = KVSequence,
        disk: Disk | None = None,
        left_to_others: int = 0,
    ) -> None:
        self._left_to_others = left_to_others
        self._backend = backend
        self._disk = disk
        self._n_swa = backend.info.n_swa
        self._unified = backend.info.unified
        self._n_ctx = backend.info.n_ctx
        # Least recently used first.
        self._sequences = [sequence_type(i) for i in range(backend.info.n_sequences)]
        self._checkpoints = Checkpoints((s.id for s in self._sequences), checkpoint_bytes)
        self._held: set[int] = set()

    def checkpoints(self, sequence: KVSequence) -> tuple[int, ...]:
        """The positions of the sequence's checkpoints, ascending."""
        return tuple(c.position for c in self._checkpoints.of(sequence.id))

    def acquire(self, tokens: Sequence[int]) -> Reuse:
        """Make the best sequence ready for the prompt ``tokens`` (at least one): from memory, or from disk.

        Sequences that are held are only copied from; one has to be free.
        """
        source, matched = self._best(tokens)
        if loaded := self._from_disk(tokens, self._keepable(source, matched)):
            return loaded
        common = source.common_prefix(tokens)
        target = self._place(source, matched)
        self.trim(target, matched)
        self._touch(target)
        return Reuse(target, len(target), common - len(target))

    def would_lose(self, tokens: Sequence[int], static: int) -> bool:
        """Whether ``acquire`` would push out for good what does not belong to the prompt's own conversation.

        The first ``static`` tokens make none: others begin with them too. What is saved before is not lost.
        """
        if self._disk is not None or self._keepable(*self._best(tokens)) > static:
            return False
        free = (s for s in self._sequences if s.id not in self._held)
        return all(len(s) > s.common_prefix(tokens) for s in free)

    def save_static(self, sequence: KVSequence) -> None:
        """Keep on disk what the sequence holds, as a beginning that other conversations will share."""
        if self._disk is not None:
            self._disk.store.save(self._snapshot(sequence, static=True))

    def knows_static(self, tokens: Sequence[int]) -> bool:
        """Whether a beginning is on disk already, or there is no disk to keep it on."""
        return self._disk is None or self._disk.store.holds_static(tokens)

    def save_all(self) -> None:
        """Keep on disk every conversation that is not there yet."""
        if self._disk is not None:
            for number, sequence in enumerate(self._sequences):
                later = self._sequences[number + 1 :]
                # An earlier state, or an attempt, of what is saved anyway is not worth a file of its own.
                if all(4 * each.common_prefix(sequence.tokens) < 3 * len(sequence) for each in later):
                    self._save(sequence, self._disk.policy.least_saved)

    def close(self) -> None:
        """Save, and wait until it is written; before the backend is freed."""
        self.save_all()
        if self._disk is not None:
            self._disk.store.close()

    def fork(self, source: KVSequence, length: int) -> KVSequence | None:
        """A held copy of the first ``length`` tokens of a held sequence; None when no sequence or room may be taken."""
        free = [s for s in self._sequences if s.id not in self._held]
        if len(free) <= self._left_to_others:
            return None
        target = free[0]
        self._save_displaced(target)
        self.drop(target)
        self._copy(source, target, length)
        self.trim(target, length)
        if len(target) < length:
            self.drop(target)
            return None
        self.hold(target)
        self._touch(target)
        return target

    def make_room(self) -> bool:
        """Empty the least recently used sequence that nobody holds; False when there is none."""
        victim = next((s for s in self._sequences if len(s) and s.id not in self._held), None)
        if victim is None:
            return False
        self._save_displaced(victim)
        self.drop(victim)
        return True

    def hold(self, sequence: KVSequence) -> None:
        """Keep the sequence from being cut or emptied for other prompts, until ``release``."""
        self._held.add(sequence.id)

    def settle(self, sequence: KVSequence, tokens: Sequence[int]) -> None:
        """Forget what a finished request left behind ``tokens``, its prompt and output: rejected drafts, where the
        window allows it."""
        self._cut(sequence, sequence.common_prefix(tokens))

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
        self._checkpoints.forget_beyond(sequence.id, 0)

    def reset(self) -> None:
        """Empty all sequences: after a fault nobody knows what the memory holds."""
        for sequence in self._sequences:
            self.drop(sequence)

    def save_checkpoint(self, sequence: KVSequence, requested: bool = True) -> None:
        """Save the window at the end of the sequence, where there is a window and none is saved yet."""
        position = len(sequence)
        if self._n_swa == 0 or position == 0 or self._checkpoints.has(sequence.id, position):
            return
        window = self._backend.save_window(sequence.id)
        self._checkpoints.add(sequence.id, Checkpoint(position, requested, window))
        self._evict()

    def _best(self, tokens: Sequence[int]) -> tuple[KVSequence, int]:
        """The sequence that keeps most of a prompt, and how many tokens the prompt may keep of it.

        Of equally good ones the first is taken: those that nobody holds before others, then the most recently used.
        """
        candidates = sorted(reversed(self._sequences), key=lambda s: s.id in self._held)  # noqa: C414 - a stable sort
        return max(((s, s.reusable(tokens)) for s in candidates), key=lambda match: self._keepable(*match))

    def _keepable(self, sequence: KVSequence, matched: int) -> int:
        """How many of ``matched`` tokens can be kept, by a cut or by restoring a checkpoint."""
        if sequence.can_cut(matched, self._backend.seq_pos_min(sequence.id), self._n_swa):
            return matched
        best = self._checkpoints.nearest(sequence.id, matched)
        return best.position if best else 0

    def _place(self, source: KVSequence, matched: int) -> KVSequence:
        """The sequence to work in: ``source``, or a copy of it where that loses fewer tokens.

        What keeps half of a sequence goes back within a conversation, and stays in it: thoughts that are hidden now, a
        rewind. What keeps less is another conversation.
        """
        kept = self._keepable(source, matched)
        target = next(s for s in self._sequences if s.id not in self._held)
        rewind = 2 * kept >= len(source)
        if source.id not in self._held and (rewind or len(target) >= len(source) - kept):
            if not rewind:
                self._save_displaced(source)
            return source
        self._save_displaced(target)
        self.drop(target)
        if kept:
            self._copy(source, target, matched)
        return target

    def _from_disk(self, tokens: Sequence[int], kept: int) -> Reuse | None:
        """Load the file that saves reading much more than the memory does; None where there is none."""
        disk = self._disk
        found = disk.store.find(tokens[:-1]) if disk is not None else None
        if disk is None or found is None or found.usable < kept + disk.policy.load_gain:
            return None
        saved = disk.store.read(found)
        if saved is None:
            return None
        target = self._displaced(tokens)
        self._save_displaced(target)
        if not self._load_saved(target, saved):
            return None
        common = target.common_prefix(tokens)
        self.trim(target, found.matched)
        self._evict()  # not before: the one that the trim needs might go
        self._touch(target)
        return Reuse(target, len(target), common - len(target), loaded=len(target))

    def _resident(self) -> int:
        """An upper bound of the cells in use: what sequences share is counted for each."""
        return sum(len(sequence) for sequence in self._sequences)

    def _displaced(self, tokens: Sequence[int]) -> KVSequence:
        """The sequence that a file is loaded into: one that holds nothing else than it, or the least recently used."""
        free = [s for s in self._sequences if s.id not in self._held]
        return next((s for s in free if s.common_prefix(tokens) == len(s)), free[0])

    def _load_saved(self, target: KVSequence, saved: SavedSequence) -> bool:
        self.drop(target)
        self.hold(target)
        while self._unified and self._resident() + len(saved.tokens) > self._n_ctx and self.make_room():
            pass
        self.release(target)
        try:
            self._backend.load_sequence(target.id, saved.state)
        except DecodeFailed:
            self.drop(target)
            return False
        target.replace(saved.tokens.tolist())
        self._checkpoints.replace(
            target.id, (Checkpoint(window.position, window.requested, bytes(window.data)) for window in saved.windows)
        )
        return True

    def _save_displaced(self, sequence: KVSequence) -> None:
        if self._disk is not None:
            self._save(sequence, self._disk.policy.least_displaced)

    def _save(self, sequence: KVSequence, least: int) -> None:
        """Keep a conversation of at least ``least`` tokens on disk, unless (nearly) all of it is there."""
        if self._disk is None or len(sequence) < least:
            return
        found = self._disk.store.find(sequence.tokens)
        if found is None or found.usable <= len(sequence) - self._disk.policy.load_gain:
            self._disk.store.save(self._snapshot(sequence))

    def _snapshot(self, sequence: KVSequence, *, static: bool = False) -> SavedSequence:
        state = self._backend.save_sequence(sequence.id)
        tokens = np.asarray(sequence.tokens, np.int32)
        saved = [Window(c.position, c.requested, c.data) for c in self._checkpoints.of(sequence.id)]
        # The first and the newest ones, together no larger than the rest: rewinds seldom go further back.
        kept, room = saved[:1], state.nbytes
        for window in reversed(saved[1:]):
            room -= len(window.data)
            if room >= 0:
                kept.insert(1, window)
        return SavedSequence(tokens, state, tuple(kept), static)

    def _copy(self, source: KVSequence, target: KVSequence, matched: int) -> None:
        """Copy, and cut if that needs no checkpoint; the memory may hold one row more than the record."""
        self._backend.seq_cp(source.id, target.id, 0, -1)
        target.copy_from(source)
        self._checkpoints.replace(target.id, self._checkpoints.of(source.id))
        self._cut(target, matched)
        # Rows that the window has left behind are room for new ones, but never while two sequences have them: a shared
        # ring would soon be full. Saved and restored, the copy has rows of its own.
        if self._unified and self._n_swa and not self._own_window(target):
            self.drop(target)
        # llama.cpp moves the data at the start of the next decode: a window saved or restored before that would be
        # wrong. So one row is decoded at once, for the caller to cut; that it may not fit does no harm.
        if self._n_swa and not self._unified:
            with suppress(DecodeFailed):
                self._backend.decode(Batch([target.tokens[-1]], [len(target)], [target.id], [False]))

    def _own_window(self, sequence: KVSequence) -> bool:
        try:
            self._backend.load_window(sequence.id, self._backend.save_window(sequence.id))
        except DecodeFailed:
            return False
        return True

    def _cut(self, sequence: KVSequence, length: int) -> bool:
        """Cut where the window allows it. ``length`` may be the sequence's own: the memory may hold more than that."""
        if not sequence.can_cut(length, self._backend.seq_pos_min(sequence.id), self._n_swa):
            return False
        beyond = self._backend.seq_pos_max(sequence.id) >= length
        if beyond and not self._backend.seq_rm(sequence.id, length, -1):
            return False
        sequence.cut(length)
        self._checkpoints.forget_beyond(sequence.id, length)
        return True

    def _restore(self, sequence: KVSequence, length: int) -> None:
        """Go back to the last checkpoint at or before ``length``, or to nothing."""
        checkpoint = self._checkpoints.nearest(sequence.id, length)
        if checkpoint is None or not self._load(sequence, checkpoint):
            self.drop(sequence)
            return
        sequence.cut(checkpoint.position)
        self._checkpoints.forget_beyond(sequence.id, checkpoint.position)

    def _load(self, sequence: KVSequence, checkpoint: Checkpoint) -> bool:
        try:
            self._backend.load_window(sequence.id, checkpoint.data)
        except DecodeFailed:
            return False
        return self._backend.seq_rm(sequence.id, checkpoint.position, -1)

    def _touch(self, sequence: KVSequence) -> None:
        self._sequences.remove(sequence)
        self._sequences.append(sequence)

    def _evict(self) -> None:
        self._checkpoints.evict([sequence.id for sequence in self._sequences])

"""What is kept of a sequence, and which checkpoints survive; whether outputs stay right is the ledger test's matter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from inference.backend import Batch
from inference.errors import DecodeFailed
from inference.prefix_cache import PrefixCache
from inference.sequence import KVSequence
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape

SYSTEM = list(range(100, 130))


def read(backend: LedgerBackend, sequence: KVSequence, tokens: Sequence[int]) -> None:
    """Prefill as the worker does, token by token."""
    for token in tokens:
        backend.decode(Batch([token], [len(sequence)], [sequence.id], [False]))
        sequence.append([token])


def windowed(n_sequences: int = 1, slack: int = 2) -> LedgerBackend:
    return LedgerBackend(LedgerShape(n_ctx=1000, n_swa=4, n_ubatch=2, n_sequences=n_sequences, slack=slack))


def read_with_checkpoints(backend: LedgerBackend, cache: PrefixCache, positions: Sequence[int]) -> KVSequence:
    """A sequence of 0, 1, 2, ... with checkpoints at ``positions``, and 20 tokens behind the last."""
    sequence = cache.acquire([0]).sequence
    for position in positions:
        read(backend, sequence, range(len(sequence), position))
        cache.save_checkpoint(sequence)
    read(backend, sequence, range(len(sequence), positions[-1] + 20))
    return sequence


def test_a_prompt_that_continues_the_sequence_keeps_all_of_it() -> None:
    backend = windowed()
    cache = PrefixCache(backend)
    read(backend, cache.acquire(SYSTEM).sequence, SYSTEM)
    reuse = cache.acquire([*SYSTEM, 1, 2])
    assert (reuse.cached, reuse.replayed) == (30, 0)


def test_the_last_token_of_a_known_prompt_is_read_again_for_its_logits() -> None:
    backend = LedgerBackend(LedgerShape())
    cache = PrefixCache(backend)
    read(backend, cache.acquire(SYSTEM).sequence, SYSTEM)
    reuse = cache.acquire(SYSTEM)
    assert (reuse.cached, reuse.replayed) == (29, 1)


def test_a_rewind_beyond_the_window_goes_back_to_the_nearest_checkpoint() -> None:
    backend = windowed()
    cache = PrefixCache(backend)
    read_with_checkpoints(backend, cache, [10, 20, 30])
    reuse = cache.acquire([*range(27), 999])
    assert (reuse.cached, reuse.replayed) == (20, 7)
    assert backend.intact(0, 20)
    assert cache.checkpoints(reuse.sequence) == (10, 20)


def test_a_rewind_within_the_window_needs_no_checkpoint() -> None:
    backend = windowed(slack=3)
    cache = PrefixCache(backend)
    sequence = read_with_checkpoints(backend, cache, [10])
    assert len(sequence) == 30
    assert cache.acquire([*range(27), 999]).cached == 27


def test_without_a_checkpoint_a_deep_rewind_starts_anew() -> None:
    backend = windowed()
    cache = PrefixCache(backend, checkpoint_bytes=0)
    read_with_checkpoints(backend, cache, [10, 20])
    assert cache.acquire([*range(15), 999]).cached == 0
    assert backend.seq_pos_max(0) == -1


def test_a_window_that_the_backend_refuses_means_reading_anew() -> None:
    class Refusing(LedgerBackend):
        def load_window(self, sequence: int, data: bytes) -> None:
            raise DecodeFailed("The saved window is damaged.")

    backend = Refusing(windowed().shape)
    cache = PrefixCache(backend)
    read_with_checkpoints(backend, cache, [10])
    assert cache.acquire([*range(15), 999]).cached == 0
    assert backend.seq_pos_max(0) == -1


def test_a_tight_budget_keeps_the_first_and_the_last_checkpoint_and_thins_out_the_old_ones() -> None:
    backend = windowed()
    one = len(backend.save_window(0)) + 60  # a window of four cells
    cache = PrefixCache(backend, checkpoint_bytes=5 * one)
    sequence = read_with_checkpoints(backend, cache, range(10, 400, 10))
    positions = cache.checkpoints(sequence)
    assert positions[0] == 10
    assert positions[-2:] == (380, 390)
    gaps = [after - before for before, after in pairwise(positions)]
    assert gaps == sorted(gaps, reverse=True), "checkpoints stand closer together towards the end"


def test_checkpoints_that_were_asked_for_outlive_the_workers_own() -> None:
    backend = windowed()
    one = len(backend.save_window(0)) + 60
    cache = PrefixCache(backend, checkpoint_bytes=5 * one)
    sequence = cache.acquire([0]).sequence
    for position in range(10, 400, 10):
        read(backend, sequence, range(len(sequence), position))
        cache.save_checkpoint(sequence, requested=position in (10, 150, 160))
    assert {10, 150, 160, 390} <= set(cache.checkpoints(sequence))


def test_a_memory_that_cannot_be_cut_is_emptied() -> None:
    class Uncuttable(LedgerBackend):
        def seq_rm(self, sequence: int, start: int, end: int) -> bool:
            return start == 0 and super().seq_rm(sequence, start, end)

    for n_swa in (0, 4):
        backend = Uncuttable(LedgerShape(n_swa=n_swa))
        cache = PrefixCache(backend)
        read_with_checkpoints(backend, cache, [10, 20])
        assert cache.acquire([*range(39), 999]).cached == 0
        assert backend.seq_pos_max(0) == -1


def test_a_budget_smaller_than_one_checkpoint_keeps_none() -> None:
    backend = windowed()
    cache = PrefixCache(backend, checkpoint_bytes=10)
    assert cache.checkpoints(read_with_checkpoints(backend, cache, [10, 20])) == ()


def test_without_a_window_nothing_is_saved() -> None:
    backend = LedgerBackend(LedgerShape())
    cache = PrefixCache(backend)
    assert cache.checkpoints(read_with_checkpoints(backend, cache, [10, 20])) == ()


def test_another_conversation_with_the_same_system_prompt_is_forked_into_a_free_sequence() -> None:
    backend = windowed(n_sequences=2)
    cache = PrefixCache(backend)
    first = cache.acquire(SYSTEM).sequence
    read(backend, first, SYSTEM)
    cache.save_checkpoint(first)
    read(backend, first, range(50))
    other = cache.acquire([*SYSTEM, 900, 901])
    assert other.cached == 30
    assert other.sequence is not first
    assert len(first) == 80, "the first conversation is untouched"
    assert cache.acquire([*SYSTEM, *range(50), 5]).cached == 80


def test_a_short_rewind_stays_in_its_sequence_when_the_other_one_holds_more() -> None:
    backend = windowed(n_sequences=2, slack=10)
    cache = PrefixCache(backend)
    first = cache.acquire(SYSTEM).sequence
    read(backend, first, SYSTEM)
    second = cache.acquire([7]).sequence
    read(backend, second, range(500, 540))
    reuse = cache.acquire([*SYSTEM[:27], 999])
    assert reuse.sequence is first
    assert len(second) == 40


def test_a_new_conversation_takes_the_place_of_the_least_recently_used_one() -> None:
    backend = LedgerBackend(LedgerShape(n_sequences=2))
    cache = PrefixCache(backend)
    first = cache.acquire(SYSTEM).sequence
    read(backend, first, SYSTEM)
    second = cache.acquire([1]).sequence
    read(backend, second, range(20))
    cache.acquire([*SYSTEM, 2])
    third = cache.acquire([500, 501])
    assert third.sequence is second
    assert third.cached == 0


def test_reading_ahead_may_push_out_its_own_conversation_and_no_other() -> None:
    backend = windowed(n_sequences=1)
    cache = PrefixCache(backend)
    sequence = cache.acquire(SYSTEM).sequence
    assert not cache.would_lose([*SYSTEM, 1, 2], 30), "nothing is there yet"
    read(backend, sequence, SYSTEM)
    cache.save_checkpoint(sequence)
    read(backend, sequence, range(10))
    cache.save_checkpoint(sequence)
    read(backend, sequence, range(20, 60))
    assert not cache.would_lose([*SYSTEM, *range(10), 3, 4, 5], 30), "its own: what goes are thoughts"
    assert cache.would_lose([*SYSTEM, 900, 901], 30)


def test_trimming_also_removes_rows_that_an_aborted_decode_left() -> None:
    backend = windowed()
    cache = PrefixCache(backend)
    sequence = cache.acquire(SYSTEM).sequence
    read(backend, sequence, SYSTEM)
    backend.decode(Batch([1, 2], [30, 31], [sequence.id] * 2, [False] * 2))
    cache.trim(sequence, 30)
    assert list(backend.resident(sequence.id)) == SYSTEM

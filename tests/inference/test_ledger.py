"""The engine's truth test: whatever is reused, restored, forked, drafted or cancelled, the output is a fresh engine's.

Hypothesis writes the conversations; the LedgerBackend turns any misplaced token into a wrong one. Then faults are
seeded into the cache, and the same property must catch each of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from inference.backend import Backend
from inference.checkpoints import DEFAULT_CHECKPOINT_BYTES, Checkpoint, Checkpoints
from inference.controller import Controller, Knowledge
from inference.drafters import Drafter, LookupDrafter
from inference.drafters.copy import CopyDrafter
from inference.drafters.forced import ForcedDrafter
from inference.errors import ContextOverflow, DecodeFailed
from inference.kv_file import SavedSequence
from inference.planner import AlwaysDraft, Planner
from inference.prefix_cache import Disk, DiskPolicy, PrefixCache, Reuse
from inference.request import (
    Branch,
    BranchDecoded,
    BranchFinished,
    Finished,
    FinishReason,
    Request,
    SamplingParams,
    Scored,
    TokensDecoded,
)
from inference.sequence import KVSequence
from inference.step_costs import WIDTHS, StepCosts
from inference.worker import Worker, WorkerOptions
from tests.fakes.drafters import FakeDrafter
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape
from tests.fakes.memory_store import MemoryStore

STOP_IDS = frozenset(range(30))  # of 1000 ids: an answer ends by itself now and then
UNBOUNDED = 1 << 30

EAGER = DiskPolicy(load_gain=1, least_saved=1, least_displaced=1)


class CacheMaker(Protocol):
    """Makes the cache under test, right or faulty."""

    def __call__(self, backend: LedgerBackend, checkpoint_bytes: int, *, disk: Disk | None = None) -> PrefixCache: ...


@dataclass(frozen=True)
class Setup:
    """One engine. ``max_draft`` 0 means that there is no drafter; with ``disk`` sequences are kept there.

    ``lookups`` and ``steps`` (milliseconds by rows) are the controller's; without any, a drafter is always asked.
    """

    shape: LedgerShape
    checkpoint_bytes: int
    max_draft: int
    disk: bool
    lookups: tuple[Callable[[], LookupDrafter], ...]
    steps: tuple[float, ...]

    def planner(self, drafter: Drafter) -> Planner | None:
        if not self.lookups:
            return AlwaysDraft(drafter, self.max_draft) if self.max_draft else None
        steps = StepCosts(dict(zip(WIDTHS, self.steps, strict=False)))
        predictors = [drafter] if self.max_draft else []
        return Controller(Knowledge(steps), [make() for make in self.lookups], predictors, clock=Ticks())


class Ticks:
    """A clock that goes on by a millisecond whenever it is read."""

    def __init__(self) -> None:
        self.read = 0

    def __call__(self) -> float:
        self.read += 1
        return self.read / 1000


@dataclass(frozen=True)
class Step:
    """One request, maybe after a ``restart``: ``kept`` eighths of the transcript ``base`` steps back, then new tokens.

    ``cancel_at`` names the decode, counted in the request, at whose start (or, negative, in whose middle) the user
    cancels; 0 means never. ``checkpoints`` and ``static`` are eighths of the prompt. Odd seeds sample, even ones are
    greedy. ``branches`` (own tokens, max_tokens) fork the prompt; ``score`` asks how likely some continuations are.
    """

    base: int
    kept: int
    new: bytes
    checkpoints: tuple[int, ...]
    max_tokens: int
    cancel_at: int
    seed: int
    static: int
    restart: bool
    branches: tuple[tuple[int, int], ...]
    score: bool


@st.composite
def shapes(draw: st.DrawFn) -> LedgerShape:
    n_batch = draw(st.sampled_from([1, 2, 3, 5, 16]))
    return LedgerShape(
        n_ctx=draw(st.sampled_from([24, 60, 120])),
        n_batch=n_batch,
        n_ubatch=draw(st.sampled_from([1, 2, n_batch])),
        n_swa=draw(st.sampled_from([0, 2, 3, 4, 7])),
        n_sequences=draw(st.sampled_from([1, 1, 2, 3])),
        slack=draw(st.sampled_from([0, 1, 5])),
        torn_aborts=draw(st.booleans()),
    )


@st.composite
def unified(draw: st.DrawFn) -> LedgerShape:
    shape = draw(shapes())
    return replace(shape, unified=True, n_ubatch=shape.n_batch, n_sequences=draw(st.sampled_from([2, 3, 4])))


SETUPS = st.builds(
    Setup,
    shape=st.one_of(shapes(), unified()),
    checkpoint_bytes=st.sampled_from([0, 200, 500, UNBOUNDED]),
    max_draft=st.sampled_from([0, 0, 1, 3, 6]),
    disk=st.booleans(),
    lookups=st.sampled_from([(), (CopyDrafter,), (ForcedDrafter, CopyDrafter), (lambda: CopyDrafter(capacity=64),)]),
    # Rows that cost nothing, rows that cost as on two cores, a cliff.
    steps=st.sampled_from([(5, 5, 5, 5, 5, 5, 5, 5), (42, 68, 96, 120, 168, 267, 324), (10, 10, 10, 10, 50, 50)]),
)
# Few, coarse draws: most of the time of this test is spent in drawing.
STEPS = st.builds(
    Step,
    base=st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 5]),
    kept=st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]),
    new=st.binary(max_size=12),
    checkpoints=st.sampled_from([(), (2,), (4,), (6,), (8,), (1, 7), (0, 3), (2, 4, 6)]),
    max_tokens=st.sampled_from([0, 1, 2, 3, 5, 8, 12]),
    cancel_at=st.sampled_from([0, 0, 0, 0, 0, 1, 2, 4, 8, -1, -2, -4, -8]),
    seed=st.integers(0, 3),
    static=st.sampled_from([0, 0, 0, 2, 5]),
    restart=st.sampled_from([False, False, True]),
    branches=st.sampled_from([(), (), (), ((0, 5),), ((0, 3), (0, 9)), ((2, 4), (0, 0), (7, 6), (0, 6), (1, 2))]),
    score=st.sampled_from([False, False, False, True]),
)
CONVERSATIONS = st.tuples(SETUPS, st.lists(STEPS, min_size=2, max_size=7))


SEARCH = settings(
    max_examples=2200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class HalfRightDrafter(FakeDrafter):
    """Knows the right answer and spoils it at random."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Sequence[int] = ()
        self.random = random.Random(0)

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        right = self.answer[len(tokens) : len(tokens) + limit]
        return [token if self.random.random() < 0.75 else token + 1 for token in right]


@dataclass(frozen=True)
class Outcome:
    ids: tuple[int, ...]
    end: Finished


def serve(worker: Worker, request: Request, cancelled: Callable[[], bool] = lambda: False) -> Outcome:
    events = list(worker.serve(request, cancelled))
    ids = [token for event in events if isinstance(event, TokensDecoded) for token in event.ids]
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.stats.decoded_tokens == len(ids)
    return Outcome(tuple(ids), end)


def fresh_answer(shape: LedgerShape, request: Request) -> Outcome:
    """What an engine says that has read nothing before and speculates on nothing."""
    backend = LedgerBackend(replace(shape, n_sequences=1, n_batch=16, n_ubatch=16, unified=False))
    return serve(Worker(backend, PrefixCache(backend)), replace(request, checkpoints=()))


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class Engine:
    """The engine under test, and what is known about it from outside."""

    def __init__(self, setup: Setup, make_cache: CacheMaker) -> None:
        self.setup = setup
        self.make_cache = make_cache
        self.disk = MemoryStore(setup.shape.n_swa) if setup.disk else None
        self.start()

    def start(self) -> None:
        """A process begins."""
        setup = self.setup
        self.backend = LedgerBackend(setup.shape)
        self.drafter = HalfRightDrafter()
        disk = Disk(self.disk, EAGER) if self.disk else None
        self.cache = self.make_cache(self.backend, setup.checkpoint_bytes, disk=disk)
        self.worker = Worker(
            self.backend,
            self.cache,
            setup.planner(self.drafter),
            WorkerOptions(clock=Ticks()),
        )
        self.saved: set[int] = set()  # checkpoints that must exist: one sequence, no budget, no disk

    def check(self, request: Request, step: Step) -> tuple[int, ...]:
        """Serve the request and compare; the ids that came."""
        if step.restart:
            self.cache.close()
            self.start()
        if len(request.tokens) > self.setup.shape.n_ctx:
            with pytest.raises(ContextOverflow):
                serve(self.worker, request)
            return ()
        expected = fresh_answer(self.setup.shape, request)
        if step.score:
            self.check_scores(request)
        if step.branches:
            self.check_branches(request, step)
        self.drafter.answer = (*request.tokens, *expected.ids)
        self.drafter.random.seed(step.seed)
        at_least = self.must_be_cached(request)
        rows, copies = self.backend.rows_decoded, self.backend.copies
        cancelled = self.cancelling(step)
        got = serve(self.worker, request, cancelled)
        self.compare(request, got, expected)
        stats = got.end.stats
        assert stats.cached_tokens >= at_least, "tokens were read again that were still there"
        if not stats.drafted_tokens:
            decoded = stats.prefilled_tokens + max(0, len(got.ids) - 1)
            # A fork may cost one row, for the copy to be carried out.
            forks = range(self.backend.copies - copies + 1)
            assert self.backend.rows_decoded - rows - decoded in forks, "the count of decoded tokens is wrong"
        self.note_checkpoints(request, stats.cached_tokens, stats.cached_tokens + stats.prefilled_tokens)
        return got.ids

    def cancelling(self, step: Step) -> Callable[[], bool]:
        """What the worker asks; and the abort of the decode in progress is arranged."""
        first = self.backend.decodes
        self.backend.abort_decode = first - step.cancel_at if step.cancel_at < 0 else None

        def cancelled() -> bool:
            decodes = self.backend.decodes - first
            return decodes >= -step.cancel_at if step.cancel_at < 0 else 0 < step.cancel_at <= decodes + 1

        return cancelled

    def check_scores(self, request: Request) -> None:
        """One-hot logits: the right token is e times as likely as any other."""
        self.backend.abort_decode = None
        room = self.setup.shape.n_ctx - len(request.tokens)
        asked = tuple(each[:room] for each in ((5,), (1, 2, 0), (), (0,) * 4))
        events = list(self.worker.serve(replace(request, score=asked), lambda: False))
        [scored] = [event for event in events if isinstance(event, Scored)]
        others = math.log(math.e + self.backend.shape.n_vocab - 1)
        for continuation, log_probs in zip(asked, scored.log_probs, strict=True):
            for at, token in enumerate(continuation):
                before = replace(request, tokens=(*request.tokens, *continuation[:at]), max_tokens=1)
                right = fresh_answer(self.setup.shape, replace(before, sampling=SamplingParams())).ids[0]
                assert log_probs[at] == pytest.approx((token == right) - others, abs=1e-4)
            assert len(log_probs) == len(continuation)

    def check_branches(self, request: Request, step: Step) -> None:
        """Every branch says what it would say alone, and the prompt is read once."""
        sampling = [SamplingParams(request.sampling.temperature, seed=seed) for seed in range(len(step.branches))]
        branches = tuple(
            Branch(tuple(range(own)), max_tokens, sampling[number], STOP_IDS)
            for number, (own, max_tokens) in enumerate(step.branches)
        )
        asked = replace(request, branches=branches)
        if len(request.tokens) + max(len(branch.tokens) for branch in branches) > self.setup.shape.n_ctx:
            with pytest.raises(ContextOverflow):
                list(self.worker.serve(asked, lambda: False))
            return
        rows, copies = self.backend.rows_decoded, self.backend.copies
        events = list(self.worker.serve(asked, self.cancelling(step)))
        end = events[-1]
        assert isinstance(end, Finished)
        wanted = 0
        for number, branch in enumerate(branches):
            alone = replace(request, tokens=(*request.tokens, *branch.tokens), max_tokens=branch.max_tokens)
            expected = fresh_answer(self.setup.shape, replace(alone, sampling=branch.sampling))
            ids = [
                i for event in events if isinstance(event, BranchDecoded) and event.branch == number for i in event.ids
            ]
            ends = [event.reason for event in events if isinstance(event, BranchFinished) and event.branch == number]
            assert tuple(ids) == expected.ids[: len(ids)]
            if end.reason is not FinishReason.CANCELLED:
                assert (tuple(ids), ends) == (expected.ids, [expected.end.reason])
            wanted += (len(branch.tokens) if branch.max_tokens else 0) + max(0, len(ids) - 1)
        decoded = self.backend.rows_decoded - rows - end.stats.prefilled_tokens
        roomy = self.setup.checkpoint_bytes == UNBOUNDED and not self.setup.shape.unified
        if roomy and end.reason is not FinishReason.CANCELLED:
            assert decoded - wanted in range(self.backend.copies - copies + 1), "something was read twice"

    def compare(self, request: Request, got: Outcome, expected: Outcome) -> None:
        if got.end.reason is FinishReason.CANCELLED:
            assert got.ids == expected.ids[: len(got.ids)]
        else:
            assert (got.ids, got.end.reason) == (expected.ids, expected.end.reason)
            assert got.end.stats.cached_tokens + got.end.stats.prefilled_tokens == len(request.tokens)

    def must_be_cached(self, request: Request) -> int:
        """How many tokens are there to be reused, as the memory itself knows, the checkpoints taken, and the disk."""
        found = self.disk.find(request.tokens[:-1]) if self.disk else None
        best = found.usable if found else 0
        for sequence in range(self.setup.shape.n_sequences):
            common = common_prefix(self.backend.resident(sequence), request.tokens[:-1])
            if self.backend.intact(sequence, common):
                best = max(best, common)
            if self.setup.shape.n_sequences == 1 and self.setup.checkpoint_bytes == UNBOUNDED and not self.disk:
                best = max([best, *(position for position in self.saved if position <= common)])
        return best

    def note_checkpoints(self, request: Request, cached: int, read: int) -> None:
        if self.setup.shape.n_swa:
            self.saved = {p for p in self.saved if p <= cached}
            self.saved |= {p for p in request.checkpoints if max(1, cached) <= p < read}


def holds(setup: Setup, steps: Sequence[Step], make_cache: CacheMaker) -> None:
    """The property: every request of the conversation is answered as by a fresh engine, and nothing is read twice."""
    engine = Engine(setup, make_cache)
    transcripts: list[tuple[int, ...]] = [()]
    for number, step in enumerate(steps):
        base = transcripts[-1 - step.base % len(transcripts)]
        # Three different new tokens: prompts often agree by chance beyond the transcript they continue.
        tokens = (*base[: len(base) * step.kept // 8], *(byte % 3 for byte in step.new)) or (7,)
        request = Request(
            id=str(number),
            tokens=tokens,
            max_tokens=step.max_tokens,
            sampling=SamplingParams(temperature=step.seed % 2, seed=step.seed),
            stop_ids=STOP_IDS,
            checkpoints=tuple(sorted({len(tokens) * eighth // 8 for eighth in step.checkpoints})),
            static=len(tokens) * step.static // 8,
        )
        transcripts.append((*tokens, *engine.check(request, step)))


@pytest.mark.slow
@SEARCH
@given(CONVERSATIONS)
def test_reuse_and_speculation_answer_like_a_fresh_engine_and_read_nothing_twice(
    conversation: tuple[Setup, list[Step]],
) -> None:
    setup, steps = conversation
    holds(setup, steps, PrefixCache)


def test_an_append_only_conversation_reads_each_token_once() -> None:
    for n_swa in (0, 4):
        backend = LedgerBackend(LedgerShape(n_ctx=2000, n_batch=5, n_ubatch=5, n_swa=n_swa))
        worker = Worker(backend, PrefixCache(backend))
        tokens: tuple[int, ...] = tuple(range(40))
        for turn in range(20):
            got = serve(worker, Request(str(turn), tokens, 12, checkpoints=(len(tokens) - 3,)))
            tokens = (*tokens, *got.ids)
            assert backend.rows_decoded == len(tokens) - 1  # the last one has not been decoded yet
            tokens = (*tokens, *range(turn, turn + 11))


class OneTokenTooMany(KVSequence):
    def reusable(self, tokens: Sequence[int]) -> int:
        return min(self.common_prefix(tokens) + 1, len(tokens) - 1, len(self))


class NoTokenLeftForLogits(KVSequence):
    def reusable(self, tokens: Sequence[int]) -> int:
        return self.common_prefix(tokens)


class WindowOffByOne(KVSequence):
    def can_cut(self, length: int, pos_min: int, n_swa: int) -> bool:
        return super().can_cut(length + 1, pos_min, n_swa)


class WindowRuleForgotten(KVSequence):
    def can_cut(self, length: int, pos_min: int, n_swa: int) -> bool:
        return True


class WindowRuleTooStrict(KVSequence):
    def can_cut(self, length: int, pos_min: int, n_swa: int) -> bool:
        return n_swa == 0 or super().can_cut(length - 1, pos_min, n_swa)


class NoTrim(PrefixCache):
    def trim(self, sequence: KVSequence, length: int) -> None:
        sequence.cut(length)


class TrimOneTooFew(PrefixCache):
    def trim(self, sequence: KVSequence, length: int) -> None:
        super().trim(sequence, min(length + 1, len(sequence)))


class TrimOneTooMany(PrefixCache):
    def trim(self, sequence: KVSequence, length: int) -> None:
        super().trim(sequence, max(0, length - 1))


class TornRowsLeft(PrefixCache):
    def trim(self, sequence: KVSequence, length: int) -> None:
        if length < len(sequence):
            super().trim(sequence, length)


class DropForgetsTheMemory(PrefixCache):
    def drop(self, sequence: KVSequence) -> None:
        sequence.cut(0)


class FaultyCheckpoints(PrefixCache):
    kind: type[Checkpoints]

    def __init__(
        self,
        backend: Backend,
        checkpoint_bytes: int = DEFAULT_CHECKPOINT_BYTES,
        sequence_type: type[KVSequence] = KVSequence,
        disk: Disk | None = None,
        left_to_others: int = 0,
    ) -> None:
        super().__init__(backend, checkpoint_bytes, sequence_type, disk, left_to_others)
        self._checkpoints = self.kind(range(backend.info.n_sequences), checkpoint_bytes)


class _NothingForgotten(Checkpoints):
    def forget_beyond(self, sequence: int, length: int) -> None:
        pass


class CheckpointsOutliveTheCut(FaultyCheckpoints):
    kind = _NothingForgotten


class _NextPosition(Checkpoints):
    def nearest(self, sequence: int, length: int) -> Checkpoint | None:
        return super().nearest(sequence, length + 1)


class CheckpointOfTheNextPosition(FaultyCheckpoints):
    kind = _NextPosition


class _OldestOnly(Checkpoints):
    def nearest(self, sequence: int, length: int) -> Checkpoint | None:
        return next((c for c in self.of(sequence) if c.position <= length), None)


class OldestCheckpointOnly(FaultyCheckpoints):
    kind = _OldestOnly


class CheckpointSavedOnePositionLate(PrefixCache):
    def save_checkpoint(self, sequence: KVSequence, requested: bool = True) -> None:
        super().save_checkpoint(sequence, requested)
        late = [
            replace(c, position=c.position + 1) if c.position == len(sequence) else c
            for c in self._checkpoints.of(sequence.id)
        ]
        self._checkpoints.replace(sequence.id, late)


class WindowUsedBeforeTheCopy(PrefixCache):
    def _copy(self, source: KVSequence, target: KVSequence, matched: int) -> None:
        self._backend.seq_cp(source.id, target.id, 0, -1)
        target.copy_from(source)
        self._checkpoints.replace(target.id, self._checkpoints.of(source.id))


class RestoreWithoutCut(PrefixCache):
    def _restore(self, sequence: KVSequence, length: int) -> None:
        checkpoint = self._checkpoints.nearest(sequence.id, length)
        if checkpoint is None:
            self.drop(sequence)
            return
        self._backend.load_window(sequence.id, checkpoint.data)
        sequence.cut(checkpoint.position)
        self._checkpoints.forget_beyond(sequence.id, checkpoint.position)


class ForkWithoutCopy(PrefixCache):
    def _place(self, source: KVSequence, matched: int) -> KVSequence:
        target = self._sequences[0]
        if target is not source:
            target.copy_from(source)
        return target


class LoadedAndNotCut(PrefixCache):
    def _load_saved(self, target: KVSequence, saved: SavedSequence) -> bool:
        loaded = super()._load_saved(target, saved)
        target.cut(len(saved.tokens) // 2)
        return loaded


class LoadedOneTokenShort(PrefixCache):
    def _load_saved(self, target: KVSequence, saved: SavedSequence) -> bool:
        return super()._load_saved(target, replace(saved, tokens=saved.tokens[:-1]))


class CheckpointsLeftBehind(PrefixCache):
    def _load_saved(self, target: KVSequence, saved: SavedSequence) -> bool:
        return super()._load_saved(target, replace(saved, windows=()))


class CheckpointsLoadedOnePositionEarly(PrefixCache):
    def _load_saved(self, target: KVSequence, saved: SavedSequence) -> bool:
        early = tuple(replace(w, position=max(1, w.position - 1)) for w in saved.windows)
        return super()._load_saved(target, replace(saved, windows=early))


class SavedWithAnotherConversation(PrefixCache):
    def _snapshot(self, sequence: KVSequence, *, static: bool = False) -> SavedSequence:
        saved = super()._snapshot(sequence, static=static)
        return replace(saved, state=self._backend.save_sequence(self._sequences[0].id))


class SavedAfterTheNextTokens(PrefixCache):
    def save_static(self, sequence: KVSequence) -> None:
        longer = KVSequence(sequence.id)
        longer.replace([*sequence.tokens, 1])
        super().save_static(longer)


class DiskForgotten(PrefixCache):
    def _from_disk(self, tokens: Sequence[int], kept: int) -> Reuse | None:
        return None


class BranchesNotHeld(PrefixCache):
    def fork(self, source: KVSequence, length: int) -> KVSequence | None:
        sequence = super().fork(source, length)
        if sequence is not None:
            self.release(sequence)
        return sequence


class BranchesOneTokenShort(PrefixCache):
    def fork(self, source: KVSequence, length: int) -> KVSequence | None:
        sequence = super().fork(source, length)
        if sequence is not None and len(sequence) == length:
            self._backend.seq_rm(sequence.id, length - 1, -1)
        return sequence


class BranchesShareTheRing(PrefixCache):
    def _own_window(self, sequence: KVSequence) -> bool:
        return True


def with_sequences(fault: type[KVSequence]) -> CacheMaker:
    def make(backend: LedgerBackend, checkpoint_bytes: int, *, disk: Disk | None = None) -> PrefixCache:
        return PrefixCache(backend, checkpoint_bytes, sequence_type=fault, disk=disk)

    return make


FAULTS: dict[str, CacheMaker] = {
    "no trim": NoTrim,
    "trimmed one token too few": TrimOneTooFew,
    "trimmed one token too many": TrimOneTooMany,
    "rows of an aborted decode left": TornRowsLeft,
    "a dropped sequence stays in memory": DropForgetsTheMemory,
    "checkpoints outlive the cut": CheckpointsOutliveTheCut,
    "the checkpoint after the right one": CheckpointOfTheNextPosition,
    "a checkpoint one position late": CheckpointSavedOnePositionLate,
    "always the oldest checkpoint": OldestCheckpointOnly,
    "restored and not cut": RestoreWithoutCut,
    "forked and not copied": ForkWithoutCopy,
    "window used before the copy is carried out": WindowUsedBeforeTheCopy,
    "loaded and not cut": LoadedAndNotCut,
    "loaded one token short": LoadedOneTokenShort,
    "checkpoints left behind on disk": CheckpointsLeftBehind,
    "checkpoints loaded one position early": CheckpointsLoadedOnePositionEarly,
    "saved with another conversation's state": SavedWithAnotherConversation,
    "a static prefix saved as one token longer": SavedAfterTheNextTokens,
    "what is on disk is read again": DiskForgotten,
    "the sequence of a branch is not held": BranchesNotHeld,
    "a branch lacks the prompt's last token": BranchesOneTokenShort,
    "branches share the rows of the ring": BranchesShareTheRing,
    "one token too many reused": with_sequences(OneTokenTooMany),
    "no token left to decode": with_sequences(NoTokenLeftForLogits),
    "window rule off by one": with_sequences(WindowOffByOne),
    "window rule forgotten": with_sequences(WindowRuleForgotten),
    "window rule one too strict": with_sequences(WindowRuleTooStrict),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_property_catches_a_seeded_fault(fault: str) -> None:
    def breaks(conversation: tuple[Setup, list[Step]]) -> bool:
        try:
            holds(*conversation, FAULTS[fault])
        except (AssertionError, DecodeFailed, ValueError, IndexError):
            return True
        return False

    # Raises NoSuchExample when the fault goes unnoticed.
    find(CONVERSATIONS, breaks, settings=settings(SEARCH, phases=[Phase.generate]), random=random.Random(1))

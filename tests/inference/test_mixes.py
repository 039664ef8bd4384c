"""Every mix of drafters, and whatever the controller plans, on llama.cpp itself: the output is padded plain decoding's.

At temperature 1 the draws have the target's distribution; a loop that is drafted whole is stopped all the same.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from inference.backend.llama_cpp import LlamaCppBackend
from inference.controller import Controller, Knowledge
from inference.drafters import Drafter, Drafting, Generation, Lookup
from inference.drafters.copy import CopyDrafter
from inference.drafters.forced import ForcedDrafter
from inference.drafters.load import load_drafter
from inference.planner import Outcome, Planner, Planning
from inference.prefix_cache import PrefixCache
from inference.request import DrafterStats, FinishReason, Grammar, Request, SamplingParams
from inference.step_costs import WIDTHS, StepCosts
from inference.worker import Worker
from tests.constructed_gemma4 import Shape, drafter, target
from tests.fakes.drafters import FakeDrafter
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape
from tests.inference.padded import ENDLESS, PAD, PROMPT, TEXT, check_written_plainly, drafting_worker, serve
from tests.inference.test_worker import end_of, ids_of
from tests.inference.test_worker import serve as serve_events

FREE_ROWS = dict.fromkeys(WIDTHS, 10.0)


@dataclass
class AtRandom:
    """A Planner that mixes drafters and lengths by dice: MTP, copies, and each cut anywhere before the other."""

    mtp: Drafter
    longest: int
    seed: int = 0
    used: Counter[str] = field(default_factory=Counter[str])

    def begin(self, generation: Generation) -> Planning:
        return RandomPlanning(self, CopyDrafter().begin(generation), self.mtp.begin(generation))

    def close(self) -> None:
        self.mtp.close()


class RandomPlanning:
    def __init__(self, owner: AtRandom, copy: Lookup, mtp: Drafting) -> None:
        self.owner, self.copy, self.mtp = owner, copy, mtp
        self.dice = random.Random(owner.seed)

    def follow(self, tokens: Sequence[int], row: int) -> None:
        self.copy.follow(tokens, row)
        self.mtp.follow(tokens, row)

    def plan(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        limit = min(limit, self.dice.randint(1, self.owner.longest))
        if limit < 1:
            return ()
        way = self.dice.choice(("mtp", "copy", "mtp, then copy", "pad"))
        ids: list[int] = []
        if "mtp" in way:
            ids += self.mtp.draft(tokens, self.dice.randint(1, limit))
        if "copy" in way and len(ids) < limit:
            ids += self.copy.propose(limit - len(ids), ids).ids
        self.owner.used[way if ids else "pad"] += 1
        return ids[:limit] or (PAD,)

    def settle(self, outcome: Outcome) -> None: ...

    def stats(self) -> tuple[DrafterStats, ...]:
        return ()

    def close(self) -> None:
        self.copy.close()
        self.mtp.close()


@dataclass
class Padded:
    """Another planner, whose plain steps get a second row: a CPU computes one row with other kernels."""

    inner: Planner

    def begin(self, generation: Generation) -> Planning:
        return PaddedPlanning(self.inner.begin(generation))

    def close(self) -> None:
        self.inner.close()


class PaddedPlanning:
    def __init__(self, inner: Planning) -> None:
        self.inner = inner
        self.follow, self.settle, self.stats, self.close = inner.follow, inner.settle, inner.stats, inner.close

    def plan(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        return self.inner.plan(tokens, limit) or ((PAD,) if limit else ())


def repeating(count: int) -> Request:
    """A prompt whose stretches come again, so that there is something to copy."""
    dice = random.Random(3)
    piece = dice.choices(TEXT, k=40)
    return Request("a", (*PROMPT, *piece, *piece[5:30], *piece), count)


@pytest.mark.parametrize("seed", [0, 1])
def test_any_mix_of_drafters_writes_what_padded_plain_decoding_writes(seed: int) -> None:
    check_mix(Shape(context_gain=0.6), 300, 15, seed)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [Shape(context_gain=0.6), Shape(window=64, layers=6, shared_layers=2)], ids=str)
@pytest.mark.parametrize("longest", [1, 2, 3, 7, 15])
def test_any_mix_writes_1500_tokens_of_padded_plain_decoding(shape: Shape, longest: int) -> None:
    check_mix(shape, 1500, longest, longest)


def check_mix(shape: Shape, count: int, longest: int, seed: int) -> None:
    request = repeating(count)
    backend = LlamaCppBackend.load(target(shape), n_ctx=4096, n_batch=64, n_threads=1)
    mtp = load_drafter(drafter(shape, knows=0.8), target(shape), backend, n_threads=1)
    planner = AtRandom(mtp, longest, seed)
    with closing(backend), closing(planner):
        got = serve(Worker(backend, PrefixCache(backend), planner, ENDLESS), request)
    assert len(got.ids) == request.max_tokens
    check_written_plainly(shape, request, got.ids)
    assert 0 < got.stats.accepted_tokens < got.stats.drafted_tokens
    assert min(planner.used[way] for way in ("mtp", "pad")) > 0
    assert planner.used["copy"] + planner.used["mtp, then copy"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("steps", [FREE_ROWS, {1: 42.0, 2: 68.0, 4: 120.0, 8: 267.0, 16: 336.0}], ids=["free", "dear"])
@pytest.mark.parametrize("knows", [0.2, 0.99])
def test_whatever_the_controller_plans_the_output_is_the_same(steps: dict[int, float], knows: float) -> None:
    shape, request = Shape(context_gain=0.6), repeating(1500)
    backend = LlamaCppBackend.load(target(shape), n_ctx=4096, n_batch=16, n_threads=1)
    mtp = load_drafter(drafter(shape, knows=knows), target(shape), backend, n_threads=1)
    planner = Padded(Controller(Knowledge(StepCosts(steps)), (ForcedDrafter(), CopyDrafter()), (mtp,)))
    with closing(backend), closing(planner):
        got = serve(Worker(backend, PrefixCache(backend), planner, ENDLESS), request)
    assert len(got.ids) == request.max_tokens
    check_written_plainly(shape, request, got.ids)
    assert got.stats.drafted_tokens > 0


# Distribution


class MostLikely(FakeDrafter):
    """Always drafts the same ids, which come now and then."""

    def __init__(self, *ids: int) -> None:
        super().__init__()
        self.ids = ids

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        return self.ids[:limit]


def chi_square_bound(freedom: int) -> float:
    """What a chi-square of so many degrees of freedom exceeds once in 1,000 times (Wilson and Hilferty)."""
    return freedom * (1 - 2 / (9 * freedom) + 3.09 * (2 / (9 * freedom)) ** 0.5) ** 3


@pytest.mark.slow
def test_what_is_drawn_at_temperature_1_has_the_targets_distribution() -> None:
    """The second and third tokens of 3,000 outputs each, drafted and not, with different random numbers."""
    shape = Shape(context_gain=0.6)
    params = SamplingParams(temperature=1.0, top_k=6, top_p=1.0)

    def drawn(ids: tuple[int, ...], first_seed: int) -> Counter[tuple[int, int]]:
        counts: Counter[tuple[int, int]] = Counter()
        with drafting_worker(shape, lambda _backend, _shape: MostLikely(*ids), 3) as worker:
            for seed in range(first_seed, first_seed + 3000):
                sampling = SamplingParams(params.temperature, params.top_k, params.top_p, seed=seed)
                answer = serve(worker, Request("a", PROMPT, 5, sampling))
                counts[answer.ids[1], answer.ids[2]] += 1
        return counts

    plain = drawn((PAD,), 0)
    likely = next(iter(plain.most_common(1)))[0]
    drafted = drawn(likely, 100_000)
    pairs = [pair for pair in plain | drafted if plain[pair] + drafted[pair] >= 20]
    statistic = sum((plain[pair] - drafted[pair]) ** 2 / (plain[pair] + drafted[pair]) for pair in pairs)
    assert len(pairs) > 5
    assert statistic < chi_square_bound(len(pairs) - 1)


# Loops


def test_a_loop_that_is_drafted_whole_is_stopped_where_it_would_be_without() -> None:
    """Copies run ahead of a loop with 63 tokens at once; the guard looks at each token all the same."""
    request = Request("a", (1, 2, 3), 1500, grammar=Grammar("start: /(abc){500}/", from_start=True))
    answers: list[tuple[int, FinishReason]] = []
    decodes: list[int] = []
    for planner in (None, Controller(Knowledge(StepCosts(FREE_ROWS)), (CopyDrafter(),))):
        backend = LedgerBackend(LedgerShape(n_vocab=258, n_ctx=2000, n_batch=64, n_ubatch=64))
        events = serve_events(Worker(backend, PrefixCache(backend), planner), request)
        answers.append((len(ids_of(events)), end_of(events).reason))
        decodes.append(backend.decodes)
    assert answers[0] == answers[1]
    assert answers[0][1] is FinishReason.REPETITION
    assert decodes[1] < decodes[0] / 10


def test_forced_tokens_and_what_is_copied_behind_them_are_drafted_together() -> None:
    source = b"a long text that stands in the prompt and comes again"
    lark = f'start: "<<" /.*{source.decode()}/ ">>"'
    request = Request("a", tuple(b"<<" + source), 200, grammar=Grammar(lark, from_start=True, then_stop=True))
    backend = LedgerBackend(LedgerShape(n_vocab=258, n_ctx=2000, n_batch=64, n_ubatch=64))
    plain = ids_of(serve_events(Worker(backend, PrefixCache(backend)), request))
    backend = LedgerBackend(LedgerShape(n_vocab=258, n_ctx=2000, n_batch=64, n_ubatch=64))
    controller = Controller(Knowledge(StepCosts(FREE_ROWS)), (ForcedDrafter(), CopyDrafter()))
    events = serve_events(Worker(backend, PrefixCache(backend), controller), request)
    assert ids_of(events) == plain
    assert {each.name for each in end_of(events).stats.drafters} >= {"forced"}

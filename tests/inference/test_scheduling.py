"""Whose turn it is: shares of time, slots, background work; and that turns never mix two requests up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.drafters import Generation
from inference.errors import DecodeFailed
from inference.jobs import Job
from inference.planner import AlwaysDraft
from inference.prefix_cache import PrefixCache
from inference.request import (
    EngineEvent,
    Finished,
    FinishReason,
    PrefillProgress,
    Request,
    SamplingParams,
    Stats,
    TokensDecoded,
)
from inference.scheduling import ALONE_SECONDS, SHARED_SECONDS, FairShares, Scheduler
from inference.worker import Worker
from tests.fakes.drafters import FakeDrafter
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape

END = Finished(FinishReason.LENGTH, Stats())


@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 2.0)), min_size=60, max_size=200))
@settings(max_examples=100, deadline=None)
def test_two_busy_clients_get_equal_time_whatever_their_steps_cost(steps: list[tuple[bool, float]]) -> None:
    shares = FairShares()
    had = {"a": 0.0, "b": 0.0}
    for _, seconds in steps:
        client = shares.next(["a", "b"])
        shares.charge(client, seconds)
        had[client] += seconds
    assert abs(had["a"] - had["b"]) <= 2.0, "by no more than the longest step"


def test_a_client_that_was_away_saves_up_no_time() -> None:
    shares = FairShares()
    for _ in range(100):
        shares.charge(shares.next(["a"]), 1.0)
    turns: list[str] = []
    for _ in range(10):
        turns.append(shares.next(["a", "b"]))
        shares.charge(turns[-1], 1.0)
    assert turns.count("b") == 5


def test_many_short_requests_get_no_more_than_one_long_one() -> None:
    shares = FairShares()
    had = {"short": 0.0, "long": 0.0}
    for number in range(300):
        there = ["long", "short"] if number % 2 else ["long"]  # gone after each of its steps, and back
        client = shares.next(there)
        seconds = 1.0 if client == "short" else 0.1
        shares.charge(client, seconds)
        had[client] += seconds
    assert had["short"] <= had["long"] + 1.0


@dataclass
class Script:
    """A serve function whose steps cost what they are told; ``served`` is the order of steps by request id."""

    cost: dict[str, float] = field(default_factory=dict[str, float])
    now: float = 0.0
    served: list[str] = field(default_factory=list[str])
    paces: list[float] = field(default_factory=list[float])

    def serve(
        self, request: Request, cancelled: Callable[[], bool], pace: Callable[[], float]
    ) -> Generator[EngineEvent]:
        for number in range(request.max_tokens):
            if cancelled():
                break
            self.paces.append(pace())
            self.served.append(request.id)
            self.now += self.cost.get(request.id, 1.0)
            yield TokensDecoded((number,))
        yield END


class MakeJob(Protocol):
    def __call__(self, name: str, client: str, steps: int = 3, background: bool = False) -> Job: ...


@contextmanager
def jobs() -> Generator[MakeJob]:
    """A maker of jobs whose events nobody reads."""
    loop = asyncio.new_event_loop()

    def make(name: str, client: str, steps: int = 3, background: bool = False) -> Job:
        return Job(Request(name, (1,), steps, background=background), client, loop)

    try:
        yield make
    finally:
        loop.close()


def run(scheduler: Scheduler, limit: int = 1000) -> None:
    while not scheduler.idle and limit:
        scheduler.step(scheduler.next())
        limit -= 1


def test_requests_of_one_client_follow_each_other_and_clients_take_turns() -> None:
    script = Script()
    scheduler = Scheduler(script.serve, slots=4, clock=lambda: script.now)
    with jobs() as job:
        for name, client in (("a1", "a"), ("a2", "a"), ("b1", "b")):
            scheduler.add(job(name, client))
        run(scheduler)
    assert script.served == ["a1", "b1", "a1", "b1", "a1", "b1", "a2", "a2", "a2"]


def test_a_dear_step_is_paid_for_with_turns_of_others() -> None:
    script = Script(cost={"read": 5.0})
    scheduler = Scheduler(script.serve, slots=2, clock=lambda: script.now)
    with jobs() as job:
        scheduler.add(job("read", "a", 4))
        scheduler.add(job("chat", "b", 15))
        run(scheduler)
    assert script.served[:18] == ["read", *["chat"] * 5] * 3


def test_no_more_requests_are_under_way_than_there_are_slots() -> None:
    script = Script()
    scheduler = Scheduler(script.serve, slots=2, clock=lambda: script.now)
    with jobs() as job:
        for name in "abc":
            scheduler.add(job(name, name))
        run(scheduler)
    assert set(script.served[:6]) == {"a", "b"}
    assert script.served[6:] == ["c"] * 3


def test_background_work_waits_until_nobody_else_does() -> None:
    script = Script()
    scheduler = Scheduler(script.serve, slots=2, clock=lambda: script.now)
    with jobs() as job:
        scheduler.add(job("ahead", "a", background=True))
        scheduler.add(job("chat", "b"))
        scheduler.add(job("more", "b"))
        run(scheduler)
    assert script.served == ["chat"] * 3 + ["more"] * 3 + ["ahead"] * 3


def test_chunks_are_short_while_others_are_served() -> None:
    script = Script()
    scheduler = Scheduler(script.serve, slots=2, clock=lambda: script.now)
    with jobs() as job:
        scheduler.add(job("a", "a", 2))
        scheduler.step(scheduler.next())
        scheduler.add(job("b", "b", 1))
        run(scheduler)
    assert script.paces == [ALONE_SECONDS, SHARED_SECONDS, SHARED_SECONDS]


def test_a_cancelled_request_is_ended_before_others_go_on() -> None:
    script = Script(cost={"a": 100.0})
    scheduler = Scheduler(script.serve, slots=2, clock=lambda: script.now)
    with jobs() as job:
        first = job("a", "a")
        scheduler.add(first)
        scheduler.add(job("b", "b", 50))
        scheduler.step(scheduler.next())
        first.cancelled.set()
        turn = scheduler.next()
        assert turn.job is first
        assert scheduler.step(turn) == END


class Spoilt(FakeDrafter):
    """Knows the right answer of one request and spoils some of it."""

    def __init__(self, answer: Sequence[int]) -> None:
        super().__init__()
        self.answer = answer

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        right = self.answer[len(tokens) : len(tokens) + limit]
        return [token + (place % 3 == 2) for place, token in enumerate(right)]


class SpoiltForEach(FakeDrafter):
    """A Spoilt one for each request that is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Sequence[int]] = {}

    def begin(self, generation: Generation) -> Spoilt:
        return Spoilt(self.answers[generation.request.id])


def fresh_ids(shape: LedgerShape, request: Request) -> list[int]:
    backend = LedgerBackend(replace(shape, n_sequences=1))
    return ids_of(list(Worker(backend, PrefixCache(backend)).serve(request, lambda: False)))


def ids_of(events: Sequence[EngineEvent]) -> list[int]:
    return [token for event in events if isinstance(event, TokensDecoded) for token in event.ids]


def interleave(worker: Worker, requests: Sequence[Request], dice: random.Random, chunk: float) -> list[list[int]]:
    """The ids of each request, all served at once by random turns."""
    events: list[list[EngineEvent]] = [[] for _ in requests]
    under_way = {i: worker.serve(request, lambda: False, lambda: chunk) for i, request in enumerate(requests)}
    while under_way:
        chosen = dice.choice(list(under_way))
        event = next(under_way[chosen])
        events[chosen].append(event)
        if isinstance(event, Finished):
            del under_way[chosen]
    return [ids_of(each) for each in events]


@given(
    st.sampled_from([0, 3, 5]),
    st.sampled_from([2, 3]),
    st.booleans(),
    st.integers(0, 10_000),
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=30), min_size=1, max_size=5),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_requests_served_by_turns_answer_like_fresh_engines(
    n_swa: int, n_sequences: int, drafting: bool, seed: int, rounds: list[list[int]]
) -> None:
    shape = LedgerShape(n_ctx=400, n_batch=64, n_ubatch=64, n_swa=n_swa, n_sequences=n_sequences)
    backend, drafter, dice = LedgerBackend(shape), SpoiltForEach(), random.Random(seed)
    worker = Worker(backend, PrefixCache(backend), AlwaysDraft(drafter, 4) if drafting else None)
    transcripts = [[7]]
    for number, new in enumerate(rounds):
        requests: list[Request] = []
        for each in range(n_sequences):
            base = dice.choice(transcripts)
            tokens = (*base[: dice.randrange(len(base) + 1)], *new, *[each] * dice.randrange(40), 5)
            sampling = SamplingParams(temperature=dice.randrange(2), seed=each)
            checkpoints = (len(tokens) // 2,) if len(tokens) > 2 else ()
            requests.append(Request(f"{number}.{each}", tokens, dice.randrange(12), sampling, checkpoints=checkpoints))
        expected = [fresh_ids(shape, request) for request in requests]
        drafter.answers = {r.id: (*r.tokens, *ids) for r, ids in zip(requests, expected, strict=True)}
        assert interleave(worker, requests, dice, 0.0) == expected
        transcripts += [[*r.tokens, *ids] for r, ids in zip(requests, expected, strict=True)]


class ForgetsToHold(PrefixCache):
    def hold(self, sequence: object) -> None:
        pass


def test_a_cache_that_does_not_hold_busy_sequences_is_caught() -> None:
    backend = LedgerBackend(LedgerShape(n_ctx=400, n_sequences=2))
    worker = Worker(backend, ForgetsToHold(backend))
    requests = [Request("a", (1, 2, 3, 4), 10), Request("b", (1, 2, 3, 5), 10)]
    expected = [fresh_ids(backend.shape, request) for request in requests]

    def broken(seed: int) -> bool:
        try:
            return interleave(worker, requests, random.Random(seed), 0.0) != expected
        except (AssertionError, DecodeFailed):
            return True

    assert any(broken(seed) for seed in range(20))


@pytest.mark.parametrize("chunk", [0.0, 100.0])
def test_the_pace_decides_how_much_is_read_at_once(chunk: float) -> None:
    backend = LedgerBackend(LedgerShape(n_ctx=1000, n_batch=256))
    worker = Worker(backend, PrefixCache(backend))
    events = list(worker.serve(Request("a", tuple(range(300)), 0), lambda: False, lambda: chunk))
    done = [event.done for event in events if isinstance(event, PrefillProgress)]
    assert done == ([0, *range(32, 300, 32), 300] if not chunk else [0, 256, 300])

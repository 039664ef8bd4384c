"""One request at a time on the worker; sequences of requests are the ledger test's matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from inference.errors import ContextOverflow, DecodeFailed, InvalidGrammar
from inference.planner import AlwaysDraft
from inference.prefix_cache import PrefixCache
from inference.request import (
    DrafterStats,
    EngineEvent,
    Finished,
    FinishReason,
    Grammar,
    PrefillProgress,
    Request,
    TokensDecoded,
)
from inference.worker import Worker, WorkerOptions
from tests.fakes.drafters import FakeDrafter
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape

PROMPT = tuple(range(40))
BYTES = LedgerShape(n_vocab=258, n_ctx=2000)  # the ids of the ByteTokenizer


def make(shape: LedgerShape | None = None, drafter: Repeater | None = None) -> tuple[LedgerBackend, Worker]:
    backend = LedgerBackend(shape)
    return backend, Worker(backend, PrefixCache(backend), AlwaysDraft(drafter) if drafter else None)


def serve(worker: Worker, request: Request) -> list[EngineEvent]:
    return list(worker.serve(request, lambda: False))


def ids_of(events: Sequence[EngineEvent]) -> list[int]:
    return [token for event in events if isinstance(event, TokensDecoded) for token in event.ids]


def end_of(events: Sequence[EngineEvent]) -> Finished:
    end = events[-1]
    assert isinstance(end, Finished)
    return end


class Repeater(FakeDrafter):
    """Drafts one token again and again."""

    def __init__(self, token: int) -> None:
        super().__init__()
        self.token = token

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        return [self.token] * limit


def test_prefill_is_told_chunk_by_chunk_and_the_time_left_is_measured() -> None:
    seconds = iter(range(1000))
    backend = LedgerBackend(LedgerShape(n_batch=16, n_ubatch=16))
    worker = Worker(backend, PrefixCache(backend), options=WorkerOptions(clock=lambda: next(seconds)))
    progress = [event for event in serve(worker, Request("a", PROMPT, 1)) if isinstance(event, PrefillProgress)]
    assert [(event.done, event.total, event.cached) for event in progress] == [
        (0, 40, 0),
        (16, 40, 0),
        (32, 40, 0),
        (40, 40, 0),
    ]
    assert progress[1].seconds_left == pytest.approx(24 / 16), "16 tokens took one second of this clock"
    assert progress[3].seconds_left == 0


def test_the_speed_measured_by_one_request_foretells_the_next() -> None:
    seconds = iter(range(1000))
    backend = LedgerBackend(LedgerShape(n_batch=20, n_ubatch=20))
    worker = Worker(backend, PrefixCache(backend), options=WorkerOptions(clock=lambda: next(seconds)))
    serve(worker, Request("a", PROMPT, 1))
    first = serve(worker, Request("b", tuple(range(100, 160)), 1))[0]
    assert isinstance(first, PrefillProgress)
    assert first.seconds_left == pytest.approx(60 / 20)


def test_a_prompt_may_fill_the_context_but_not_overflow_it() -> None:
    _, worker = make(LedgerShape(n_ctx=40))
    end = end_of(serve(worker, Request("a", PROMPT, 100)))
    assert (end.reason, end.stats.decoded_tokens) == (FinishReason.LENGTH, 1)
    with pytest.raises(ContextOverflow) as overflow:
        serve(worker, Request("b", (*PROMPT, 1), 100))
    assert (overflow.value.needed, overflow.value.available) == (41, 40)


def test_an_answer_ends_where_the_context_does() -> None:
    _, worker = make(LedgerShape(n_ctx=45))
    events = serve(worker, Request("a", PROMPT, 100))
    assert end_of(events).reason is FinishReason.LENGTH
    assert len(ids_of(events)) == 6, "five that fit, and one that has not been read yet"


def test_an_empty_prompt_is_refused() -> None:
    _, worker = make()
    with pytest.raises(ValueError, match="at least one token"):
        serve(worker, Request("a", (), 5))


def test_no_output_wanted_means_that_the_prompt_is_only_read() -> None:
    backend, worker = make()
    end = end_of(serve(worker, Request("a", PROMPT, 0)))
    assert (end.reason, end.stats.prefilled_tokens, end.stats.decoded_tokens) == (FinishReason.LENGTH, 40, 0)
    assert backend.rows_decoded == 40
    assert end_of(serve(worker, Request("b", (*PROMPT, 7), 1))).stats.cached_tokens == 40


def test_a_stop_id_ends_the_answer_and_is_part_of_it() -> None:
    _, worker = make()
    free = ids_of(serve(worker, Request("a", PROMPT, 10)))
    _, worker = make()
    events = serve(worker, Request("a", PROMPT, 10, stop_ids=frozenset({free[3]})))
    assert ids_of(events) == free[:4]
    assert end_of(events).reason is FinishReason.STOP


def test_a_failed_decode_drops_the_sequence_and_the_next_request_starts_anew() -> None:
    backend, worker = make(LedgerShape(n_batch=16))
    expected = ids_of(serve(make()[1], Request("a", PROMPT, 5)))
    backend.abort_decode = 2
    with pytest.raises(DecodeFailed):
        serve(worker, Request("a", PROMPT, 5))
    events = serve(worker, Request("b", PROMPT, 5))
    assert end_of(events).stats.cached_tokens == 0
    assert ids_of(events) == expected


@pytest.mark.parametrize("drafter", [None, Repeater(ord("b"))])
def test_a_grammar_is_obeyed_and_ends_the_request(drafter: Repeater | None) -> None:
    _, worker = make(BYTES, drafter)
    grammar = Grammar("start: /a[bc]{20}d/", from_start=True, then_stop=True)
    events = serve(worker, Request("a", PROMPT, 100, grammar=grammar))
    text = bytes(ids_of(events)).decode()
    assert (text[0], text[-1], len(text)) == ("a", "d", 22)
    assert set(text[1:-1]) == {"b", "c"}
    assert end_of(events).reason is FinishReason.STOP


def test_drafting_under_a_grammar_changes_nothing_but_the_number_of_decodes() -> None:
    request = Request("a", PROMPT, 100, grammar=Grammar("start: /a[bc]{20}d/", from_start=True, then_stop=True))
    plain_backend, plain = make(BYTES)
    repeater = Repeater(ord("b"))
    drafting_backend, drafting = make(BYTES, repeater)
    plain_events, events = serve(plain, request), serve(drafting, request)
    assert ids_of(events) == ids_of(plain_events)
    assert drafting_backend.decodes < plain_backend.decodes
    stats = end_of(events).stats
    assert stats.accepted_tokens == sum(row for _, row in repeater.followed[1:]) > 0
    assert stats.drafted_tokens > stats.accepted_tokens
    assert stats.drafters == (DrafterStats("fake", stats.drafted_tokens, stats.accepted_tokens),)


def test_a_grammar_that_cannot_be_compiled_changes_nothing() -> None:
    backend, worker = make(BYTES)
    serve(worker, Request("a", PROMPT, 3))
    with pytest.raises(InvalidGrammar):
        serve(worker, Request("b", (1, 2, 3), 3, grammar=Grammar("start: (", from_start=True)))
    assert list(backend.resident(0))[:40] == list(PROMPT)


@pytest.mark.parametrize("drafter", [None, Repeater(ord("a"))])
def test_an_answer_that_has_become_a_loop_is_stopped(drafter: Repeater | None) -> None:
    _, worker = make(BYTES, drafter)
    grammar = Grammar("start: /a{1500}/", from_start=True)
    events = serve(worker, Request("a", PROMPT, 1500, grammar=grammar))
    assert end_of(events).reason is FinishReason.REPETITION
    assert len(ids_of(events)) == 400


def test_asking_the_same_prompt_again_reads_one_token_even_behind_a_window() -> None:
    _, worker = make(LedgerShape(n_swa=4, n_ubatch=2))
    request = Request("a", PROMPT, 60)
    first = serve(worker, request)
    again = serve(worker, replace(request, id="b"))
    assert ids_of(again) == ids_of(first)
    assert end_of(again).stats.prefilled_tokens == 1


def test_a_rewind_reads_no_more_than_what_follows_the_checkpoint() -> None:
    _, worker = make(LedgerShape(n_swa=4, n_ubatch=2))
    answer = ids_of(serve(worker, Request("a", PROMPT, 30, checkpoints=(12, 25))))
    events = serve(worker, Request("b", (*PROMPT[:30], 500), 5))
    stats = end_of(events).stats
    assert (stats.cached_tokens, stats.replayed_tokens, stats.prefilled_tokens) == (25, 5, 6)
    assert len(answer) == 30

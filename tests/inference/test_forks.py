"""Branches of one prompt on llama.cpp itself: constructed Gemma 4 models whose window has moved on long ago.

A branch has to say what it would say alone; the random conversations of the ledger test cover the rest.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from inference.backend.llama_cpp import LlamaCppBackend
from inference.errors import ContextOverflow
from inference.prefix_cache import PrefixCache
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
from inference.worker import Worker
from tests.constructed_gemma4 import Shape, target

TEXT = tuple(random.Random(3).choices(range(494, 590), k=700))
PROMPT = TEXT[:600]


@pytest.fixture(params=[(1, False), (3, False), (2, True), (5, True)], ids=["one", "three", "2 unified", "5 unified"])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    n_sequences, unified = request.param
    path = target(Shape(window=32))
    loaded = LlamaCppBackend.load(path, n_ctx=2048, n_batch=64, n_threads=1, n_sequences=n_sequences, unified=unified)
    with closing(loaded) as backend:
        yield Worker(backend, PrefixCache(backend))


def alone(worker: Worker, request: Request) -> tuple[int, ...]:
    events = worker.serve(request, lambda: False)
    return tuple(i for event in events if isinstance(event, TokensDecoded) for i in event.ids)


def branches_of(
    worker: Worker, request: Request
) -> tuple[dict[int, tuple[int, ...]], dict[int, FinishReason], Finished]:
    ids: dict[int, tuple[int, ...]] = {}
    ends: dict[int, FinishReason] = {}
    for event in worker.serve(request, lambda: False):
        if isinstance(event, BranchDecoded):
            ids[event.branch] = (*ids.get(event.branch, ()), *event.ids)
        elif isinstance(event, BranchFinished):
            ends[event.branch] = event.reason
        elif isinstance(event, Finished):
            return ids, ends, event
    raise AssertionError("the request never finished")


def test_every_branch_says_what_it_would_say_alone_and_the_prompt_is_read_once(worker: Worker) -> None:
    greedy, other, drawn = Branch(max_tokens=90), Branch(TEXT[600:610], max_tokens=60), SamplingParams(1.0, seed=4)
    request = Request("a", PROMPT, 0, branches=(greedy, other, Branch(max_tokens=40, sampling=drawn)))
    ids, ends, end = branches_of(worker, request)
    assert end.stats.prefilled_tokens == len(PROMPT)
    assert end.stats.decoded_tokens == 190
    assert ends == dict.fromkeys(range(3), FinishReason.LENGTH)
    assert ids[0] == alone(worker, Request("b", PROMPT, 90))
    assert ids[1] == alone(worker, Request("c", (*PROMPT, *TEXT[600:610]), 60))
    assert ids[2] == alone(worker, Request("d", PROMPT, 40, drawn))


def test_after_its_branches_a_conversation_goes_on_where_it_was(worker: Worker) -> None:
    expected = alone(worker, Request("a", PROMPT, 30))
    branches_of(worker, Request("b", PROMPT, 0, branches=(Branch(max_tokens=50),) * 6))
    *_, end = worker.serve(Request("c", PROMPT, 30), lambda: False)
    assert isinstance(end, Finished)
    assert end.stats.prefilled_tokens == 1
    assert alone(worker, Request("d", PROMPT, 30)) == expected


def test_scores_are_the_log_probabilities_of_the_given_ids(worker: Worker) -> None:
    request = Request("a", PROMPT, 0, score=(TEXT[600:601], TEXT[600:680], TEXT[610:612]))
    [scored] = [event for event in worker.serve(request, lambda: False) if isinstance(event, Scored)]
    assert [len(each) for each in scored.log_probs] == [1, 80, 2]
    for continuation, log_probs in zip(request.score, scored.log_probs, strict=True):
        given = [
            event.log_probs[0][0]
            for at, token in enumerate(continuation[:3])
            for event in worker.serve(Request("b", (*PROMPT, *continuation[:at]), 0, score=((token,),)), lambda: False)
            if isinstance(event, Scored)
        ]
        assert np.allclose(given, log_probs[:3], atol=0.1)
    everything = Request("c", PROMPT, 0, score=tuple((token,) for token in range(590)))
    [scored] = [event for event in worker.serve(everything, lambda: False) if isinstance(event, Scored)]
    assert sum(np.exp(each[0]) for each in scored.log_probs) == pytest.approx(1, abs=0.02)


def test_a_continuation_that_does_not_fit_is_refused_before_anything_is_read(worker: Worker) -> None:
    with pytest.raises(ContextOverflow):
        list(worker.serve(Request("a", PROMPT, 0, score=((7,) * 1500,)), lambda: False))

"""A separate draft model: its own memory always holds what it should, and it changes no output.

On the LedgerBackend a draft is right exactly when the memory is; on llama.cpp truth is what stands in ``padded``.
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend
from inference.drafters import Generation, Prediction
from inference.drafters.draft_model import AT_ONCE, DraftModelDrafter, DraftModelOptions
from inference.drafters.load import load_drafter
from inference.errors import DrafterMismatch
from inference.request import Request
from tests.constructed_gemma4 import Shape, target
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape
from tests.inference.padded import PROMPT, check_written_plainly, drafting_worker, from_file, serve

SHAPE = LedgerShape(n_ctx=120, n_batch=16)
PATIENT = DraftModelOptions(patience=1e9)


def likeliest(tokens: Sequence[int], count: int) -> list[int]:
    """What the ledger's model writes behind ``tokens`` when it has read nothing else."""
    fresh, ids = LedgerBackend(dataclasses.replace(SHAPE, n_batch=SHAPE.n_ctx + 1)), list(tokens)
    fresh.decode(Batch(ids, range(len(ids)), [0] * len(ids), [True] * len(ids)))
    while len(ids) < len(tokens) + count:
        row = len(tokens) - 1 if len(ids) == len(tokens) else 0
        ids.append(int(fresh.logits(row).argmax()))
        if len(ids) < len(tokens) + count:
            fresh.decode(Batch(ids[-1:], [len(ids) - 1], [0], [True]))
    return ids[len(tokens) :]


def begin(drafter: DraftModelDrafter) -> Prediction:
    return drafter.begin(Generation(Request("a", (1,), 10), 0, tuple))


# The memory


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_draft_is_what_the_small_model_writes_behind_the_tokens_whatever_came_before(data: st.DataObject) -> None:
    drafter = DraftModelDrafter(LedgerBackend(SHAPE), PATIENT)
    tokens: list[int] = []
    for _ in range(data.draw(st.integers(1, 3))):
        kept = data.draw(st.integers(0, len(tokens)))
        tokens = [*tokens[:kept], *data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=30))]
        drafting = begin(drafter)
        for _ in range(data.draw(st.integers(0, 5))):
            limit = data.draw(st.integers(1, 6))
            draft = list(drafting.draft(tokens, limit))
            room = SHAPE.n_ctx - len(tokens) + 1
            assert draft == (likeliest(tokens, min(limit, room)) if room > 0 else [])
            tokens += draft[: data.draw(st.integers(0, len(draft)))]
            tokens.append(data.draw(st.integers(0, 9)))
        drafting.close()


def test_while_one_request_is_under_way_another_gets_no_draft() -> None:
    drafter = DraftModelDrafter(LedgerBackend(SHAPE), PATIENT)
    first, second = begin(drafter), begin(drafter)
    assert first.draft([1, 2], 2) == likeliest([1, 2], 2)
    assert second.draft([3, 4], 2) == ()
    first.close()
    assert second.draft([3, 4], 2) == likeliest([3, 4], 2)


class Clock:
    """Each look at it costs a second: reading, however much, takes one."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_reading_holds_a_request_up_no_longer_than_patience_allows_and_goes_on_with_the_next() -> None:
    backend = LedgerBackend(LedgerShape(n_ctx=1000, n_batch=64))
    drafter = DraftModelDrafter(backend, DraftModelOptions(patience=2.5, clock=Clock()))
    tokens = [i % 9 for i in range(400)]
    read: list[int] = []
    while not (drafted := (drafting := begin(drafter)).draft(tokens, 2)):
        again = backend.rows_decoded
        assert drafting.draft(tokens, 2) == ()
        assert backend.rows_decoded == again, "patience is the request's, not the call's"
        read.append(backend.rows_decoded)
        drafting.close()
        assert len(read) < 10
    assert read == [2 * 64 + AT_ONCE, 2 * (2 * 64 + AT_ONCE)]
    assert len(drafted) == 2


def test_it_tells_how_long_it_will_read_before_it_drafts() -> None:
    backend = LedgerBackend(LedgerShape(n_ctx=1000, n_batch=64))
    drafter = DraftModelDrafter(backend, DraftModelOptions(patience=12.0, clock=Clock()))
    drafter.probe()  # a second for AT_ONCE tokens
    tokens = [i % 9 for i in range(4 * AT_ONCE)]
    drafting = begin(drafter)
    assert drafting.wait_ms(tokens[:AT_ONCE]) == 0.0
    assert drafting.wait_ms(tokens) == pytest.approx(4000.0)
    assert drafting.draft(tokens, 1)
    assert drafting.wait_ms([*tokens, 1, 2, 3]) == 0.0
    assert drafting.wait_ms([7] * 4 * AT_ONCE) > 0
    assert begin(drafter).wait_ms([7] * 32 * AT_ONCE) == pytest.approx(12_000.0), "patience ends before the text does"


def test_a_probe_leaves_nothing_behind() -> None:
    drafter = DraftModelDrafter(LedgerBackend(SHAPE), PATIENT)
    drafter.probe()
    assert begin(drafter).draft([1, 2, 3], 2) == likeliest([1, 2, 3], 2)


def test_a_memory_that_forgets_is_refused() -> None:
    with pytest.raises(ValueError, match="cut anywhere"):
        DraftModelDrafter(LedgerBackend(LedgerShape(n_swa=8)))


def test_an_aborted_decode_is_no_draft_and_loses_nothing() -> None:
    backend = LedgerBackend(SHAPE)
    drafting = begin(DraftModelDrafter(backend, PATIENT))
    tokens = [1, 2, 3]
    first = drafting.draft(tokens, 3)
    tokens += [*first[:1], 4]
    backend.abort_decode = backend.decodes + 1
    assert drafting.draft(tokens, 3) == ()
    assert drafting.draft(tokens, 3) == likeliest(tokens, 3)


# On llama.cpp

smaller = from_file(lambda shape: target(dataclasses.replace(shape, layers=2, context_gain=0.4)))


@pytest.mark.parametrize("k", [1, 4, 15])
def test_the_output_is_that_of_padded_plain_decoding(k: int) -> None:
    shape = Shape(context_gain=0.7)
    request = Request("a", PROMPT, 300)
    with drafting_worker(shape, smaller, k) as drafting:
        got = serve(drafting, request)
    check_written_plainly(shape, request, got.ids)
    assert 0 < got.stats.accepted_tokens < got.stats.drafted_tokens


@pytest.mark.slow
def test_for_every_length_of_draft_1500_tokens_are_those_of_padded_plain_decoding() -> None:
    shape = Shape(context_gain=0.7)
    request = Request("a", PROMPT, 1500)
    outputs: set[tuple[int, ...]] = set()  # of 15 nearly all are the same
    for k in range(1, 16):
        with drafting_worker(shape, smaller, k) as drafting:
            outputs.add(serve(drafting, request).ids)
    assert {len(ids) for ids in outputs} == {1500}
    for ids in outputs:
        check_written_plainly(shape, request, ids)


def test_conversations_with_rewinds_are_answered_as_without_a_drafter() -> None:
    shape, dice = Shape(context_gain=0.6), random.Random(5)
    transcripts: list[tuple[int, ...]] = [()]
    with drafting_worker(shape) as plain, drafting_worker(shape, smaller, 6, n_sequences=2) as drafting:
        for number in range(10):
            base = dice.choice(transcripts)
            kept = base[: dice.randrange(len(base) + 1)]
            request = Request(str(number), (*kept, *dice.choices(PROMPT, k=dice.randrange(1, 200))), 40)
            plain.reset()
            expected, got = serve(plain, request), serve(drafting, request)
            assert got.ids == expected.ids
            assert got.stats.accepted_tokens > 0
            transcripts.append((*request.tokens, *got.ids))


def test_a_model_with_another_vocabulary_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(target().read_bytes().replace(b"<|tool_call>", b"<|fool_call>"))
    backend = LlamaCppBackend.load(target(), n_ctx=256, n_batch=64, n_threads=1)
    with pytest.raises(DrafterMismatch, match=r"other\.gguf cannot draft for .*vocabularies differ"):
        load_drafter(other, target(), backend)
    backend.close()


@pytest.mark.slow
@pytest.mark.weights
def test_the_small_qwen_drafts_code_for_the_larger_one() -> None:
    folder = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
    large, small = (folder / f"qwen2.5-coder-{size}b-instruct-q4_k_m.gguf" for size in ("1.5", "0.5"))
    if not (large.exists() and small.exists()):
        pytest.skip(f"no weights in {folder}")
    backend = LlamaCppBackend.load(large, n_ctx=1024)
    drafter = load_drafter(small, large, backend)
    tokens = backend.tokenizer.encode("def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci")
    draft = drafter.begin(Generation(Request("a", (1,), 10), 0, tuple)).draft(tokens, 8)
    assert b"".join(backend.tokenizer.piece(i) for i in draft).startswith(b"(n-1) + fib")
    drafter.close()
    backend.close()

"""The engine on llama.cpp itself: constructed Gemma 4 models with a sliding window, and Qwen where its weights are.

Truth is the same engine that has read nothing before.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inference.backend.llama_cpp import LlamaCppBackend
from inference.in_process import InProcessEngine
from inference.planner import AlwaysDraft
from inference.prefix_cache import PrefixCache
from inference.request import (
    EngineEvent,
    Finished,
    FinishReason,
    Grammar,
    PrefillProgress,
    Request,
    SamplingParams,
    TokensDecoded,
)
from inference.worker import Worker
from tests.constructed_gemma4 import Shape, target
from tests.fakes.drafters import FakeDrafter

TEXT = range(494, 590)  # ids of plain characters in the constructed vocabulary
QWEN = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"


@dataclass(frozen=True)
class Answer:
    ids: tuple[int, ...]
    end: Finished


def answer(events: Sequence[EngineEvent]) -> Answer:
    end = events[-1]
    assert isinstance(end, Finished)
    return Answer(tuple(i for event in events if isinstance(event, TokensDecoded) for i in event.ids), end)


def serve(worker: Worker, request: Request) -> Answer:
    return answer(list(worker.serve(request, lambda: False)))


class KnowsHalf(FakeDrafter):
    """Drafts the right answer with every third token spoilt."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: tuple[int, ...] = ()

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        start = len(tokens)
        return [i if place % 3 else i + 1 for place, i in enumerate(self.answer[start : start + limit], start)]


@pytest.fixture(params=[(32, 1), (64, 1), (32, 2)], ids=["window 32", "window 64", "window 32, two sequences"])
def backends(request: pytest.FixtureRequest) -> Iterator[tuple[LlamaCppBackend, LlamaCppBackend]]:
    """The backend under test, and one to read everything afresh."""
    window, n_sequences = request.param
    path = target(Shape(window=window))
    with (
        closing(LlamaCppBackend.load(path, n_ctx=4096, n_batch=64, n_threads=1, n_sequences=n_sequences)) as tested,
        closing(LlamaCppBackend.load(path, n_ctx=4096, n_batch=64, n_threads=1)) as fresh,
    ):
        yield tested, fresh


@pytest.mark.parametrize("drafting", [False, True])
def test_conversations_with_rewinds_and_forks_are_answered_as_by_a_fresh_engine(
    backends: tuple[LlamaCppBackend, LlamaCppBackend], drafting: bool
) -> None:
    tested, fresh_backend = backends
    drafter = KnowsHalf()
    worker = Worker(tested, PrefixCache(tested), AlwaysDraft(drafter) if drafting else None)
    fresh = Worker(fresh_backend, PrefixCache(fresh_backend, checkpoint_bytes=0))
    dice = random.Random(5)
    transcripts: list[tuple[int, ...]] = [()]
    reused = replayed = 0
    for number in range(14):
        base = transcripts[-1] if dice.random() < 0.6 else dice.choice(transcripts)
        kept = base if dice.random() < 0.6 else base[: dice.randrange(len(base) + 1)]
        tokens = (*kept, *dice.choices(TEXT, k=dice.randrange(1, 200)))
        request = Request(str(number), tokens, 25, checkpoints=(len(kept) // 2, len(kept)))
        fresh.reset()
        expected = serve(fresh, request)
        drafter.answer = (*tokens, *expected.ids)
        got = serve(worker, request)
        assert got.ids == expected.ids
        reused += got.end.stats.cached_tokens
        replayed += got.end.stats.replayed_tokens
        transcripts.append((*tokens, *got.ids))
    assert reused > 1000
    assert replayed > 0, "no checkpoint was ever needed: the test tests nothing"


def test_asking_again_behind_a_moved_window_reads_one_token(
    backends: tuple[LlamaCppBackend, LlamaCppBackend],
) -> None:
    tested, _ = backends
    worker = Worker(tested, PrefixCache(tested))
    request = Request("a", tuple(random.Random(1).choices(TEXT, k=200)), 300)
    first = serve(worker, request)
    again = serve(worker, replace(request, id="b"))
    assert again.end.stats.prefilled_tokens == 1
    assert again.ids == first.ids


async def read(stream: AsyncIterator[EngineEvent]) -> Answer:
    return answer([event async for event in stream])


@pytest.mark.slow
def test_cancelling_in_the_middle_of_prefill_keeps_what_was_read() -> None:
    path = target(Shape(window=64, width=256, layers=8))

    async def main() -> None:
        engine = InProcessEngine(lambda _: LlamaCppBackend.load(path, n_ctx=8192, n_batch=128, n_threads=1))
        await engine.start()
        prompt = tuple(random.Random(2).choices(TEXT, k=6000))
        events: list[EngineEvent] = []
        async for event in engine.submit(Request("a", prompt, 10)):
            events.append(event)
            if isinstance(event, PrefillProgress) and event.done:
                engine.cancel("a")
        cut = answer(events)
        assert cut.end.reason is FinishReason.CANCELLED
        assert 128 <= cut.end.stats.prefilled_tokens < 6000
        # The rest is read by the next request, and the answer is a fresh engine's.
        whole = await read(engine.submit(Request("b", prompt[:2000], 10)))
        assert whole.end.stats.cached_tokens == min(cut.end.stats.prefilled_tokens, 1999)
        await engine.close()

        engine = InProcessEngine(lambda _: LlamaCppBackend.load(path, n_ctx=8192, n_batch=128, n_threads=1))
        await engine.start()
        assert (await read(engine.submit(Request("c", prompt[:2000], 10)))).ids == whole.ids
        await engine.close()

    asyncio.run(main())


@pytest.fixture
def qwen() -> Callable[[], InProcessEngine]:
    folder = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
    if not (folder / QWEN).exists():
        pytest.skip(f"{QWEN} is not in {folder}")
    return lambda: InProcessEngine(lambda progress: LlamaCppBackend.load(folder / QWEN, n_ctx=2048, progress=progress))


@pytest.mark.weights
@pytest.mark.slow
def test_qwen_writes_code_and_reads_each_token_of_a_conversation_once(qwen: Callable[[], InProcessEngine]) -> None:
    async def main() -> None:
        engine = qwen()
        await engine.start()
        encode, piece = engine.tokenizer.encode, engine.tokenizer.piece
        prompt = (*encode("def add(a, b):\n    return"),)
        first = await read(engine.submit(Request("a", prompt, 4)))
        assert b"".join(piece(i) for i in first.ids).startswith(b" a + b")
        more = (*prompt, *first.ids, *encode("\n\ndef multiply(a, b):\n    return"))
        second = await read(engine.submit(Request("b", more, 4)))
        assert b"".join(piece(i) for i in second.ids).startswith(b" a * b")
        assert second.end.stats.prefilled_tokens == len(more) - len(prompt) - len(first.ids) + 1
        assert second.end.stats.replayed_tokens == 0
        await engine.close()

    asyncio.run(main())


@pytest.mark.weights
@pytest.mark.slow
def test_qwen_obeys_a_grammar_and_samples_the_same_with_the_same_seed(qwen: Callable[[], InProcessEngine]) -> None:
    async def main() -> None:
        engine = qwen()
        await engine.start()
        grammar = Grammar('start: "{\\"colour\\": \\"" ("red" | "green") "\\"}"', from_start=True, then_stop=True)
        request = Request(
            id="a",
            tokens=tuple(engine.tokenizer.encode("The colour of grass as JSON: ")),
            max_tokens=40,
            sampling=SamplingParams(temperature=1.0, seed=3),
            grammar=grammar,
        )
        first = await read(engine.submit(request))
        text = b"".join(engine.tokenizer.piece(i) for i in first.ids).decode()
        assert text in ('{"colour": "red"}', '{"colour": "green"}')
        assert first.end.reason is FinishReason.STOP
        free = replace(request, grammar=None, max_tokens=12)
        ids = [(await read(engine.submit(replace(free, id=name)))).ids for name in "bcd"]
        assert ids[1] == ids[2], "the same seed over the same cache"
        await engine.close()

    asyncio.run(main())

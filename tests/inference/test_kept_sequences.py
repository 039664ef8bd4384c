"""Engines that come and go on one folder of KV files: what the next one loads instead of reading."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from inference.backend import Backend
from inference.backend.llama_cpp import LlamaCppBackend
from inference.in_process import EngineOptions, InProcessEngine
from inference.kv_store import StoreOptions
from inference.request import Finished, Request, Stats, TokensDecoded
from tests.constructed_gemma4 import Shape, target
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape

SYSTEM = tuple(range(500, 560))
QUESTION = (*SYSTEM, *range(520, 580), *range(500, 590))  # 210 tokens


def constructed() -> LlamaCppBackend:
    return LlamaCppBackend.load(target(Shape(window=32)), n_ctx=1024, n_batch=64, n_threads=1)


BACKENDS: dict[str, Callable[[], Backend]] = {
    "ledger": lambda: LedgerBackend(LedgerShape(n_ctx=1000)),
    "ledger, window": lambda: LedgerBackend(LedgerShape(n_ctx=1000, n_swa=8, n_ubatch=16)),
    "constructed Gemma 4": constructed,
}


@pytest.fixture(params=BACKENDS)
def load(request: pytest.FixtureRequest) -> Callable[[], Backend]:
    return BACKENDS[request.param]


def live(load: Callable[[], Backend], folder: Path, *requests: Request) -> list[tuple[list[int], Stats]]:
    """One engine from start to close: the ids and statistics of each request."""

    async def main() -> list[tuple[list[int], Stats]]:
        engine = InProcessEngine(lambda _: load(), EngineOptions(store=StoreOptions(folder, "model", least_free=0)))
        await engine.start()
        results: list[tuple[list[int], Stats]] = []
        for request in requests:
            events = [event async for event in engine.submit(request)]
            assert isinstance(events[-1], Finished)
            ids = [token for event in events if isinstance(event, TokensDecoded) for token in event.ids]
            results.append((ids, events[-1].stats))
        await engine.close()
        return results

    return asyncio.run(asyncio.wait_for(main(), 60))


def wait_for_session(folder: Path) -> None:
    while not list(folder.rglob("session-*.kv")):
        time.sleep(0.01)


def ask(tokens: Sequence[int], max_tokens: int = 12) -> Request:
    return Request("a", tuple(tokens), max_tokens, checkpoints=(len(SYSTEM),), static=len(SYSTEM))


def test_the_next_engine_loads_the_static_prefix_for_another_conversation(
    load: Callable[[], Backend], tmp_path: Path
) -> None:
    other = ask([*SYSTEM, *range(510, 530)])
    [(expected, _)] = live(load, tmp_path / "nothing", other)
    live(load, tmp_path, ask(QUESTION))
    [(ids, stats)] = live(load, tmp_path, other)
    assert ids == expected
    assert (stats.cached_tokens, stats.loaded_tokens, stats.prefilled_tokens) == (60, 60, 20)


def test_the_next_engine_goes_on_with_a_conversation_and_rewinds_it(
    load: Callable[[], Backend], tmp_path: Path
) -> None:
    [(answer, _)] = live(load, tmp_path, ask(QUESTION))
    longer = ask([*QUESTION, *answer, 501, 502])
    [(expected, _)] = live(load, tmp_path / "nothing", longer)
    [(ids, stats)] = live(load, tmp_path, longer)
    assert ids == expected
    assert stats.prefilled_tokens == 3, "the last id of the answer, and the two new ones"
    assert stats.loaded_tokens == len(QUESTION) + len(answer) - 1
    rewound = ask([*SYSTEM, *QUESTION[60:100], 503])
    [(expected, _)] = live(load, tmp_path / "nothing again", rewound)
    [(ids, stats)] = live(load, tmp_path, rewound)
    assert ids == expected
    assert stats.loaded_tokens >= len(SYSTEM)


def test_a_conversation_without_a_static_prefix_leaves_one_file(load: Callable[[], Backend], tmp_path: Path) -> None:
    live(load, tmp_path, Request("a", QUESTION, 12))
    assert [path.name.split("-")[0] for path in tmp_path.rglob("*.kv")] == ["session"]


def test_a_conversation_that_another_one_displaces_comes_back_from_disk(
    load: Callable[[], Backend], tmp_path: Path
) -> None:
    long = ask([*QUESTION, *range(500, 580)])
    _, (_, stats), _ = live(load, tmp_path, long, ask([7, 8, 9, *range(500, 580)]), long)
    assert stats.cached_tokens == 0
    *_, (_, stats) = live(load, tmp_path / "other", long, ask([7, 8, 9]), long)
    assert stats.loaded_tokens >= len(long.tokens) - 1


def test_an_idle_engine_saves_its_conversations(load: Callable[[], Backend], tmp_path: Path) -> None:
    async def main() -> None:
        options = EngineOptions(store=StoreOptions(tmp_path, "model", least_free=0), save_after=0.01)
        engine = InProcessEngine(lambda _: load(), options)
        await engine.start()
        async for _ in engine.submit(ask(QUESTION)):
            pass
        await asyncio.to_thread(wait_for_session, tmp_path)
        async for _ in engine.submit(ask([*QUESTION, 505])):  # it still listens
            pass
        await engine.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_files_damaged_between_two_starts_mean_reading(load: Callable[[], Backend], tmp_path: Path) -> None:
    [(expected, _)] = live(load, tmp_path, ask(QUESTION))
    for path in tmp_path.rglob("*.kv"):
        path.write_bytes(path.read_bytes()[:-1])
    [(ids, stats)] = live(load, tmp_path, ask(QUESTION))
    assert ids == expected
    assert (stats.loaded_tokens, stats.prefilled_tokens) == (0, len(QUESTION))

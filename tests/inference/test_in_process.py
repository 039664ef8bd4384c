"""The in-process engine from outside: threads, order, cancelling, closing, errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from inference.backend import Backend, Batch
from inference.engine import Engine
from inference.errors import ContextOverflow, DecodeFailed, EngineClosed, ModelLoadError
from inference.in_process import InProcessEngine, LoadProgress
from inference.request import EngineEvent, Finished, FinishReason, Request, TokensDecoded
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape

PROMPT = tuple(range(30))
ENDLESS = 1_000_000


def run_engine(backend: Backend, use: Callable[[InProcessEngine], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        engine = InProcessEngine(lambda progress: backend)
        await engine.start()
        try:
            await use(engine)
        finally:
            await engine.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def roomy() -> LedgerBackend:
    return LedgerBackend(LedgerShape(n_ctx=ENDLESS))


class Stuck(LedgerBackend):
    """A backend whose second decode lasts until somebody asks for its abort."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = threading.Event()
        self.released = threading.Event()

    def decode(self, batch: Batch) -> None:
        if self.decodes == 1:
            self.decodes += 1
            self.inside.set()
            assert self.released.wait(30), "nobody asked for the abort"
            raise DecodeFailed("The decode was aborted.")
        super().decode(batch)

    def request_abort(self) -> None:
        self.released.set()


async def read(stream: Any) -> list[EngineEvent]:
    return [event async for event in stream]


def ids_of(events: list[EngineEvent]) -> list[int]:
    return [token for event in events if isinstance(event, TokensDecoded) for token in event.ids]


def reason_of(events: list[EngineEvent]) -> FinishReason:
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Finished) for event in events[:-1])
    return events[-1].reason


def test_facts_of_the_model_are_there_after_the_start() -> None:
    async def use(engine: InProcessEngine) -> None:
        anonymous: Engine = engine
        await anonymous.start()  # a second time: nothing happens
        assert (anonymous.context_tokens, anonymous.architecture) == (ENDLESS, "ledger")
        assert anonymous.tokenizer.encode("a") == [97]

    backend = roomy()
    run_engine(backend, use)
    assert backend.closed


def test_requests_are_served_in_their_order_and_reuse_each_other() -> None:
    async def use(engine: InProcessEngine) -> None:
        first = engine.submit(Request("a", PROMPT, 5))
        second = engine.submit(Request("b", (*PROMPT, 7), 5))
        # Read the later one first: its events come when its turn comes.
        later, earlier = await asyncio.gather(read(second), read(first))
        assert reason_of(earlier) is reason_of(later) is FinishReason.LENGTH
        end = later[-1]
        assert isinstance(end, Finished)
        assert end.stats.cached_tokens == 30
        assert end.stats.queue_ms > 0

    run_engine(roomy(), use)


def test_two_clients_are_served_by_turns() -> None:
    async def use(engine: InProcessEngine) -> None:
        endless = engine.submit(Request("a", PROMPT, ENDLESS), client="a")
        while not isinstance(await anext(endless), TokensDecoded):
            pass
        events = await read(engine.submit(Request("b", (5, *PROMPT), 20), client="b"))
        assert reason_of(events) is FinishReason.LENGTH
        await endless.aclose()

    run_engine(LedgerBackend(LedgerShape(n_ctx=ENDLESS, n_sequences=2)), use)


def test_background_work_makes_way_for_a_request_at_once() -> None:
    backend = Stuck()

    async def use(engine: InProcessEngine) -> None:
        ahead = engine.submit(Request("ahead", PROMPT, 0, background=True))
        later = engine.submit(Request("later", PROMPT, 0, background=True))
        await asyncio.to_thread(backend.inside.wait, 30)
        assert reason_of(await read(engine.submit(Request("b", PROMPT, 2)))) is FinishReason.LENGTH
        assert [reason_of(await read(stream)) for stream in (ahead, later)] == [FinishReason.CANCELLED] * 2

    run_engine(backend, use)


def test_a_running_request_can_be_cancelled_and_keeps_what_it_said() -> None:
    async def use(engine: InProcessEngine) -> None:
        events: list[EngineEvent] = []
        async for event in engine.submit(Request("a", PROMPT, ENDLESS)):
            events.append(event)
            if len(ids_of(events)) >= 3:
                engine.cancel("a")
        assert reason_of(events) is FinishReason.CANCELLED
        said = ids_of(events)
        end = events[-1]
        assert isinstance(end, Finished)
        assert end.stats.decoded_tokens == len(said) < ENDLESS
        # All but the last token are in the cache.
        again = await read(engine.submit(Request("b", (*PROMPT, *said, 1), 1)))
        end = again[-1]
        assert isinstance(end, Finished)
        assert end.stats.prefilled_tokens == 2

    run_engine(roomy(), use)


def test_cancelling_answers_within_the_decode_in_progress() -> None:
    backend = Stuck()

    async def use(engine: InProcessEngine) -> None:
        stream = engine.submit(Request("a", PROMPT, 50))
        await asyncio.to_thread(backend.inside.wait, 30)
        engine.cancel("a")
        assert reason_of(await read(stream)) is FinishReason.CANCELLED
        assert reason_of(await read(engine.submit(Request("b", PROMPT, 2)))) is FinishReason.LENGTH

    run_engine(backend, use)


def test_a_waiting_request_can_be_cancelled_while_another_one_runs() -> None:
    backend = Stuck()

    async def use(engine: InProcessEngine) -> None:
        running = engine.submit(Request("a", PROMPT, 50))
        waiting = engine.submit(Request("b", PROMPT, 50))
        engine.cancel("b")
        assert reason_of(await read(waiting)) is FinishReason.CANCELLED
        engine.cancel("a")
        engine.cancel("nobody knows this one")
        assert reason_of(await read(running)) is FinishReason.CANCELLED

    run_engine(backend, use)


def test_closing_the_stream_cancels_the_request() -> None:
    async def use(engine: InProcessEngine) -> None:
        async with aclosing(engine.submit(Request("a", PROMPT, ENDLESS))) as stream:
            async for event in stream:
                if isinstance(event, TokensDecoded):
                    break
        # Served only because the endless one has made room.
        assert reason_of(await read(engine.submit(Request("b", PROMPT, 2)))) is FinishReason.LENGTH

    run_engine(roomy(), use)


def test_dropping_the_stream_cancels_the_request() -> None:
    async def use(engine: InProcessEngine) -> None:
        async for event in engine.submit(Request("a", PROMPT, ENDLESS)):
            if isinstance(event, TokensDecoded):
                break
        assert reason_of(await read(engine.submit(Request("b", PROMPT, 2)))) is FinishReason.LENGTH

    run_engine(roomy(), use)


def test_closing_the_engine_ends_running_and_waiting_requests() -> None:
    backend = Stuck()

    async def use(engine: InProcessEngine) -> None:
        running = engine.submit(Request("a", PROMPT, 50))
        waiting = engine.submit(Request("b", PROMPT, 50))
        await asyncio.to_thread(backend.inside.wait, 30)
        await engine.close()
        for stream in (running, waiting, engine.submit(Request("c", PROMPT, 50))):
            with pytest.raises(EngineClosed):
                await read(stream)
        with pytest.raises(EngineClosed):
            await engine.start()
        with pytest.raises(EngineClosed):
            _ = engine.tokenizer

    run_engine(backend, use)
    assert backend.closed


def test_errors_reach_the_stream_that_they_belong_to() -> None:
    backend = LedgerBackend()

    async def use(engine: InProcessEngine) -> None:
        backend.abort_decode = 1
        with pytest.raises(DecodeFailed):
            await read(engine.submit(Request("a", PROMPT, 5)))
        with pytest.raises(ContextOverflow):
            await read(engine.submit(Request("b", PROMPT * 10, 5)))
        assert reason_of(await read(engine.submit(Request("c", PROMPT, 5)))) is FinishReason.LENGTH

    run_engine(backend, use)


def test_a_bug_reaches_the_stream_and_the_next_request_starts_from_nothing() -> None:
    class Buggy(LedgerBackend):
        def decode(self, batch: Batch) -> None:
            super().decode(batch)
            if self.decodes == 3:
                raise ZeroDivisionError

    async def use(engine: InProcessEngine) -> None:
        with pytest.raises(ZeroDivisionError):
            await read(engine.submit(Request("a", PROMPT, 50)))
        events = await read(engine.submit(Request("b", PROMPT, 5)))
        end = events[-1]
        assert isinstance(end, Finished)
        assert end.stats.cached_tokens == 0

    run_engine(Buggy(), use)


def test_two_live_requests_may_not_share_an_id() -> None:
    async def use(engine: InProcessEngine) -> None:
        stream = engine.submit(Request("a", PROMPT, ENDLESS))
        with pytest.raises(ValueError, match="still running"):
            engine.submit(Request("a", PROMPT, 1))
        await stream.aclose()

    run_engine(roomy(), use)


def test_a_model_that_does_not_load_is_reported_by_start() -> None:
    def load(_progress: LoadProgress) -> Backend:
        raise ModelLoadError("There is no file x.gguf; pass a path that exists.")

    async def main() -> None:
        engine = InProcessEngine(load)
        with pytest.raises(ModelLoadError, match=r"x\.gguf"):
            await engine.start()
        with pytest.raises(EngineClosed):
            await read(engine.submit(Request("a", PROMPT, 1)))
        await engine.close()

    asyncio.run(main())


def test_loading_tells_its_progress_in_the_callers_thread() -> None:
    heard: list[tuple[float, threading.Thread]] = []

    def load(progress: LoadProgress) -> Backend:
        progress(0.5)
        progress(1.0)
        return roomy()

    async def main() -> None:
        engine = InProcessEngine(load, on_load=lambda part: heard.append((part, threading.current_thread())))
        await engine.start()
        await engine.close()

    asyncio.run(main())
    assert heard == [(0.5, threading.main_thread()), (1.0, threading.main_thread())]


def test_an_engine_that_was_never_started_can_be_closed() -> None:
    asyncio.run(InProcessEngine(lambda progress: roomy()).close())

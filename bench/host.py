"""Claims about the engine host: it costs no speed, a second program starts at once, two share it fairly, and its death
is told in time.

Qwen2.5-Coder for speed and memory, a constructed Gemma 4 for deaths. Every engine is used from this process; hosts are
real ones, in a folder of their own. It judges no answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from agent.engine_hosts import ask, end_hosts, host_files
from agent.engine_settings import EnginePlace, EngineSettings
from agent.engines import make_engine
from bench.claims import report
from bench.prefix_reuse import MODELS, ROOT
from inference.engine import Engine
from inference.errors import EngineLost
from inference.gguf_header import read_header
from inference.memory import process_bytes
from inference.request import Finished, Request, Scored, TokensDecoded
from inference.wire import AskStatus, HostStatus
from tests.constructed_gemma4 import Shape, target

TEXT = (ROOT / "inference/worker.py").read_text("utf-8")


def settings(model: Path, state: Path) -> EngineSettings:
    return EngineSettings(model=model, context=8192, state=state, kv_disk=1024)


def engine_for(model: Path, state: Path, *, in_process: bool) -> Engine:
    return make_engine(settings(model, state), EnginePlace(in_process=in_process, idle_seconds=600), lambda _: None)


def host_of(model: Path, state: Path) -> HostStatus:
    status = ask(host_files(settings(model, state)), AskStatus())
    assert isinstance(status, HostStatus)
    return status


@dataclass(frozen=True)
class Answered:
    """Tokens a second between the first and the last one, and seconds to the first."""

    speed: float
    first: float


_numbers = iter(range(1_000_000))


async def answer(engine: Engine, tokens: Sequence[int], count: int) -> Answered:
    began = first = last = time.perf_counter()
    seen = 0
    async for event in engine.submit(Request(f"bench-{next(_numbers)}", tuple(tokens), count)):
        if isinstance(event, TokensDecoded):
            last = time.perf_counter()
            first = last if seen == 0 else first
            seen += len(event.ids)
    return Answered((seen - 1) / (last - first), first - began)


async def no_speed_is_lost(model: Path, state: Path, rounds: int, count: int) -> bool:
    """The same engine here and in a host, turn and turn about; greedy, so both write the same."""
    here, there = (engine_for(model, state, in_process=each) for each in (True, False))
    # One after the other: each measures its steps when it starts.
    await here.start()
    await there.start()
    prompt = here.tokenizer.encode(TEXT[:1500])
    speeds: dict[str, list[Answered]] = {"here": [], "there": []}
    for turn in range(rounds + 1):
        for name, engine in (("here", here), ("there", there)) if turn % 2 else (("there", there), ("here", here)):
            got = await answer(engine, prompt, count)
            speeds[name] += [got] if turn else []
    ratio = median(b.speed / a.speed for a, b in zip(speeds["here"], speeds["there"], strict=True))
    name = read_header(model).name
    report(f"{name}: decode in this process", median(each.speed for each in speeds["here"]), "tokens/s")
    report(f"{name}: decode in the host", median(each.speed for each in speeds["there"]), "tokens/s")
    holds = report(f"{name}: decode in the host / in this process", ratio, "ratio", ">= 0.97")
    wait = [1000 * median(each.first for each in speeds[name]) for name in ("here", "there")]
    report(f"{name}: first token of a cached prompt, in the host less in this process", wait[1] - wait[0], "ms")
    await asyncio.to_thread(measure_questions, there, here)
    await asyncio.gather(here.close(), there.close())
    return holds


def measure_questions(there: Engine, here: Engine) -> None:
    """What a synchronous question about the vocabulary costs."""
    for what, text in (("a line", "    return self._closed and not None"), ("10 kB", TEXT[:10_000])):
        times: dict[str, float] = {}
        for name, engine in (("here", here), ("there", there)):
            each: list[float] = []
            for _ in range(50):
                began = time.perf_counter()
                engine.tokenizer.encode(text)
                each.append(time.perf_counter() - began)
            times[name] = 1000 * median(each)
        report(f"tokens of {what}: asked of the host", times["there"], "ms")
        report(f"tokens of {what}: in this process", times["here"], "ms")


async def two_share(model: Path, state: Path, count: int) -> bool:
    """A chat and a review at once: both end, and the weights are in memory once."""
    chat, review = (engine_for(model, state, in_process=False) for _ in range(2))
    await asyncio.gather(chat.start(), review.start())
    prompt = chat.tokenizer.encode(TEXT[:1500])
    await answer(chat, prompt, 8)
    alone = (await answer(chat, prompt, count)).speed
    reviewing = asyncio.create_task(judge_all(review))
    await asyncio.sleep(0.5)
    together = (await answer(chat, prompt, count)).speed
    again = not reviewing.done()
    judged = await reviewing
    status = host_of(model, state)
    name = read_header(model).name
    report(f"{name}: the chat alone", alone, "tokens/s")
    report(f"{name}: the chat beside a review", together, "tokens/s")
    holds = report(f"{name}: the chat beside a review / alone", together / alone, "ratio", ">= 0.45")
    holds &= report(f"{name}: the review went on all the while, and ended", float(again and judged), "1: yes", ">= 1")
    weights = read_header(model).expected_bytes
    report(f"{name}: memory of the host, for two clients", status.resident / weights, "of the file")
    holds &= report(f"{name}: memory of both clients", process_bytes(os.getpid())[0] / weights, "of the file", "<= 0.5")
    await asyncio.gather(chat.close(), review.close())
    return holds


async def judge_all(engine: Engine) -> bool:
    """Reviews as ``agent review`` asks for them; whether all were answered."""
    ids = engine.tokenizer.encode(TEXT)
    done = 0
    for number in range(5):
        start = 400 * number
        request = Request(
            f"review-{number}", tuple(ids[start : start + 400]), 0, score=(tuple(ids[start + 400 : start + 460]),) * 2
        )
        async for event in engine.submit(request):
            done += isinstance(event, Scored)
    return done == 5


STARTER = """
import asyncio, sys, time
from pathlib import Path
from bench.host import TEXT, answer, engine_for
async def main():
    model, state, place = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    engine = engine_for(model, state, in_process=place == "here")
    await engine.start()
    await answer(engine, engine.tokenizer.encode(TEXT[:2000]), 2)
    print("answered", flush=True)
    await engine.close()
asyncio.run(main())
"""


def start_once(model: Path, state: Path, place: str) -> float:
    """Seconds from the start of a program to the second token of its answer to a prompt that was read before."""
    began = time.perf_counter()
    command = [sys.executable, "-c", STARTER, str(model), str(state), place]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.perf_counter() - began


def second_program(model: Path, state: Path, rounds: int) -> bool:
    """A program that finds the host warm, and one that loads the model itself."""
    for place in ("here", "there"):
        start_once(model, state, place)  # the prompt is on disk and in the host now
    seconds: dict[str, list[float]] = {"here": [], "there": []}
    for _ in range(rounds):
        for place in seconds:
            seconds[place].append(start_once(model, state, place))
    name = read_header(model).name
    report(f"{name}: from the start of a program to its answer, model in this process", median(seconds["here"]), "s")
    report(f"{name}: the same, with a host that is there", median(seconds["there"]), "s")
    ratio = median(there / here for here, there in zip(seconds["here"], seconds["there"], strict=True))
    return report(f"{name}: with a host / in this process", ratio, "ratio", "<= 0.5")


async def deaths(state: Path, rounds: int) -> bool:
    """kill -9 amid 50 requests of two programs: how long until the last of them knows; and that the next are right."""
    model, draw = target(Shape()), random.Random(1)
    clients = [engine_for(model, state, in_process=False) for _ in range(2)]
    prompts = [tuple(draw.choices(range(494, 590), k=300)) for _ in range(50)]
    right: list[int] | None = None
    told, wrong, slowest = 0, 0, 0.0
    for turn in range(rounds):
        await asyncio.gather(*(client.start() for client in clients))
        ids = await whole(clients[turn % 2], prompts[0])
        right = right or ids
        wrong += ids != right
        streams = [whole(clients[n % 2], prompt, 4000) for n, prompt in enumerate(prompts)]
        waiting = [asyncio.create_task(stream) for stream in streams]
        await asyncio.sleep(draw.uniform(0.05, 0.8))
        os.kill(host_of(model, state).pid, signal.SIGKILL)
        began = time.perf_counter()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        slowest = max(slowest, time.perf_counter() - began)
        told += sum(isinstance(each, EngineLost | list) for each in ended)
    await asyncio.gather(*(client.close() for client in clients))
    holds = report(f"kill -9 amid 50 requests, {rounds} times: told or answered", told / rounds, "requests", ">= 50")
    holds &= report("the last of them after", slowest, "s", "<= 2")
    return holds & report("answers that differ after a death", wrong, "answers", "<= 0")


async def whole(engine: Engine, tokens: tuple[int, ...], count: int = 40) -> list[int]:
    ids: list[int] = []
    async for event in engine.submit(Request(f"bench-{next(_numbers)}", tokens, count)):
        if isinstance(event, TokensDecoded):
            ids += event.ids
        assert not isinstance(event, Finished) or event.stats is not None
    return ids


def _stop(_signal: int, _frame: object) -> None:
    """End in the ordinary way, so that hosts are ended, too."""
    sys.exit(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1.5b", choices=["0.5b", "1.5b"])
    parser.add_argument("--only", choices=["speed", "share", "start", "deaths"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    given = parser.parse_args()
    model = MODELS / f"qwen2.5-coder-{given.size}-instruct-q4_k_m.gguf"
    holds = True
    signal.signal(signal.SIGTERM, _stop)
    with tempfile.TemporaryDirectory(prefix="hosts-") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        state = Path(folder) / "state"
        try:
            if given.only in (None, "deaths"):
                holds &= asyncio.run(deaths(state, given.rounds))
            if given.only in (None, "speed") and model.exists():
                holds &= asyncio.run(no_speed_is_lost(model, state, given.rounds, given.tokens))
            if given.only in (None, "share") and model.exists():
                holds &= asyncio.run(two_share(model, state, 2 * given.tokens))
            if given.only in (None, "start") and model.exists():
                holds &= second_program(model, state, given.rounds)
        finally:
            end_hosts()
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())

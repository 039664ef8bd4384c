"""The gates of undo, store, screen, tools and models at full size: kills, damage, sequences, cost, strings, calls.

``python -m bench.durability [kills|damage|undo|store|screen|fuzz|models] [--count N]``; without a name, all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from agent.engine_hosts import hosted_engine
from agent.engine_settings import EngineSettings
from agent.messages import AssistantMessage, Message, UserMessage
from agent.model import Dump
from agent.store import SessionStore
from agent.transcript import Snapshot
from bench.claims import report
from bench.fuzz import fuzz
from inference.engine import Engine
from tests.agent.damaged_models import hear_of_many
from tests.constructed_gemma4 import Shape, target
from tests.fakes.damage import survive
from tests.fakes.foreign_text import foreign, foreign_sequences, shown_under_a_pty
from tests.fakes.kills import Killed, kill_once
from tests.fakes.undo_machine import UndoMachine

_LONGEST_LIFE_S = 0.9  # about what the child needs for everything it does
_MESSAGES = 10_000


def kills(count: int, folder: Path) -> bool:
    """kill -9 at random points of scripted edits, commands and talk, each time with a resume and an undo of all."""
    draw, seen = random.Random(time.time_ns()), list[Killed]()
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        if (killed := kill_once(place, draw, _LONGEST_LIFE_S)) is not None:
            seen.append(killed)
        if number % 50 == 49:
            print(f"{number + 1} of {count} kills", file=sys.stderr, flush=True)
    report("kills: sessions that had begun", len(seen), "kills")
    facts: list[tuple[str, Callable[[Killed], int]]] = [
        ("half-written files", lambda each: each.half_written),
        ("acknowledged messages lost, calls without result", lambda each: each.lost),
        ("commands run twice", lambda each: each.twice),
        ("temporary files left after the next start", lambda each: each.left_behind),
        ("files that undo did not bring back", lambda each: each.not_undone),
    ]
    held = [report(f"kills: {name}", sum(map(fact, seen)), "", "== 0") for name, fact in facts]
    report("kills: resume, median", 1000 * statistics.median(each.seconds for each in seen), "ms")
    return all(held)


def damage(count: int, folder: Path) -> bool:
    """Damaged stores: opened, or one sentence; messages on untouched pages are there again, and none is wrong."""
    seen = list(survive(folder, count))
    opened = [each for each in seen if each.sentence is None]
    report("damage: stores that open", len(opened), f"of {count}")
    kept = sum(each.found for each in opened) / max(1, sum(each.untouched for each in opened))
    report("damage: messages kept, of those on untouched pages", 100 * kept, "%")
    lost = sum(each.found < each.untouched for each in opened)
    long = sum("\n" in (each.sentence or "") for each in seen)
    held = [
        report("damage: stores that lost a message of an untouched page", lost, "", "== 0"),
        report("damage: wrong messages", sum(each.wrong for each in seen), "", "== 0"),
        report("damage: sentences of more than one line", long, "", "== 0"),
    ]
    return all(held)


def undo(count: int, folder: Path) -> bool:
    """Random sequences of edits, commands, undos, redos, rewinds and edits by others; raises when one is wrong."""
    del folder
    run_state_machine_as_test(UndoMachine, settings=settings(max_examples=count, stateful_step_count=30, deadline=None))
    return report("undo: sequences in which files and model disagreed", 0, f"of {count}", "== 0")


def store(count: int, folder: Path) -> bool:
    """The time that each message costs, and to take up a session of so many messages."""
    store = SessionStore(folder)
    log = store.create("s", folder, "a-model")
    times: list[float] = []
    for number in range(count):
        text = "about as long as most things that are said " * 20
        message: Message = UserMessage(f"u{number}", text) if number % 2 else AssistantMessage(f"a{number}", text)
        part = f'["user","user",{list(range(1000, 1250))}]'
        began = time.perf_counter()
        log.append([message], [number], Snapshot(Dump("{}", (part,)), 0, number))
        times.append(1000 * (time.perf_counter() - began))
    store.close()
    began = time.perf_counter()
    again = SessionStore(folder)
    again.open("s")
    loaded = again.load("s")
    seconds = time.perf_counter() - began
    again.close()
    assert len(loaded.messages) == count
    assert loaded.snapshot is not None
    report("store: cost of a message, 99 of 100", sorted(times)[int(0.99 * count)], "ms")
    held = report("store: cost of a message, median", statistics.median(times), "ms", "<= 1")
    return report(f"store: {count:,} messages taken up again", seconds, "s", "<= 2") and held


def screen(count: int, folder: Path) -> bool:
    """Byte strings through everything that the plain command line shows, under a pty."""
    del folder
    draw, found, size = random.Random(count), 0, 0
    for _ in range(0, count, 250):
        output = shown_under_a_pty([foreign(draw) for _ in range(250)])
        found += len(foreign_sequences(output))
        size += len(output)
    report("screen: bytes that reached the terminal", size, "bytes")
    return report(f"screen: foreign control sequences of {count:,} strings, 16 events each", found, "", "== 0")


def models(count: int, folder: Path) -> bool:
    """Damaged model files through the engine's process: an answer, or one sentence that names the file."""

    def engine(path: Path) -> Engine:
        settings = EngineSettings(model=path, context=2048, state=folder / "state", kv_disk=0)
        return hosted_engine(settings, 1.0, lambda _: None)

    heard = asyncio.run(hear_of_many(count, target(Shape()).read_bytes(), folder, engine))
    told = [each for each in heard if each.sentence is not None]
    report("models: damaged files that answer all the same", count - len(told), f"of {count}")
    return report("models: files that were not named", sum(not each.names_file for each in told), "", "== 0")


_GATES: dict[str, tuple[Callable[[int, Path], bool], int]] = {
    "kills": (kills, 1000),
    "damage": (damage, 500),
    "undo": (undo, 1000),
    "store": (store, _MESSAGES),
    "screen": (screen, 5000),
    "fuzz": (fuzz, 10_000),
    "models": (models, 150),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gate", nargs="?", choices=_GATES)
    parser.add_argument("--count", type=int)
    args = parser.parse_args()
    held = True
    for name in [args.gate] if args.gate else list(_GATES):
        gate, full = _GATES[name]
        with tempfile.TemporaryDirectory() as folder:
            held = gate(args.count or full, Path(folder)) and held
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())

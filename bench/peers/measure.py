"""Asks all systems in turn and puts their medians side by side.

What is claimed of the figures stands in ``bars``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.peers import foreign
from bench.peers.completion import Reply, System
from bench.peers.workloads import Workload

DISTURBED = 0.12
"""Processors: a task during which other programs took more than this does not count. Below it no system measurably
loses; at twice that two threads that wait for each other at every operation do."""
ATTEMPTS = 4
"""A disturbed task is done again at once, so often in all. A drafter that remembers the first time gains by it; ours
remember nothing of earlier requests."""


@dataclass(frozen=True, slots=True)
class Record:
    """One task done by one system: sums over its replies. Times are milliseconds, ``first_ms`` those of each reply.

    ``order`` is the system's place in the round. ``foreign`` is how many processors other programs kept busy meanwhile.
    """

    workload: str
    task: str
    system: str
    order: int
    foreign: float
    tokens: int
    decode_ms: float
    prefilled: int
    prefill_ms: float
    cached: int
    wall_ms: float
    drafted: int
    accepted: int
    first_ms: tuple[float, ...]
    read: tuple[int, ...]


def record(workload: Workload, task: str, system: System, order: int) -> Record:
    """Do one task and sum up its replies."""
    before, began = foreign.usage(system.pid), time.perf_counter()
    replies = workload.tasks[task](system)
    others = foreign.share(before, foreign.usage(system.pid), time.perf_counter() - began)

    def total(of: Callable[[Reply], float]) -> float:
        return sum(map(of, replies))

    return Record(
        workload=workload.name,
        task=task,
        system=system.name,
        order=order,
        foreign=others,
        tokens=int(total(lambda reply: len(reply.ids))),
        decode_ms=total(lambda reply: reply.decode_ms),
        prefilled=int(total(lambda reply: reply.prefilled)),
        prefill_ms=total(lambda reply: reply.prefill_ms),
        cached=int(total(lambda reply: reply.cached)),
        wall_ms=total(lambda reply: reply.wall_ms),
        drafted=int(total(lambda reply: reply.drafted)),
        accepted=int(total(lambda reply: reply.accepted)),
        first_ms=tuple(reply.first_ms for reply in replies),
        read=tuple(reply.prefilled for reply in replies),
    )


def interleave(
    workload: Workload, systems: Sequence[System], tasks: Sequence[str], keep: Callable[[Record], None]
) -> None:
    """Every task by every system, one after the other; each task begins with another system."""
    for number, task in enumerate(tasks):
        shift = number % len(systems)
        for order, system in enumerate([*systems[shift:], *systems[:shift]]):
            for _ in range(ATTEMPTS):
                made = record(workload, task, system, order)
                print(f"    {task}: {system.name}: {show(made)}", file=sys.stderr, flush=True)
                keep(made)
                if undisturbed(made):
                    break


def show(made: Record) -> str:
    """One record in a line for who waits."""
    drafts = f", {made.accepted}/{made.drafted} drafted" if made.drafted else ""
    disturbed = "" if undisturbed(made) else f" (disturbed: others used {made.foreign:.2f} processors)"
    return (
        f"{made.tokens} tokens at {decode_tps(made):.1f}/s, {made.prefilled} read at {prefill_tps(made):.0f}/s, "
        f"{made.wall_ms / 1000:.1f} s{drafts}{disturbed}"
    )


def undisturbed(made: Record) -> bool:
    """Whether the record counts."""
    return made.foreign <= DISTURBED


def decode_tps(made: Record) -> float:
    """Generated tokens a second, by the system's own clock."""
    return 1000 * made.tokens / max(made.decode_ms, 1e-6)


def prefill_tps(made: Record) -> float:
    """Tokens read a second, by the system's own clock."""
    return 1000 * made.prefilled / max(made.prefill_ms, 1e-6)


def wall_tps(made: Record) -> float:
    """Generated tokens a second from question to last token, by the client's clock."""
    return 1000 * made.tokens / made.wall_ms


def write(path: Path, made: Record) -> None:
    with path.open("a") as file:
        file.write(json.dumps(asdict(made)) + "\n")


def read(paths: Iterable[Path]) -> list[Record]:
    """The records of earlier runs."""
    return [_restored(json.loads(line)) for path in paths for line in path.read_text().splitlines()]


def _restored(row: dict[str, Any]) -> Record:
    row["first_ms"], row["read"] = tuple(row["first_ms"]), tuple(row["read"])
    return Record(**row)


def median(records: Iterable[Record], workload: str, system: str, of: Callable[[Record], float]) -> float | None:
    """Over all tasks and runs; None when nothing was measured."""
    values = [of(made) for made in records if (made.workload, made.system) == (workload, system) and undisturbed(made)]
    return statistics.median(values) if values else None


def ratio(
    records: Sequence[Record], workload: str, pair: tuple[str, str], of: Callable[[Record], float]
) -> float | None:
    """The first system over the second: the quotient of each task's medians, and of these the median."""

    def by_task(system: str) -> dict[str, float]:
        values: dict[str, list[float]] = {}
        for made in records:
            if (made.workload, made.system) == (workload, system) and undisturbed(made):
                values.setdefault(made.task, []).append(of(made))
        return {task: statistics.median(measured) for task, measured in values.items()}

    mine, theirs = by_task(pair[0]), by_task(pair[1])
    quotients = [mine[task] / theirs[task] for task in mine if task in theirs]
    return statistics.median(quotients) if quotients else None

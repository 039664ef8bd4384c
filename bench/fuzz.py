"""The gate of the tools at full size: thousands of made-up calls through validation, permissions and tools.

A third each are files of the JSON test suite and naughty strings as arguments, and what Hypothesis makes of the tools'
schemas. Commands are not made up: they would run.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.approvals import Approvals
from agent.events import AgentEvent, Notice
from agent.messages import ToolCall
from agent.permissions import Mode, Rules
from agent.toolset import Surroundings, Toolset
from bench.claims import report
from tests.tools.test_fuzz import NAUGHTY, SHAPES, calls, outside, prepare
from tools.registry import close_tools

_SUITE = Path(__file__).parents[1] / "../shared/data/JSONTestSuite"
_A_WORKSPACE = 500  # calls; then a new one, for they write files
_Call = tuple[str, dict[str, Any]]


def fuzz(count: int, folder: Path) -> bool:
    """Make the calls; whether nothing was uncaught, nothing was written outside, and 99 of 100 were quick."""
    del folder
    made = list(itertools.islice(_calls(count), count))
    times: dict[str, list[float]] = {}
    found: Counter[str] = Counter()
    for start in range(0, count, _A_WORKSPACE):
        with tempfile.TemporaryDirectory() as name:
            found += asyncio.run(_run(made[start : start + _A_WORKSPACE], Path(name), times))
    for name, each in sorted(times.items()):
        report(f"fuzz: {name}, 99 of 100 of {len(each):,} calls", _percentile(each), "ms")
    everything = [each for some in times.values() for each in some]
    report("fuzz: calls that succeeded", 100 * found["succeeded"] / count, "%")
    held = [
        report(f"fuzz: uncaught, of {count:,} calls", found["uncaught"], "calls", "== 0"),
        report("fuzz: writes outside, or to what is protected", found["outside"], "", "== 0"),
        report("fuzz: 99 of 100 calls", _percentile(everything), "ms", "<= 100"),
    ]
    return all(held)


async def _run(made: list[_Call], folder: Path, times: dict[str, list[float]]) -> Counter[str]:
    found: Counter[str] = Counter()
    hands = prepare(folder)
    tools = tuple(hands.tools.values())
    surroundings = Surroundings(hands.context.workspace, hands.recorder, hands.context.environment)
    toolset = Toolset(tools, Approvals(Mode.YOLO, Rules(), interactive=False), surroundings)
    before = outside(folder)
    for number, (name, arguments) in enumerate(made):
        events: list[AgentEvent] = []
        began = time.perf_counter()
        try:
            result = await toolset.run(ToolCall(str(number), name, arguments), events.append, lambda: False)
            found["succeeded"] += not result.is_error
            found["uncaught"] += any(isinstance(event, Notice) for event in events)
        except Exception as error:  # noqa: BLE001 - it is what is counted
            print(f"uncaught: {name} {arguments!r}: {error!r}")
            found["uncaught"] += 1
        times.setdefault(name, []).append(1000 * (time.perf_counter() - began))
    found["outside"] += outside(folder) != before
    await close_tools(tools)
    return found


def _calls(count: int) -> Iterator[_Call]:
    draw = random.Random(count)
    sources = [itertools.cycle(_from_suite(draw)), _of_strings(draw), iter(_of_schemas(count))]
    for source in itertools.cycle(sources):
        yield next(source)


def _from_suite(draw: random.Random) -> list[_Call]:
    """Each file's value as arguments, or as one of them; one that is no JSON as text."""
    made: list[_Call] = []
    for path in sorted(_SUITE.rglob("*.json")):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        for name in SHAPES:
            keys = [key for key in SHAPES[name] if key != "command"]
            arguments = cast("dict[str, Any]", value) if isinstance(value, dict) else {draw.choice(keys): value}
            made.append((name, {key: each for key, each in arguments.items() if key != "command"}))
    draw.shuffle(made)
    return made


def _of_strings(draw: random.Random) -> Iterator[_Call]:
    while True:
        name = draw.choice(sorted(SHAPES))
        keys = [key for key in SHAPES[name] if key not in ("command", "replacements", "items")]
        yield name, {key: draw.choice(NAUGHTY) for key in keys if draw.random() < 0.7}


def _of_schemas(count: int) -> list[_Call]:
    made: list[_Call] = []

    @settings(
        max_examples=count // 15, database=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow]
    )
    @given(st.lists(calls(), min_size=10, max_size=30))
    def collect(some: list[_Call]) -> None:
        made.extend(some)

    collect()
    return made * (1 + count // max(1, len(made)))


def _percentile(times: list[float]) -> float:
    return sorted(times)[int(0.99 * (len(times) - 1))]

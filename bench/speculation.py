"""Claim: copy drafting speeds up rewrites, and new code and prose never fall below 0.97 of plain decoding.

Each workload is written by turns plainly and with each mechanism alone and together (copies, forced tokens, a smaller
model), on one loaded model at temperature 0; medians. It compares with no other program: ``bench.peers`` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from agent.messages import ToolSpec
from agent.model import ResponseOptions
from agent.model.formats.base import Tail
from agent.model.formats.chatml import ChatMLFormat
from bench.claims import report
from inference.backend.llama_cpp import LlamaCppBackend
from inference.controller import Controller, Knowledge
from inference.drafters import Drafter, Generation, LookupDrafter
from inference.drafters.copy import CopyDrafter
from inference.drafters.forced import ForcedDrafter
from inference.drafters.load import load_drafter
from inference.planner import Outcome, Planner, Planning
from inference.prefix_cache import PrefixCache
from inference.request import DrafterStats, Finished, Request, Stats
from inference.step_costs import WIDTHS, StepCosts
from inference.worker import Worker

MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
QWEN = MODELS / "qwen2.5-coder-{}b-instruct-q4_k_m.gguf"
SOURCE = Path(__file__).with_name("speculation_source.txt")
DRAFT_MODEL = "draft model"
MECHANISMS: dict[str, tuple[Callable[[], LookupDrafter], ...]] = {
    "copy": (CopyDrafter,),
    "forced": (ForcedDrafter,),
    DRAFT_MODEL: (),
    "all": (ForcedDrafter, CopyDrafter),
}
LEAST_TOLD = 20  # tokens; a share of fewer says little
REWRITE = (
    "Rewrite this file. Rename the method `total` to `sum_of_prices`, make `limit` 20 instead of 10, and change "
    "nothing else. Answer with the whole file in one code block.\n\n```python\n{}```"
)
NEW_CODE = "Write a Python class for an LRU cache with a time to live, with type hints. Only code."
PROSE = "Explain in four paragraphs how a suspension bridge carries its load. No lists, no code."
EDIT = (
    "Call the tool edit on the file `inventory.py`: replace the whole body of the method `restock`, so that it raises "
    "ValueError for an amount below 1. The file:\n\n```python\n{}```"
)
EDIT_TOOL = ToolSpec(
    "edit",
    "Replace text in a file.",
    {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "old_text": {"type": "string"},
            "new_text": {"type": "string"},
            "replace_all": {"type": "boolean"},
        },
        "required": ["path", "old_text", "new_text", "replace_all"],
        "additionalProperties": False,
    },
)


def workloads(chat: ChatMLFormat) -> dict[str, Request]:
    """The requests, by name."""
    source = SOURCE.read_text("utf-8")

    def asked(text: str, tools: Sequence[ToolSpec], max_tokens: int) -> Request:
        ids = [*chat.begin("You are a coding assistant.", tools), *chat.user(text), *chat.cue(Tail.USER, "auto").ids]
        grammar = chat.grammar(tools, ResponseOptions(tool_choice="required")) if tools else None
        return Request(text[:12], tuple(ids), max_tokens, stop_ids=chat.stop_ids, grammar=grammar)

    return {
        "new code": asked(NEW_CODE, (), 250),
        "rewrite": asked(REWRITE.format(source), (), 1200),
        "prose": asked(PROSE, (), 250),
        "tool call": asked(EDIT.format(source), (EDIT_TOOL,), 400),
    }


@dataclass
class Watched:
    """A Planner that notes how long another one thinks, in seconds."""

    inner: Planner
    seconds: float = 0.0
    steps: int = 0

    def begin(self, generation: Generation) -> Planning:
        began = time.perf_counter()
        planning = self.inner.begin(generation)
        self.seconds += time.perf_counter() - began
        return WatchedPlanning(self, planning)

    def close(self) -> None:
        self.inner.close()


@dataclass
class WatchedPlanning:
    owner: Watched
    inner: Planning

    def _timed(self, began: float) -> None:
        self.owner.seconds += time.perf_counter() - began

    def follow(self, tokens: Sequence[int], row: int) -> None:
        began = time.perf_counter()
        self.inner.follow(tokens, row)
        self._timed(began)

    def plan(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        began = time.perf_counter()
        draft = self.inner.plan(tokens, limit)
        self._timed(began)
        self.owner.steps += 1
        return draft

    def settle(self, outcome: Outcome) -> None:
        began = time.perf_counter()
        self.inner.settle(outcome)
        self._timed(began)

    def stats(self) -> tuple[DrafterStats, ...]:
        return self.inner.stats()

    def close(self) -> None:
        self.inner.close()


@dataclass
class Contestant:
    """One way to write, with all its runs."""

    worker: Worker
    planner: Watched | None
    knowledge: Knowledge | None = None
    runs: list[Stats] = field(default_factory=list[Stats])

    @property
    def speeds(self) -> list[float]:
        """Tokens a second, run by run."""
        return [1000 * (stats.decoded_tokens - 1) / stats.decode_ms for stats in self.runs]


def write(worker: Worker, request: Request) -> Stats:
    """Serve one request whose prompt may be cached."""
    for event in worker.serve(request, lambda: False):
        if isinstance(event, Finished):
            return event.stats
    raise AssertionError("a request ends with Finished")


@dataclass(frozen=True)
class Setup:
    """What all workloads share. ``predictors`` is the smaller model, or nothing; ``only`` mechanisms are measured."""

    backend: LlamaCppBackend
    steps: StepCosts
    predictors: tuple[Drafter, ...]
    only: tuple[str, ...]

    def mechanisms(self, request: Request) -> Iterator[str]:
        """Those that can do something for ``request`` and differ from the others."""
        for name in MECHANISMS:
            alone = not request.grammar and not self.predictors
            idle = (name == DRAFT_MODEL and not self.predictors) or (name == "forced" and not request.grammar)
            if name in self.only and not idle and not (name == "copy" and alone):
                yield name


def compare(setup: Setup, name: str, request: Request, rounds: int) -> bool:
    """One workload, by turns in every way."""
    backend, cache = setup.backend, PrefixCache(setup.backend)
    contestants = {"plain": Contestant(Worker(backend, cache), None)}
    for mechanism in setup.mechanisms(request):
        # Each learns for itself, from nothing: the first round is a first start.
        knowledge = Knowledge(StepCosts(setup.steps.measured()))
        predictors = setup.predictors if mechanism in (DRAFT_MODEL, "all") else ()
        planner = Watched(Controller(knowledge, [make() for make in MECHANISMS[mechanism]], predictors))
        contestants[mechanism] = Contestant(Worker(backend, cache, planner), planner, knowledge)
    write(contestants["plain"].worker, Request("warm", request.tokens, 2))
    for _ in range(rounds):
        for contestant in contestants.values():
            contestant.runs.append(write(contestant.worker, request))
    cache.reset()
    return _report(name, contestants)


def _report(name: str, contestants: dict[str, Contestant]) -> bool:
    plain = contestants["plain"].speeds
    report(f"{name}: plain", statistics.median(plain), "tokens/s")
    holds = True
    for mechanism, contestant in contestants.items():
        if contestant.planner is None:
            continue
        ratios = [speed / base for speed, base in zip(contestant.speeds, plain, strict=True)]
        bar = None if mechanism != "all" else ">= 1.8" if name == "rewrite" else ">= 0.97"
        holds &= report(f"{name}: {mechanism} against plain, median", statistics.median(ratios), "x", bar)
        report(f"{name}: {mechanism} against plain, first round", ratios[0], "x")
        last = contestant.runs[-1]
        report(f"{name}: {mechanism}, tokens drafted of {last.decoded_tokens}", last.drafted_tokens, "tokens")
        report(f"{name}: {mechanism}, of them accepted", last.accepted_tokens, "tokens")
        if contestant.knowledge is not None:
            _report_learned(f"{name}: {mechanism}", contestant.knowledge)
        thinking = 1000 * contestant.planner.seconds / max(1, contestant.planner.steps)
        report(f"{name}: {mechanism}, planning a step", thinking, "ms")
    return holds


def _report_learned(label: str, knowledge: Knowledge) -> None:
    """How often tokens proved right by what they rested on: what ``inference.acceptance.prior`` is fitted to."""
    for grounds, (right, tried) in knowledge.acceptance.dump().items():
        if ":" not in grounds and tried >= LEAST_TOLD:
            report(f"{label}, right on the grounds {grounds} (of {tried:.0f})", right / tried, "share")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1.5", choices=["0.5", "1.5"], help="billions of parameters")
    parser.add_argument("--workload", action="append", help="new code, rewrite, prose, tool call; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mechanism", action="append", choices=list(MECHANISMS), help="all by default")
    parser.add_argument("--draft-size", choices=["0.5"], help="billions of parameters of a smaller model that drafts")
    args = parser.parse_args()
    path = Path(str(QWEN).format(args.size))
    if not path.exists():
        print(f"{path} is missing: agent models pull qwen2.5-coder-{args.size}b", file=sys.stderr)
        return 2
    with ExitStack() as opened:
        backend = opened.enter_context(closing(LlamaCppBackend.load(path, n_ctx=4096)))
        predictors: tuple[Drafter, ...] = ()
        if args.draft_size:
            small = Path(str(QWEN).format(args.draft_size))
            predictors = (opened.enter_context(closing(load_drafter(small, path, backend))),)
        steps = StepCosts()
        for _ in range(2):  # the first probe also wakes the machine
            steps = StepCosts()
            steps.probe(backend, seconds=20)
        for rows in WIDTHS:
            report(f"a decode of {rows} rows", steps.expected(rows) / steps.expected(1), "plain decodes")
        setup = Setup(backend, steps, predictors, tuple(args.mechanism or MECHANISMS))
        requests = workloads(ChatMLFormat(backend.tokenizer))
        chosen = args.workload or list(requests)
        results = [compare(setup, name, requests[name], args.rounds) for name in chosen]
        return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

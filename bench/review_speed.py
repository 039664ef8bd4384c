"""Claims: with a warm engine a review of 3 files and 120 changed lines takes 10 s; one more file costs that file only.

The files are this program's own at a fixed commit, in a git repository of their own; each has ten lines changed in
four places and a new function of twenty lines. The engine is loaded before the clock starts, nothing has been judged,
and nothing is in its cache.

    python -m bench.review_speed [--model NAME] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from agent.assembly import Talk, open_model
from agent.model import TokenScore
from agent.review.accepted import Baseline
from agent.review.cache import JudgementCache
from agent.review.changes import Wanted, changed_files
from agent.review.job import OpenedReviewer, Progress, ReviewJob, ReviewOptions
from agent.review.judge import Scorer
from agent.setup import read_setup
from bench.claims import report
from bench.review_mutations import committed_files

ROOT = Path(__file__).resolve().parents[1]
FIRST = ("agent/session.py", "agent/journal.py", "inference/worker.py")
MORE = "agent/permissions.py"
KINDS = ("tuple", "list", "sorted")  # one a round, so that no round finds what another one read
_SIMPLE = re.compile(r"^( {4,}(?:[\w.]+ = |return ))([\w.]+(?:[(\[].*[)\]])?)$")
_WANTED = Namespace(paths=[], hook=None, base=None, commit=None, worktree=False)


@dataclass
class Counting:
    """A Scorer that counts what it is asked, on another one."""

    scorer: Scorer
    asked: list[str] = field(default_factory=list[str])

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
        """As Scorer says."""
        self.asked.append(prefix)
        return await self.scorer.score(prefix, texts)


@dataclass
class Round:
    """Seconds of one review: all of it, until the first passage was judged, and until a finding was shown (None: none
    was); and how many passages were judged anew."""

    seconds: float
    first: float
    found: float | None
    judged: int


def changed(text: str, kind: str) -> str:
    """The text with ten lines changed in four places (what is assigned or returned there goes through ``kind``), and a
    function of twenty lines more."""
    lines = text.splitlines()
    simple = [n for n, line in enumerate(lines) if _SIMPLE.match(line) and line.count("(") == line.count(")")]
    for quarter, count in enumerate((3, 2, 3, 2)):
        mine = simple[quarter * len(simple) // 4 : (quarter + 1) * len(simple) // 4]
        for number in _nearest_together(lines, mine, count):
            lines[number] = _SIMPLE.sub(rf"\1{kind}(\2)", lines[number])
    steps = [f"    if value > {number}:\n        value -= {number}" for number in range(1, 9)]
    return "\n".join([*lines, "", "", f"def settled_{kind}(value: int) -> int:", *steps, "    return value"]) + "\n"


def _nearest_together(lines: Sequence[str], numbers: Sequence[int], count: int) -> Sequence[int]:
    """So many of the numbers, with the fewest lines between them, if possible in one function."""
    pieces = [numbers[at : at + count] for at in range(len(numbers) - count + 1)]

    def apart(piece: Sequence[int]) -> tuple[bool, int]:
        return any("def " in line for line in lines[piece[0] : piece[-1]]), piece[-1] - piece[0]

    return min(pieces, key=apart)


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


async def reviewed(root: Path, scorer: Counting, cache: JudgementCache) -> Round:
    """One review of what is staged, with an engine that is there already."""
    scorer.asked.clear()
    began = time.monotonic()
    marks: list[float] = []
    shown: list[float] = []

    async def opened() -> OpenedReviewer:
        return OpenedReviewer(scorer, cache)

    def progress(step: Progress) -> None:
        if step.done:
            marks.append(time.monotonic() - began)
        if step.surest is not None:
            shown.append(time.monotonic() - began)

    change = changed_files(root, Wanted(_WANTED, root, {}))
    await ReviewJob(ReviewOptions(), opened, progress).run(change, Baseline())
    seconds = time.monotonic() - began
    return Round(seconds, marks[0] if marks else seconds, shown[0] if shown else None, len(scorer.asked))


async def one_round(number: int, args: argparse.Namespace) -> tuple[Round, Round]:
    """The first review, and the one after another file was staged, with a fresh engine."""
    sources = committed_files(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        git(root, "init", "-q")
        for path in (*FIRST, MORE):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(sources[path])
        git(root, "add", "-A")
        git(root, "commit", "-qm", "before")
        for path in FIRST:
            (root / path).write_text(changed(sources[path], KINDS[number % len(KINDS)]))
        git(root, "add", "-A")
        if number == 0:
            report("changed lines", sum(_lines(root)), "lines")
        model = await open_model(
            read_setup(Namespace(model=args.model, context=8192, kv_disk=0, in_process=True), cwd=ROOT), Talk()
        )
        try:
            await model.score("def f():\n", ["    return 1\n"])  # the first request of all finds cold memory
            scorer, cache = Counting(model), JudgementCache(root / "review.db", "model")
            first = await reviewed(root, scorer, cache)
            (root / MORE).write_text(changed(sources[MORE], KINDS[number % len(KINDS)]))
            git(root, "add", MORE)
            return first, await reviewed(root, scorer, cache)
        finally:
            await model.close()


def _lines(root: Path) -> list[int]:
    return [int(part) for line in git(root, "diff", "--cached", "--numstat").splitlines() for part in line.split()[:2]]


def main() -> int:
    """Measure and print the claims; exit code 1 when one does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rounds = [asyncio.run(one_round(number, args)) for number in range(args.rounds)]
    report("3 files: passages judged", median(first.judged for first, _ in rounds), "passages")
    report("3 files: first passage judged", median(first.first for first, _ in rounds), "s")
    found = [first.found for first, _ in rounds if first.found is not None]
    if found:
        report("3 files: first finding shown", median(found), f"s, in {len(found)} of {len(rounds)} rounds")
    held = report("3 files, 120 lines, warm engine: review", median(f.seconds for f, _ in rounds), "s", "<= 10")
    report("one more file: review", median(second.seconds for _, second in rounds), "s")
    again = [second.judged for _, second in rounds]
    held &= report(
        "one more file: passages judged", median(again), "passages", f"<= {median(f.judged for f, _ in rounds) // 2}"
    )
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())

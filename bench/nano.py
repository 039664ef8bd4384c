"""Claims: the pair that we train repairs bugs in files it has never seen, its drafts are right, and it can review.

Bugs of all kinds that ``training.bugs`` knows, in functions of sources that training leaves out: ``agent fix`` from
the command line; drafting on the very prompts that it sends; a review of the change that brings a bug in, and of the
one that takes it out, which nothing is to be said about; and the demo.

    python -m bench.nano [--model NAME] [--count 200] [--seconds 60] [--parts repair,drafts,review,demo]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from agent.assembly import Talk, open_model
from agent.models.drafters import assistant_beside
from agent.models.fetch import ModelOptions, ensure_model
from agent.setup import read_setup
from bench.buggy_repositories import agent_fix
from bench.claims import report
from bench.review import NEAR, counts, outcomes
from bench.review_cases import Case as Change
from bench.review_scores import KeptScores
from inference.backend.llama_cpp import LlamaCppBackend
from inference.drafters.load import load_drafter
from inference.hardware import physical_cores
from inference.planner import AlwaysDraft
from inference.prefix_cache import PrefixCache
from inference.repetition import RepetitionLimits
from inference.request import Finished, Request, TokensDecoded
from inference.worker import Worker, WorkerOptions
from tests.inference.padded import Padding
from training.bugs import KINDS
from training.cut import open_tokenizer
from training.repositories import Case
from training.runner import Runner
from training.sessions import Choice, cases, record

ROOT = Path(__file__).resolve().parents[1]
TESTS = f"{sys.executable} -m pytest -q"
DRAFTED = 3  # tokens at a time
TEXTS = ("the edit", "the last word")  # what the model says in a session, in this order
CONTEXT = 8192
ENDLESS = WorkerOptions(repetition=RepetitionLimits(min_tokens=1 << 30))
SHARE = 1 / 3  # of the bugs, so that those of one function do not make up the whole


def unseen(runner: Runner, args: argparse.Namespace, count: int) -> Iterator[Case]:
    """Repositories with one bug each, of sources that no training has seen."""
    chance = random.Random(args.seed)
    choice = Choice(held_out=True, more=args.more)
    some = (case for case in cases(runner, args.seed, choice) if chance.random() < SHARE)
    return islice(some, count)


def repair(args: argparse.Namespace) -> bool:
    """``agent fix`` on each repository; the share of green ones for each kind of bug, and of all.

    Every repair is the model's, unless ``--as-users-do`` is given.
    """
    solved: defaultdict[str, list[bool]] = defaultdict(list)
    flags = ["--model", args.model, "--max-seconds", str(args.seconds), "--seed", str(args.seed)]
    if not args.as_users_do:
        flags.append("--only-model")
    with Runner() as runner, tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.at_once) as pool:

        def fix(case: Case, root: Path) -> None:
            result, seconds = agent_fix(root, TESTS, *flags)
            shutil.rmtree(root)
            green = result["exit_code"] == 0
            solved[case.bug.kind].append(green)
            told = {"kind": case.bug.kind, "function": case.specimen.name, "solved": green}
            print(json.dumps({**told, "seconds": round(seconds, 1), "attempts": result["attempts"]}), flush=True)

        running: list[Future[None]] = []
        for number, case in enumerate(unseen(runner, args, args.count)):
            # The case's own folder is used again for the next.
            root = shutil.copytree(case.root, Path(folder) / str(number) / case.root.name)
            running.append(pool.submit(fix, case, root))
            for each in running[: -args.at_once]:
                each.result()
        for each in running:
            each.result()
    for kind in KINDS:
        if solved[kind]:
            report(f"{kind}: repaired", sum(solved[kind]) / len(solved[kind]), f"of {len(solved[kind])}")
    every = [each for some in solved.values() for each in some]
    return report("bugs in unseen files repaired", sum(every) / max(1, len(every)), f"of {len(every)}", ">= 0.7")


@dataclass
class Speed:
    """Of one kind of text: tokens and milliseconds of both ways, drafts, and whether the texts are the same."""

    tokens: int = 0
    plain_ms: float = 0.0
    drafted_ms: float = 0.0
    drafted: int = 0
    accepted: int = 0
    same: list[bool] = field(default_factory=list[bool])


def drafts(args: argparse.Namespace) -> bool:
    """Decode what the model says in its sessions, plainly and with MTP; acceptance and speed by kind of text."""
    target = ensure_model(args.model, ModelOptions()).target
    drafter = assistant_beside(target)
    if drafter is None:
        raise SystemExit(f"There is no drafter beside {target}.")
    found = {text: Speed() for text in TEXTS}
    backend = LlamaCppBackend.load(target, n_ctx=CONTEXT, n_batch=512, n_threads=args.threads)
    with closing(backend), open_tokenizer(target) as tokenizer, Runner() as runner:
        planner = AlwaysDraft(load_drafter(drafter, target, backend, n_threads=args.threads), DRAFTED)
        # One row is decoded by other kernels than several, so equal texts are those of decodes of two rows.
        ways = {"plain": None, "padded": AlwaysDraft(Padding(), 1), "drafted": planner}
        with closing(planner):
            for case in unseen(runner, args, args.drafts):
                sample = record(case, tokenizer, runner)
                if sample is not None:
                    for text, (start, end) in zip(TEXTS, sample.said, strict=True):
                        _decode(backend, ways, Request("bench", sample.ids[:start], end - start), found[text])
    holds = True
    for text, speed in found.items():
        if speed.tokens:
            acceptance, gain = speed.accepted / max(1, speed.drafted), speed.plain_ms / speed.drafted_ms
            holds &= report(f"{text}: drafted tokens accepted at k = {DRAFTED}", acceptance, "share", ">= 0.6")
            holds &= report(f"{text}: decoding with MTP", gain, "x plain", "> 1")
            report(f"{text}: plain decoding", 1000 * speed.tokens / speed.plain_ms, "tokens/s")
            report(
                f"{text}: the same as padded plain decoding", sum(speed.same) / len(speed.same), f"of {len(speed.same)}"
            )
    return holds


def _decode(backend: LlamaCppBackend, ways: dict[str, AlwaysDraft | None], request: Request, speed: Speed) -> None:
    said: dict[str, list[int]] = {}
    for name, planner in ways.items():
        backend.seq_rm(0, 0, -1)
        said[name] = []
        for event in Worker(backend, PrefixCache(backend), planner, ENDLESS).serve(request, lambda: False):
            if isinstance(event, TokensDecoded):
                said[name] += event.ids
            elif isinstance(event, Finished) and name == "plain":
                speed.plain_ms += event.stats.decode_ms
                speed.tokens += event.stats.decoded_tokens
            elif isinstance(event, Finished) and name == "drafted":
                speed.drafted_ms += event.stats.decode_ms
                speed.drafted += event.stats.drafted_tokens
                speed.accepted += event.stats.accepted_tokens
    speed.same.append(said["padded"] == said["drafted"])


def review(args: argparse.Namespace) -> bool:
    """What a review finds of the changes that bring bugs in, and says of those that take them out."""
    with Runner() as runner:
        found = [(case.bug, case.specimen) for case in unseen(runner, args, args.reviews)]
    changes: list[Change] = []
    for number, (bug, specimen) in enumerate(found):
        changes.append(Change(f"{number}: buggy", specimen.text, bug.text, (bug.line,)))
        changes.append(Change(f"{number}: clean", bug.text, specimen.text, ()))

    async def judge() -> None:
        setup = read_setup(Namespace(model=args.model, context=CONTEXT, in_process=True), cwd=ROOT)
        model = await open_model(setup, Talk())
        try:
            scorer = KeptScores(None, model)
            said = [each for change in changes for each in await outcomes(change, scorer)]
        finally:
            await model.close()
        for which, some in (("with the certain checks", said), ("the model alone", [e for e in said if e.found])):
            value = counts(some, changes, args.threshold)
            report(f"review, {which}: mistakes found within {NEAR} lines", value.recall, f"of {len(found)}")
            report(f"review, {which}: findings that are right", value.precision, "share")
            report(f"review, {which}: false alarms per harmless change", value.alarms, "findings")

    asyncio.run(judge())
    return True


def demo(args: argparse.Namespace) -> bool:
    """From the command to a green test."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        command = [sys.executable, "-m", "agent", "demo", "--directory", folder, "--model", args.model]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        seconds = time.monotonic() - began
    green = report("demo: repaired", float(done.returncode == 0), "", "== 1")
    return report("demo: from the command to a green test", seconds, "s", "<= 20") and green


PARTS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "repair": repair, "drafts": drafts, "review": review, "demo": demo
}  # fmt: skip


def main() -> int:
    """Measure and print the claims; exit code 1 when one does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="gemma4-nano", help="a name, or the path of a target with its drafter")
    parser.add_argument("--count", type=int, default=200, help="repositories that are repaired")
    parser.add_argument("--seconds", type=int, default=60, help="for each of them")
    parser.add_argument(
        "--at-once", type=int, default=1, help="so many repositories, of which each has less of the machine"
    )
    parser.add_argument("--as-users-do", action="store_true", help="also what failures name may repair them")
    parser.add_argument("--drafts", type=int, default=40, help="sessions that are decoded with drafts")
    parser.add_argument("--threads", type=int, default=physical_cores(), help="for these; the other parts choose")
    parser.add_argument("--reviews", type=int, default=60, help="bugs that are reviewed")
    parser.add_argument("--more", type=Path, help="a folder with further packages to take unseen files from")
    parser.add_argument("--threshold", type=float, default=0.5, help="the confidence from which findings are shown")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    held = [PARTS[part](args) for part in args.parts.split(",")]
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""Sessions of ``agent fix`` as training data: our own job, loop, tools and chat format, with answers that are right.

A teacher in the engine's place gets the very token ids that the product would send; those, and what it says, are the
sample. The tests run as ``python -m pytest -q`` would run them; in the end the file must be as it was before the bug.

    python -m training.sessions --vocabulary run/vocabulary.gguf --out run/sessions.jsonl --count 1000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from agent.assembly import Wish, open_session
from agent.config import Config
from agent.confinement import Commands
from agent.evidence import Sources
from agent.failures import TestRun, read_test_run
from agent.fix import FixJob, FixOptions, OpenedSession
from agent.model.local import LocalModel, LocalSettings
from agent.permissions import Mode
from agent.setup import Setup
from agent.test_paths import is_test_path
from inference.tokenizer import Tokenizer
from prompts import load
from tools.commands import Unconfined
from training.cut import open_tokenizer
from training.repositories import Case, lay_out
from training.runner import Runner
from training.samples import Sample, read_samples, write_samples
from training.sources import all_sources
from training.specimens import broken, specimens
from training.teacher import Teacher, with_code, with_tools

COMMAND = "python -m pytest -q"
_NO_CHANGE = float("-inf")


@dataclass(frozen=True, slots=True)
class Manner:
    """How the model works: ``direct`` ones are asked for code, as small ones are; others use tools, after a thought
    where they think."""

    direct: bool = False
    thinks: bool = False


def record(case: Case, tokenizer: Tokenizer, runner: Runner, manner: Manner = Manner()) -> Sample | None:
    """The session that repairs a case; None where the right answers do not come to a green end."""
    answers = with_code(case) if manner.direct else with_tools(case, thinks=manner.thinks)
    teacher = Teacher(tokenizer, answers)
    green = asyncio.run(_fix(case, teacher, runner, manner))
    if not green or len(teacher.heard) != len(answers):
        return None
    request, last = teacher.heard[-1]
    ids = (*request.tokens, *last)
    said = tuple((len(each.tokens), len(each.tokens) + len(answer)) for each, answer in teacher.heard)
    if any(list(ids[start:end]) != answer for (start, end), (_, answer) in zip(said, teacher.heard, strict=True)):
        return None  # something that was said is not in the history as it was said
    source = case.specimen.source
    return Sample(ids, said, case.bug.kind, source.label, request.static, source.held_out)


async def _fix(case: Case, teacher: Teacher, runner: Runner, manner: Manner) -> bool:
    """One attempt of the job, as the command makes it but for the model and who runs the tests; whether it is green."""
    model = LocalModel(teacher, LocalSettings(name="teacher", small=manner.direct, thinking=manner.thinks))
    await model.start()
    setup = Setup(Config(), case.root, case.root, case.root.parent / "state", bare=True)
    wish = Wish(mode=Mode.ACCEPT_EDITS, keep=False, commands=Commands(Unconfined(), "", lambda: None))
    if manner.direct:
        wish = replace(wish, system=load("fix/system"), show_tools=False, preface=False)
    opened = open_session(setup, model, wish)

    async def run_tests(_: float | None) -> TestRun:
        began = time.monotonic()
        if (case.root / case.path).read_text() == case.specimen.text:
            return read_test_run(COMMAND, 0, "1 passed in 0.01s", 0.0)  # its examples come from calling it
        tested = await asyncio.to_thread(runner.pytest, case.root)
        return read_test_run(COMMAND, tested.code, tested.output, time.monotonic() - began)

    async def ready(enough: bool) -> OpenedSession:
        return OpenedSession(opened.session, manner.direct and enough, opened.session.count, _no_preferences)

    try:
        job = FixJob(
            FixOptions(COMMAND, attempts=1, stated=False),
            lambda: Sources(case.root, is_test_path),
            run_tests,
            ready,
            lambda _: None,
        )
        return (await job.run()).green
    finally:
        await opened.session.close()


async def _no_preferences(_prefix: str, _base: str, variants: Sequence[str]) -> list[float]:
    return [_NO_CHANGE for _ in variants]


def cases(runner: Runner, seed: int, *, held_out: bool | None = None, after: str = "") -> Iterator[Case]:
    """Repositories with one bug each, from all sources in an order drawn by ``seed``; each is gone when the next comes.

    ``held_out`` chooses between sources that are and that are not; those up to the label ``after`` are left out.
    """
    sources = [source for source in all_sources() if held_out in (None, source.held_out)]
    random.Random(seed).shuffle(sources)
    labels = [source.label for source in sources]
    # The folder's name is part of the prompt, so it is the same every time.
    folder = Path(tempfile.gettempdir()) / f"fix-{seed}"
    for source in sources[labels.index(after) + 1 if after in labels else 0 :]:
        for specimen in specimens(source, runner, seed):
            for number, bug in enumerate(broken(specimen, runner, seed)):
                shutil.rmtree(folder, ignore_errors=True)
                yield lay_out(specimen, bug, folder / (specimen.name.strip("_") or "function"), seed + number)
    shutil.rmtree(folder, ignore_errors=True)


def generate(tokenizer: Tokenizer, runner: Runner, seed: int, manner: Manner, after: str = "") -> Iterator[Sample]:
    """Sessions from all sources behind the one with the label ``after``."""
    for case in cases(runner, seed, after=after):
        sample = record(case, tokenizer, runner, manner)
        if sample is not None:
            yield sample


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--thinks", action="store_true", help="with a thought before the change")
    parser.add_argument("--direct", action="store_true", help="asked for code, without tools")
    args = parser.parse_args()
    kinds: Counter[str] = Counter()
    lengths: list[tuple[int, int, int]] = []

    def counted(samples: Iterator[Sample]) -> Iterator[Sample]:
        for sample in samples:
            kinds[sample.kind] += 1
            lengths.append((len(sample.ids), sample.said[0][0], int(sample.mask.sum())))
            yield sample

    began = time.monotonic()
    there = list(read_samples(args.out)) if args.out.exists() else []
    after = there[-1].origin if there else ""
    with open_tokenizer(args.vocabulary) as tokenizer, Runner() as runner:
        samples = generate(tokenizer, runner, args.seed, Manner(args.direct, args.thinks), after)
        count = write_samples(args.out, counted(islice(samples, max(0, args.count - len(there)))))
    report: dict[str, object] = {"sessions": count, "seconds": round(time.monotonic() - began), "kinds": kinds}
    for at, name in enumerate(("tokens", "first prompt", "said")):
        numbers = [each[at] for each in lengths] or [0]
        report[name] = {"median": statistics.median(numbers), "most": max(numbers)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()

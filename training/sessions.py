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
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

from agent.assembly import Wish, open_session
from agent.briefing import brief
from agent.config import Config
from agent.confinement import Commands
from agent.evidence import Sources, gather
from agent.failures import TestRun, read_test_run
from agent.fix import WIDE_BRIEFING_TOKENS, FixJob, FixOptions, OpenedSession
from agent.messages import ToolCall
from agent.model.formats.gemma4_tokens import Gemma4Tokens
from agent.model.formats.gemma4_turns import Gemma4Turns
from agent.model.formats.literal import LiteralEncoder
from agent.model.local import LocalModel, LocalSettings
from agent.permissions import Mode
from agent.setup import Setup
from agent.test_paths import is_test_path
from inference.tokenizer import Tokenizer
from prompts import load
from tools.commands import Unconfined
from tools.edit import EditTool
from training.cut import open_tokenizer
from training.quotations import shortened
from training.renaming import some_names
from training.repositories import COMMAND, Case, lay_out
from training.runner import Runner
from training.samples import Sample, read_samples, write_samples
from training.slips import Slip, slip
from training.sources import all_sources
from training.specimens import MOST_BUGS, broken, held_out_functions, specimens
from training.teacher import Teacher, with_code, with_tools

_NO_CHANGE = float("-inf")
_ATTEMPTS = 2  # the second is told what still fails
_WHOLE_SESSIONS = 0.12  # of them, where most are wanted for their first answer
_SLIPS = 0.28  # of the sessions
_COMMANDS = (COMMAND, COMMAND, "pytest -q", "python3 -m pytest -q", "{folder}/bin/python -m pytest -q")
_PARENTS = ("/tmp/fix-{}", "/tmp/{}", "/home/user{}", "/home/me/src", "/srv", "/root/project{}", "/Users/me/code")
_FOLDERS = ("/usr", "/usr/local", "/opt/{name}", "/home/{name}/.venv", "/src/{name}/.venv", "/srv/{name}/venv")


@dataclass(frozen=True, slots=True)
class Place:
    """What a prompt says of where and when it is sent; the working directory ends with the case's own folder."""

    day: date
    parent: str
    git: str

    @classmethod
    def drawn(cls, chance: random.Random) -> Place:
        """Any place: nothing may be learnt from it."""
        day = date(2026, 1, 1) + timedelta(days=chance.randrange(3650))
        branch = chance.choice(("main", "main", "master", "develop", f"fix-{chance.randrange(1000)}"))
        status = chance.choice(("no changes", "no changes", "changes:\n M README.md", "changes:\n?? notes.txt"))
        return cls(day, chance.choice(_PARENTS).format(chance.randrange(1000)), f"Git branch: {branch}, {status}")


@dataclass(frozen=True, slots=True)
class Manner:
    """How the model works: ``direct`` ones are asked for code, as small ones are; others use tools, after a thought
    where they think. ``command`` is what runs the tests."""

    direct: bool = False
    thinks: bool = False
    command: str = COMMAND


def record(
    case: Case, tokenizer: Tokenizer, runner: Runner, manner: Manner = Manner(), slip: Slip | None = None
) -> Sample | None:
    """The session that repairs a case, after a change that does not help where there is a ``slip``.

    None where the right answers do not come to a green end.
    """
    answers = with_code(case) if manner.direct else with_tools(case, thinks=manner.thinks, slip=slip)
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
    said = tuple(span for span, answer in zip(said, answers, strict=True) if answer.learnt)
    return Sample(ids, said, case.bug.kind, source.label, request.static, source.held_out)


class FirstAnswers:
    """The first request of a session with tools and the right answer to it: what ``record`` begins with, made of the
    same parts in a third of the time, as no session is run. ``static`` are the ids that all sessions begin with."""

    def __init__(self, tokenizer: Tokenizer, static: Sequence[int]) -> None:
        self._tokens = Gemma4Tokens.of(tokenizer)
        self._encoder = LiteralEncoder(tokenizer)
        self._static = static

    def record(self, case: Case, runner: Runner, command: str = COMMAND, place: Place | None = None) -> Sample | None:
        """None where the right answer cannot be known from the request. Without a ``place`` it is where the case is."""
        own = str(case.root.parent)
        place = place or Place(date.today(), own, "Git branch: main, no changes")
        tested = runner.pytest(case.root)
        sources = Sources(case.root, is_test_path)
        run = read_test_run(command, tested.code, tested.output, 0.0)
        briefing = brief(gather(run, sources), sources, self._count, WIDE_BRIEFING_TOKENS)
        asked = load("fix/tools", complaint="", command=command, failures=briefing.failures, code=briefing.code)
        environment = load("environment", date=place.day.isoformat(), cwd=str(case.root), git=place.git)
        pair = case.bug.repair()
        if run.green or pair[0] not in asked:
            return None
        old, new = shortened(pair, case.bug.text)
        turns = Gemma4Turns(self._encoder, self._tokens)
        turns.user(f"{environment}\n\n{asked}".replace(own, place.parent))
        turns.open_model()
        turns.thought("")
        prompt = (*self._static, *turns.ids())
        answer = Gemma4Turns(self._encoder, self._tokens)
        answer.call(ToolCall("", EditTool.name, {"path": case.path, "replacements": [{"find": old, "replace": new}]}))
        answer.open_result()
        ids = (*prompt, *answer.ids())
        source = case.specimen.source
        return Sample(ids, ((len(prompt), len(ids)),), case.bug.kind, source.label, len(self._static), source.held_out)

    def _count(self, text: str) -> int:
        return len(self._encoder.encode(text))


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
            return read_test_run(manner.command, 0, "1 passed in 0.01s", 0.0)  # its examples come from calling it
        tested = await asyncio.to_thread(runner.pytest, case.root)
        return read_test_run(manner.command, tested.code, tested.output, time.monotonic() - began)

    async def ready(enough: bool) -> OpenedSession:
        return OpenedSession(opened.session, manner.direct and enough, opened.session.count, _no_preferences)

    try:
        job = FixJob(
            FixOptions(manner.command, attempts=_ATTEMPTS, stated=False),
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


@dataclass(frozen=True, slots=True)
class Choice:
    """Of which sources: all up to the label ``after`` are left out, ``held_out`` chooses between those that are and
    that are not, ``more`` is a folder with further packages. With ``names`` names are exchanged. ``bugs`` are what
    each function is given. ``quick``: most sessions end with the first answer."""

    held_out: bool | None = None
    after: str = ""
    more: Path | None = None
    names: bool = False
    bugs: int = MOST_BUGS
    quick: bool = False


def cases(runner: Runner, seed: int, choice: Choice = Choice()) -> Iterator[Case]:
    """Repositories with one bug each, from all sources in an order drawn by ``seed``; each is gone when the next comes.

    No function of a held-out source comes from another one that has it, too.
    """
    everything = all_sources(choice.more)
    taken = held_out_functions(everything)
    sources = [source for source in everything if choice.held_out in (None, source.held_out)]
    random.Random(seed).shuffle(sources)
    labels = [source.label for source in sources]
    names = some_names(everything, seed) if choice.names else ()
    # The folder's name is part of the prompt, so it is the same every time.
    folder = Path(tempfile.gettempdir()) / f"fix-{seed}"
    for source in sources[labels.index(choice.after) + 1 if choice.after in labels else 0 :]:
        for specimen in specimens(source, runner, seed, names, unlike=() if source.held_out else taken):
            for number, bug in enumerate(broken(specimen, runner, seed, most=choice.bugs)):
                shutil.rmtree(folder, ignore_errors=True)
                root = folder / (specimen.name.strip("_") or "function")
                yield lay_out(specimen, bug, root, seed + number)
    shutil.rmtree(folder, ignore_errors=True)


def generate(tokenizer: Tokenizer, runner: Runner, seed: int, manner: Manner, choice: Choice) -> Iterator[Sample]:
    """Sessions from the sources that are chosen."""
    chance = random.Random(seed)
    first: FirstAnswers | None = None
    for case in cases(runner, seed, choice):
        if first and chance.random() >= _WHOLE_SESSIONS:
            sample = first.record(case, runner, _command(case, chance), Place.drawn(chance))
            if sample is not None:
                yield sample
            continue
        wrong = slip(case.specimen, case.bug, chance) if chance.random() < _SLIPS and not manner.direct else None
        sample = record(case, tokenizer, runner, replace(manner, command=_command(case, chance)), wrong)
        if sample is not None:
            yield sample
            if choice.quick and not manner.direct and not manner.thinks:
                first = FirstAnswers(tokenizer, sample.ids[: sample.static])


def _command(case: Case, chance: random.Random) -> str:
    folder = chance.choice(_FOLDERS).format(name=case.path.split("/")[0])
    return chance.choice(_COMMANDS).format(folder=folder)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--thinks", action="store_true", help="with a thought before the change")
    parser.add_argument("--direct", action="store_true", help="asked for code, without tools")
    parser.add_argument("--more", type=Path, help="a folder with further packages")
    parser.add_argument("--names", action="store_true", help="exchange names")
    parser.add_argument("--bugs", type=int, default=MOST_BUGS, help="of each function, at most")
    parser.add_argument("--quick", action="store_true", help="most sessions end with the first answer")
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
        choice = Choice(after=after, more=args.more, names=args.names, bugs=args.bugs, quick=args.quick)
        samples = generate(tokenizer, runner, args.seed, Manner(args.direct, args.thinks), choice)
        count = write_samples(args.out, counted(islice(samples, max(0, args.count - len(there)))))
    report: dict[str, object] = {"sessions": count, "seconds": round(time.monotonic() - began), "kinds": kinds}
    for at, name in enumerate(("tokens", "first prompt", "said")):
        numbers = [each[at] for each in lengths] or [0]
        report[name] = {"median": statistics.median(numbers), "most": max(numbers)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()

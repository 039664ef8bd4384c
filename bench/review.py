"""Claims: a review finds most mistakes that a change brings in, and says little about harmless ones.

Three sets: functions of HumanEvalPack turned from right to wrong beside harmless changes, and as many clean changes
("humaneval"); mistakes put into files of this program, and rewritings of them ("files"); real changes from one
release of well-known packages to the next, all taken as clean ("releases"). The confidence is fitted on one half of
the cases (--fit) and everything is reported on the other half. Scores can be kept in a file, since reading takes long.

    python -m bench.review [--sets humaneval,files,releases] [--model NAME] [--scores FILE] [--fit] [--curve FILE.svg]
"""

from __future__ import annotations

import argparse
import asyncio
import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from agent.assembly import Talk, open_model
from agent.model import Model
from agent.review.checks import check_file
from agent.review.judge import Signals, compare, confidence
from agent.review.passages import passages
from agent.setup import read_setup
from bench.buggy_repositories import DEFAULT_DATA
from bench.claims import report
from bench.review_cases import Case, load_cases
from bench.review_curve import Point, draw
from bench.review_fit import fit
from bench.review_mutations import committed_files, file_cases
from bench.review_releases import release_cases
from bench.review_scores import KeptScores, Nobody, NotKeptError
from tools.git_changes import ChangedFile, Hunk

ROOT = Path(__file__).resolve().parents[1]
FILES = committed_files(ROOT)
NEAR = 3  # lines between a finding and a guilty line


@dataclass(frozen=True, slots=True)
class Outcome:
    """One passage of a case that was judged, or one finding of a certain check (``found`` None, always shown)."""

    case: Case
    found: Signals | None
    line: int

    @property
    def confidence(self) -> float:
        return 1.0 if self.found is None else confidence(self.found)

    @property
    def right(self) -> bool:
        return any(abs(self.line - guilty) <= NEAR for guilty in self.case.guilty)


@dataclass(frozen=True, slots=True)
class Counts:
    """What comes of a threshold: shares of the buggy cases found and of the findings that are right."""

    recall: float
    precision: float
    alarms: float


def changed_file(case: Case) -> ChangedFile:
    """The case as git would tell it."""
    matcher = SequenceMatcher(None, case.old.splitlines(), case.new.splitlines(), autojunk=False)
    hunks = [Hunk(a + 1, b - a, c + 1, d - c) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]
    return ChangedFile(case.path, case.path, "modified", case.old, case.new, tuple(hunks))


async def outcomes(case: Case, scorer: KeptScores) -> list[Outcome]:
    """All that a review of the case could say."""
    file = changed_file(case)
    found = [Outcome(case, None, finding.start) for finding in check_file(file)]
    for passage in passages(file):
        judged = await compare(passage, scorer)
        if judged is not None:
            found.append(Outcome(case, judged.signals, judged.line))
    return found


def counts(found: Sequence[Outcome], cases: Sequence[Case], threshold: float) -> Counts:
    """Recall and precision over the cases, and false alarms for each clean one."""
    shown = [each for each in found if each.confidence >= threshold]
    right = [each for each in shown if each.right]
    buggy = [case for case in cases if case.guilty]
    clean = [case for case in cases if not case.guilty]
    hit = {each.case.name for each in right}
    alarms = sum(not each.case.guilty for each in shown)
    return Counts(len(hit) / max(1, len(buggy)), len(right) / max(1, len(shown)), alarms / max(1, len(clean)))


def second_half(cases: Sequence[Case]) -> list[Case]:
    """The cases that nothing was fitted on: every other pair of a set."""
    names = list(dict.fromkeys(_subject(case) for case in cases))
    return [case for case in cases if names.index(_subject(case)) % 2]


def _subject(case: Case) -> str:
    """What the buggy and the clean case of a pair are both about."""
    return case.name.removesuffix(": buggy").removesuffix(": clean")


def all_cases(args: argparse.Namespace) -> dict[str, list[Case]]:
    """By set, those that are wanted."""
    sets: dict[str, list[Case]] = {}
    for name in args.sets.split(","):
        if name == "humaneval":
            sets[name] = load_cases(args.data)
        elif name == "files":
            sets[name] = file_cases(FILES, args.files)
        else:
            sets[name] = release_cases(args.wheels)
    return {name: cases[: args.limit] for name, cases in sets.items()}


async def measure(args: argparse.Namespace, sets: dict[str, list[Case]]) -> dict[str, list[Outcome]]:
    """Everything that could be said of every case; prints the seconds that a passage took.

    With ``--kept`` the pairs of which not every score is kept are taken out of the sets.
    """
    model: Model | None = None
    if not args.kept:
        model = await open_model(
            read_setup(Namespace(model=args.model, context=8192, in_process=True), cwd=ROOT), Talk()
        )
    found: dict[str, list[Outcome]] = {}
    try:
        for name, cases in sets.items():
            scorer = KeptScores(args.scores, model or Nobody())
            known = {case.name: await _outcomes_or_none(case, scorer) for case in cases}
            missing = {_subject(case) for case in cases if known[case.name] is None}
            sets[name] = [case for case in cases if _subject(case) not in missing]
            found[name] = [outcome for case in sets[name] for outcome in known[case.name] or ()]
            if scorer.asked:
                report(f"{name}: seconds a passage, of {scorer.asked}", scorer.seconds / scorer.asked, "s")
    finally:
        if model is not None:
            await model.close()
    return found


async def _outcomes_or_none(case: Case, scorer: KeptScores) -> list[Outcome] | None:
    try:
        return await outcomes(case, scorer)
    except NotKeptError:
        return None


def show(name: str, cases: Sequence[Case], found: Sequence[Outcome], threshold: float) -> None:
    """The figures of one set's second half, with the filter and without."""
    kept = second_half(cases)
    names = {case.name for case in kept}
    mine = [each for each in found if each.case.name in names]
    for what, limit in (("unfiltered", 0.0), (f"from {threshold} on", threshold)):
        value = counts(mine, kept, limit)
        if any(case.guilty for case in kept):
            report(f"{name}, {what}: mistakes found within {NEAR} lines", value.recall, "share")
            report(f"{name}, {what}: findings that are right", value.precision, "share")
        report(f"{name}, {what}: false alarms per clean change", value.alarms, "findings")
    report(f"{name}: clean changes", sum(not case.guilty for case in kept), "changes")


def curve(cases: Sequence[Case], found: Sequence[Outcome]) -> list[Point]:
    """Recall and precision of the second half at every confidence that occurs."""
    kept = second_half(cases)
    names = {case.name for case in kept}
    mine = [each for each in found if each.case.name in names]
    levels = sorted({each.confidence for each in mine})
    values = [counts(mine, kept, level) for level in levels]
    return [Point(value.recall, value.precision) for value in values]


def main() -> int:
    """Measure and print the claims; exit code 1 when one does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", default="humaneval,files,releases")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--wheels", type=Path, default=Path.home() / ".cache/gemma-agent/bench")
    parser.add_argument("--files", type=int, default=100, help="mistakes in this program's files")
    parser.add_argument("--limit", type=int, default=None, help="cases of each set")
    parser.add_argument("--scores", type=Path, help="keep the scores here")
    parser.add_argument("--kept", action="store_true", help="measure only what is kept there; no model is loaded")
    parser.add_argument("--fit", action="store_true", help="print weights fitted on the first halves")
    parser.add_argument("--curve", type=Path, help="write precision over recall as a picture")
    parser.add_argument("--threshold", type=float, default=0.5)
    args = parser.parse_args()
    sets = all_cases(args)
    found = asyncio.run(measure(args, sets))
    if args.fit:
        rows = [each for name, cases in sets.items() for each in _first_half(cases, found[name])]
        print(json.dumps({"weights": fit([(each.found, each.right) for each in rows if each.found is not None])}))
    for name, cases in sets.items():
        show(name, cases, found[name], args.threshold)
    judged = {name: curve(sets[name], found[name]) for name in ("humaneval", "files") if name in sets}
    if args.curve:
        args.curve.write_text(draw(judged))
    held = [_better(name, points) for name, points in judged.items()]
    return 0 if all(held) else 1


def _first_half(cases: Sequence[Case], found: Sequence[Outcome]) -> list[Outcome]:
    other = {case.name for case in second_half(cases)}
    return [each for each in found if each.case.name not in other]


def _better(name: str, points: Sequence[Point]) -> bool:
    """Whether some threshold finds as many mistakes as reporting everything does, with more findings that are right."""
    everything = points[0]
    best = max(point.precision for point in points if point.recall >= everything.recall)
    return report(
        f"{name}: gain of the filter in precision at equal recall", best - everything.precision, "share", "> 0"
    )


if __name__ == "__main__":
    raise SystemExit(main())

"""Claim: a small model that is asked about a change answers like a coin, and comparing likelihoods does not.

For functions of HumanEvalPack one change brings in the bug and the opposite one takes it out. Each is asked about in
three ways, from the logits, and compared as a review does. What counts is the area under the curve: how often a change
of the first kind gets more than one of the second; a coin has 0.5.

    python -m bench.review_question [--model NAME] [--functions 20] [--data FILE]
"""

from __future__ import annotations

import argparse
import asyncio
from argparse import Namespace
from collections import defaultdict
from pathlib import Path

from agent.assembly import Talk, open_model
from agent.review.header import header
from agent.review.judge import compare, confidence
from agent.review.passages import Passage, passages
from agent.review.question import ANSWERS, asked
from agent.setup import read_setup
from bench.buggy_repositories import DEFAULT_DATA
from bench.claims import report
from bench.review import changed_file
from bench.review_cases import Case, load_cases

ROOT = Path(__file__).resolve().parents[1]
_CORRECT = "Is the version after the change correct? Answer Yes or No."
_WHICH = "Which version is correct, A or B? Answer A or B."
Values = dict[str, list[tuple[bool, float]]]


def area(values: list[tuple[bool, float]]) -> float:
    """How often a bad change has a higher value than a good one; ties count half."""
    bad, good = ([value for is_bad, value in values if is_bad is kind] for kind in (True, False))
    wins = sum((b > g) + 0.5 * (b == g) for b in bad for g in good)
    return wins / max(1, len(bad) * len(good))


def either(one: str, other: str, passage: Passage) -> str:
    """The question which of two versions is right."""
    return f"```\n{passage.context}```\n\nVersion A:\n```\n{one}```\n\nVersion B:\n```\n{other}```\n\n{_WHICH}"


async def measure(args: argparse.Namespace) -> Values:
    """By way of asking, whether a change brought in a bug, and how likely that was found."""
    cases = [case for case in load_cases(args.data) if case.guilty][: args.functions]
    model = await open_model(
        read_setup(Namespace(model=args.model, context=4096, kv_disk=0, in_process=True), cwd=ROOT), Talk()
    )
    found: Values = defaultdict(list)
    try:
        for case in cases:
            for bad, change in ((True, case), (False, Case(case.name, case.new, case.old, ()))):
                file = changed_file(change)
                passage = next((each for each in passages(file) if each.old), None)
                if passage is None:
                    continue
                question = asked(passage, header(file, passage))
                other = f"{question.rsplit(chr(10), 1)[0]}\n{_CORRECT}"
                mistake, correct = await model.shares([question, other], ANSWERS)
                sides = [(passage.old, passage.new), (passage.new, passage.old)]
                first, second = await model.shares([either(*side, passage) for side in sides], ("A", "B"))
                judged = await compare(passage, model)
                found["asked whether there is a mistake"].append((bad, mistake[0]))
                found["asked whether it is correct"].append((bad, correct[1]))
                found["asked which version is correct, both ways round"].append((bad, first[0] + second[1]))
                if judged is not None:
                    found["likelihoods compared"].append((bad, confidence(judged.signals)))
    finally:
        await model.close()
    return found


def main() -> int:
    """Measure and print the claims; exit code 1 when one does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--functions", type=int, default=20)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    args = parser.parse_args()
    areas = {way: area(values) for way, values in asyncio.run(measure(args)).items()}
    for way, value in areas.items():
        report(f"{args.model}, {way}: area under the curve", value, "share")
    best = max(value for way, value in areas.items() if way.startswith("asked"))
    gain = areas["likelihoods compared"] - best
    return 0 if report("likelihoods tell more than the best question", gain, "share", "> 0") else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""What the pair is worth: ``agent fix`` as a user runs it, on files that no training has seen.

    python -m training.evaluate --model run/target.gguf --count 50

The drafter is the file ``mtp-*.gguf`` beside the model. Prints a line for each bug, and the shares in the end.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from itertools import islice
from pathlib import Path

from bench.buggy_repositories import agent_fix
from bench.claims import report
from training.bugs import KINDS
from training.runner import Runner
from training.sessions import cases

TESTS = f"{sys.executable} -m pytest -q"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--attempts", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    limits = ("--attempts", str(args.attempts), "--max-seconds", str(args.seconds), "--seed", str(args.seed))
    solved: defaultdict[str, list[bool]] = defaultdict(list)
    chance = random.Random(args.seed)
    with Runner() as runner:
        # One in three, so that a function's bugs do not make up the whole.
        some = (case for case in cases(runner, args.seed, held_out=True) if chance.random() < 1 / 3)
        for case in islice(some, args.count):
            result, seconds = agent_fix(case.root, TESTS, "--in-process", "--model", str(args.model), *limits)
            green = result["exit_code"] == 0
            solved[case.bug.kind].append(green)
            told = {"kind": case.bug.kind, "function": case.specimen.name, "solved": green}
            print(json.dumps({**told, "seconds": round(seconds, 1), "attempts": result["attempts"]}), flush=True)
    for kind in KINDS:
        if solved[kind]:
            report(f"{kind}: repaired", sum(solved[kind]) / len(solved[kind]), f"of {len(solved[kind])}")
    every = [each for some in solved.values() for each in some]
    report("bugs in unseen files repaired", sum(every) / max(1, len(every)), f"of {len(every)}")


if __name__ == "__main__":
    main()

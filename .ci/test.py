"""Runs the tests: the fast ones first, then the slow ones, then those on real weights.

It installs and downloads nothing; ``make test`` does that before.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = (
    ("the fast tests", "not slow and not weights"),
    ("the slow tests", "slow and not weights"),
    ("the tests on real weights", "weights"),
)


def main() -> int:
    """The first round that fails ends the run with its exit code."""
    for number, (what, marks) in enumerate(ROUNDS, start=1):
        print(f"==> {number}/{len(ROUNDS)}: {what}", flush=True)
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", marks, *sys.argv[1:]], cwd=ROOT, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

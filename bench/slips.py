"""Claim: `agent fix` repairs small repositories with slips that the public sets do not have.

Twelve of them, written for the purpose (bench/data/slips, one file each): a missing import, a missing colon, arguments
in the wrong order in another file, a missing ``self``, a shared default, a misspelt attribute, two mistakes at once;
Python, JavaScript and C. Each is repaired by the real command line. Prints a line for each and the claim.

    python -m bench.slips [NAME...] [--seconds 120] [--model NAME]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

from bench.buggy_repositories import agent_fix, commit_all
from bench.claims import report

DATA = Path(__file__).resolve().parent / "data" / "slips"


def write(name: str, root: Path) -> str:
    """The repository, committed, as ``root``; its test command."""
    head, *parts = re.split(r"^=== (.+)\n", (DATA / f"{name}.txt").read_text(), flags=re.MULTILINE)
    for path, text in zip(parts[::2], parts[1::2], strict=True):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n")
    commit_all(root, "Code and its tests")
    return re.sub(r"^python ", f"{sys.executable} ", head.removeprefix("command:").strip())


def repair(name: str, root: Path, args: argparse.Namespace) -> bool:
    """Whether the tests are green in the end; prints what it took."""
    root.mkdir()
    limits = ["--max-seconds", str(args.seconds)]
    result, seconds = agent_fix(root, write(name, root), "--model", args.model, *limits)
    solved = result["exit_code"] == 0
    taken = {"seconds": round(seconds, 1), "attempts": result["attempts"]}
    print(json.dumps({"repository": name, "solved": solved, **taken}), flush=True)
    return solved


def main() -> int:
    """Repair all or the named ones; exit code 1 when fewer than two thirds are repaired."""
    everything = sorted(path.stem for path in DATA.glob("*.txt"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=everything)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        solved = sum(repair(name, Path(folder) / name, args) for name in args.names)
    return 0 if report("small repositories repaired", solved / len(args.names), "share", ">= 0.66") else 1


if __name__ == "__main__":
    raise SystemExit(main())

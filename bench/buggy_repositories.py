"""Small repositories with one bug each, made from a file of buggy functions with tests (HumanEvalPack's format).

It measures nothing. The file is not part of the project: one JSON object a line with ``task_id``, ``prompt``,
``buggy_solution``, ``test`` and ``entry_point``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "humanevalpack-python.jsonl"
TEST_COMMAND = "python -m pytest -q"


@dataclass(frozen=True, slots=True)
class Task:
    """One buggy function."""

    name: str
    entry_point: str
    source: str
    test: str

    def write(self, root: Path) -> None:
        """The repository, committed, as ``root``."""
        (root / "tests").mkdir(parents=True, exist_ok=True)
        (root / "conftest.py").write_text("")
        (root / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n")
        (root / "solution.py").write_text(self.source)
        (root / "tests" / f"test_{self.entry_point}.py").write_text(self.test)
        commit_all(root, "A function and its tests")


def commit_all(root: Path, message: str) -> None:
    """Make ``root`` a repository with one commit of everything."""
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", message]):
        subprocess.run(["git", *command], cwd=root, check=True)


def load(data: Path = DEFAULT_DATA) -> list[Task]:
    """All tasks of the file, in its order; raises FileNotFoundError."""
    tasks: list[Task] = []
    for line in data.read_text().splitlines():
        row = json.loads(line)
        name: str = row["entry_point"]
        body = re.sub(r"\n*check\(\w+\)\s*$", "", row["test"].strip())
        imports = f"from solution import *\nfrom solution import {name}\n\n\n"
        test = f"{imports}{body}\n\n\ndef test_{name}():\n    check({name})\n"
        tasks.append(Task(row["task_id"], name, (row["prompt"] + row["buggy_solution"]).strip("\n") + "\n", test))
    return tasks


def agent_fix(root: Path, test: str, *flags: str) -> tuple[dict[str, Any], float]:
    """``agent fix`` in ``root`` as a user runs it, with its JSON result, and the seconds that it took.

    Raises SystemExit where it could not run.
    """
    command = [sys.executable, "-m", "agent", "fix", "--test", test, "--output-format", "json", "--bare", *flags]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    began = time.monotonic()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{root.name}: agent fix could not run: {done.stderr[-2000:]}")
    return {**json.loads(done.stdout), "exit_code": done.returncode}, time.monotonic() - began

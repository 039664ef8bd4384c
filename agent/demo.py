"""``agent demo``: makes a small repository with a real bug in a temporary place and repairs it with ``agent fix``.

The repository is text in ``agent.demo_files``; nothing outside the temporary place is touched.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

from agent.demo_files import FILES


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``agent demo``, beside those that every command has."""
    parser.add_argument("--directory", type=Path, help="where to make the repository (default: a temporary place)")


def make_repository(root: Path) -> None:
    """Write and commit the demo repository; raises OSError or subprocess.CalledProcessError."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n", encoding="utf-8")
    identity = ["-c", "user.name=demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "--no-verify", "-m", "Orders"]):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)


def demo_test_command() -> str:
    """pytest where it is installed, else unittest, with the interpreter that runs us."""
    runner = "pytest -q" if importlib.util.find_spec("pytest") else "unittest"
    return f"{sys.executable} -m {runner}"

"""``agent demo``: makes a small repository with a real bug in a temporary place and repairs it with ``agent fix``.

The repository is text in ``agent.demo_files``; nothing outside the temporary place is touched.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from agent.demo_files import FILES
from agent.fix_command import run_fix


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


async def run_demo(args: argparse.Namespace, fix: argparse.Namespace) -> int:
    """``agent demo``; the exit code is that of ``agent fix``, whose own arguments are ``fix``."""
    root = Path(args.directory or tempfile.mkdtemp(prefix="agent-demo-")) / "orders"
    root.mkdir(parents=True)
    make_repository(root)
    print(f"A small repository with a bug is in {root}; its tests fail. The model repairs it now:", file=sys.stderr)
    print(f'  cd {root} && agent fix --test "{demo_test_command()}"', file=sys.stderr, flush=True)
    os.chdir(root)
    code = await run_fix(argparse.Namespace(**{**vars(fix), **vars(args)}))
    print(_changes(root), end="")
    return code


def _changes(root: Path) -> str:
    command = ["git", "--no-pager", "diff", "--no-ext-diff"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout

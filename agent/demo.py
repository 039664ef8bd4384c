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
from dataclasses import replace
from pathlib import Path

from agent.demo_files import FILES
from agent.fix_command import run_fix
from agent.models.fetch import ModelOptions, ensure_model, is_here
from agent.models.local import all_local
from agent.setup import read_setup


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
    wanted = argparse.Namespace(**{**vars(fix), **vars(args)})
    if read_setup(wanted).config.model is None:
        wanted.model = model_at_hand(ModelOptions())
    code = await run_fix(wanted)
    print(_changes(root), end="")
    return code


def model_at_hand(options: ModelOptions) -> str | None:
    """The best model on this machine, where one is installed with the program and a better one would be fetched.

    A demo is to show something at once. None: what is chosen otherwise. Raises AgentError where no model fits into
    memory.
    """
    here = all_local(options.places, options.catalog)
    if is_here(None, options) or not any(files.entry.packaged for files in here.values()):
        return None
    return ensure_model(None, replace(options, offline=True)).entry.name


def _changes(root: Path) -> str:
    command = ["git", "--no-pager", "diff", "--no-ext-diff"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout

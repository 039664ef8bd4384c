"""Started in a repository that brings files named like modules, the program runs its own modules only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ("tomllib", "pydantic", "sqlite3", "json", "llama_cpp", "pip", "tree_sitter", "numpy", "agent_log")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    folder = tmp_path / "hostile"
    (folder / "src").mkdir(parents=True)
    for name in MODULES:
        for place in (folder, folder / "src"):
            (place / f"{name}.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    return folder


def run(hostile: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(hostile.parent),
        "PYTHONPATH": f"{ROOT}:.:src",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "agent", *arguments]
    done = subprocess.run(command, cwd=hostile, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_sessions_are_listed(hostile: Path) -> None:
    assert "There are no sessions" in run(hostile, "sessions")
    assert not (hostile.parent / "marker").exists()


@pytest.mark.slow
def test_the_machine_is_examined(hostile: Path) -> None:
    assert re.search(r"^llama\.cpp +ok", run(hostile, "doctor", "--offline"), re.MULTILINE)
    assert not (hostile.parent / "marker").exists()

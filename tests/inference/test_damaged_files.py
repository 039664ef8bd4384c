"""Damaged KV files end no process: tried in one of its own, because llama.cpp aborts on many of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_no_damaged_kv_file_ends_a_process_or_changes_an_answer() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.inference.damaged_files", "120"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout.split()) == (0, ["120", "120"]), run.stderr

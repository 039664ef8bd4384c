"""End to end on real weights: the command line repairs a repository, answers a question, and resumes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.demo import demo_test_command, make_repository

MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS") or Path.home() / ".cache/gemma-agent/models")
LARGE = MODELS / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
SMALL = MODELS / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
pytestmark = [pytest.mark.weights, pytest.mark.timeout(900)]


def needs(model: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not model.exists(), reason=f"{model.name} is not in {MODELS}")


def agent(root: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """The command line in ``root``, with settings and state of its own."""
    home = root.parent / "home"
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "GEMMA_AGENT_IN_PROCESS": "true",
    }
    command = [sys.executable, "-m", "agent", *arguments]
    return subprocess.run(
        command, cwd=root, env=environment, input=text, capture_output=True, text=True, timeout=800, check=False
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "orders"
    root.mkdir()
    make_repository(root)
    return root


@needs(LARGE)
def test_fix_repairs_the_demo_repository_and_touches_nothing_else(repository: Path) -> None:
    done = agent(repository, "fix", "--test", demo_test_command(), "--model", str(LARGE), "--output-format", "json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["is_error"], result["tests"]["green"]) == (0, False, True), done.stderr[-3000:]
    assert subprocess.run(demo_test_command(), cwd=repository, shell=True, capture_output=True).returncode == 0
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout.split()
    assert changed == ["M", "orders/pricing.py"]
    assert result["stats"]["cached_tokens"] > 0 or result["attempts"] == 1


@needs(SMALL)
def test_a_question_is_answered_kept_and_gone_on_with(repository: Path) -> None:
    first = agent(repository, "-p", "Say hello.", "--model", str(SMALL), "--max-tokens", "24", "--max-turns", "1")
    assert first.returncode in (0, 1), first.stderr
    second = agent(
        repository, "-c", "-p", "Again.", "--model", str(SMALL), "--max-tokens", "8", "--output-format", "json"
    )
    assert json.loads(second.stdout)["session_id"], second.stderr
    listed = agent(repository, "sessions", "list", "--json")
    assert len(listed.stdout.splitlines()) == 1

"""``agent -p`` as a program on real weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
MODEL = MODELS / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.weights,
    pytest.mark.skipif(not MODEL.exists(), reason=f"{MODEL.name} is not in {MODELS}"),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    own = {"HOME": str(tmp_path), "GEMMA_AGENT_IN_PROCESS": "true"}
    return {**own, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


def command(*arguments: str) -> list[str]:
    model = ["--model", str(MODEL), "--context", "2048", "--offline", "--output-format", "stream-json"]
    return [sys.executable, "-m", "agent", *arguments, *model]


def run(tmp_path: Path, environment: dict[str, str], *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        command(*arguments),
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_prompt_is_answered_and_the_session_is_continued(tmp_path: Path, environment: dict[str, str]) -> None:
    first = run(tmp_path, environment, "-p", "Say hello.", "--max-tokens", "8", "--max-turns", "1")
    assert [line["type"] for line in first[:2]] == ["system", "user"]
    assert first[-1]["type"] == "result"
    assert isinstance(first[-1]["stats"], dict)
    assert 0 < first[-1]["usage"]["output_tokens"] <= 8
    second = run(tmp_path, environment, "-c", "-p", "And goodbye.", "--max-tokens", "8", "--max-turns", "1")
    assert second[-1]["session_id"] == first[-1]["session_id"]
    # The second prompt holds the first one and its answer; what was read before comes from the disk.
    read = [end["usage"]["input_tokens"] + end["stats"]["cached_tokens"] for end in (first[-1], second[-1])]
    assert read[1] > read[0]
    assert second[-1]["usage"]["input_tokens"] < first[-1]["usage"]["input_tokens"]


def test_ctrl_c_while_the_model_works_ends_with_130_and_a_result(tmp_path: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command("-p", "Write a very long story."),
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]  # the model is loaded, the prompt accepted
        process.send_signal(signal.SIGINT)
        lines += process.stdout.readlines()
    assert process.returncode == 130
    assert json.loads(lines[-1])["subtype"] == "interrupted"

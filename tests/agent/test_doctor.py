"""The doctor: says what is here and what is not, with advice, and its exit code says whether the program can run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent import doctor_checks as checks
from agent.doctor import is_usable, table
from agent.doctor_checks import Finding, Status
from agent.models.build import Build, probe_build
from agent.models.fetch import ModelOptions
from agent.models.places import Places
from inference.kernels import open_kernels
from tests.fakes.hub_server import FakeHub, serve
from tests.fakes.tiny_gguf import gguf_bytes, write_gguf


def options(home: Path, **changes: object) -> ModelOptions:
    places = Places.from_environment({"HOME": str(home), "HF_ENDPOINT": str(changes.pop("endpoint", "http://[::1]:9"))})
    return ModelOptions(places=places, **changes)  # pyright: ignore[reportArgumentType]


def doctor(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "agent", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_machine_with_a_model_is_usable_and_says_so_in_json(tmp_path: Path) -> None:
    write_gguf(tmp_path / ".cache/gemma-agent/models/mine.gguf")
    done = doctor(tmp_path, "--offline", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["usable"]) == (0, True), done
    found = {finding["what"]: finding for finding in report["findings"]}
    assert "Q4_K_M" in found["mine"]["found"]
    assert found["llama.cpp"]["status"] == "ok"
    assert found["model hub"]["found"] == "not asked (--offline)"


def test_a_machine_without_a_model_and_network_is_not_usable(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--offline")
    assert done.returncode == 2
    assert "agent models pull" in done.stdout
    assert "cannot run here yet" in done.stderr


def test_a_broken_setting_is_named_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / ".config/gemma-agent/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("modle = 'x'")
    done = doctor(tmp_path, "--offline", "--json")
    settings = next(each for each in json.loads(done.stdout)["findings"] if each["what"] == "settings")
    assert done.returncode == 2
    assert settings["status"] == "bad"
    assert "modle" in settings["advice"]


def test_without_models_but_with_a_network_the_first_start_can_fetch_one(tmp_path: Path) -> None:
    (finding,) = checks.models(options(tmp_path))
    assert finding.status is Status.LIMITED
    assert is_usable([finding])


def test_a_truncated_model_is_reported_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / ".cache/gemma-agent/models"
    write_gguf(folder / "whole.gguf")
    (folder / "cut.gguf").write_bytes(gguf_bytes()[:-20])
    cut, whole = checks.models(options(tmp_path))
    assert (cut.status, whole.status) == (Status.LIMITED, Status.GOOD)
    assert "truncated" in cut.advice


def test_too_little_memory_makes_the_machine_unusable(tmp_path: Path) -> None:
    finding = checks.memory(options(tmp_path, available=100_000_000))
    assert finding.status is Status.BAD
    assert "close other programs" in finding.advice


def test_enough_memory_names_the_model_that_would_be_chosen(tmp_path: Path) -> None:
    assert "best fit gemma-4-e4b" in checks.memory(options(tmp_path, available=9 << 30)).found


def test_a_hub_that_answers_is_reachable(tmp_path: Path) -> None:
    with serve(FakeHub()) as hub:
        assert checks.hub(options(tmp_path, endpoint=hub.endpoint)).status is Status.GOOD


def test_a_hub_that_does_not_answer_limits_and_names_the_other_source(tmp_path: Path) -> None:
    finding = checks.hub(options(tmp_path))
    assert finding.status is Status.LIMITED
    assert "package index" in finding.advice


def test_this_interpreters_llama_build_is_asked_in_a_child() -> None:
    build = probe_build()
    assert build.failure == ""
    assert build.version
    assert "CPU" in build.features


def test_a_llama_build_that_does_not_load_is_the_end() -> None:
    (finding,) = checks.llama(Build(failure="it dies with signal 4."))
    assert finding == Finding("llama.cpp", Status.BAD, "does not run", "it dies with signal 4.")


def test_kernels_are_named_and_what_keeps_them_from_use() -> None:
    (finding,) = checks.kernels(Build(version="0.0.1"))
    assert finding.found.startswith("llama.cpp's own: ")
    if (found := open_kernels()) is not None:
        assert finding.status is Status.LIMITED
        assert "0.0.1 has not been checked" in finding.found
        assert "0.3.36" in finding.advice
        (used,) = checks.kernels(Build(version="0.3.36"))
        assert used.status is Status.GOOD
        assert found.instructions[0].replace("_", "-") in used.found
    assert checks.kernels(Build(version="0.3.36", gpu=True)) == []


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_keeps_its_columns_at_any_width(width: int) -> None:
    findings = [Finding("memory", Status.GOOD, "word " * 40), Finding("x", Status.LIMITED, "short", "do this " * 20)]
    lines = table(findings, width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("memory  ok       word")
    assert any(line.startswith(" " * 17 + "-> do this") for line in lines)

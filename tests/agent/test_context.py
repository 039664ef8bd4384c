"""What the model is told before the conversation."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest

from agent.context import find_instructions, preface

TODAY = date(2026, 3, 1)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "deep/er").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    return root


def texts(cwd: Path) -> list[str]:
    return [each.text for each in find_instructions(cwd)]


def test_instructions_are_read_from_the_root_down_to_the_folder(repository: Path) -> None:
    (repository / "AGENTS.md").write_text("root")
    (repository / "deep/er/AGENTS.md").write_text("nearest")
    (repository.parent / "AGENTS.md").write_text("outside")
    assert texts(repository / "deep/er") == ["root", "nearest"]
    assert texts(repository) == ["root"]


def test_other_names_stand_in_for_agents_md_in_their_folder_only(repository: Path) -> None:
    (repository / "CLAUDE.md").write_text("claude")
    (repository / "GEMINI.md").write_text("gemini")
    (repository / "deep/GEMINI.md").write_text("deep gemini")
    assert texts(repository / "deep") == ["claude", "deep gemini"]
    (repository / "AGENTS.md").write_text("agents")
    assert texts(repository / "deep") == ["agents", "deep gemini"]


def test_outside_of_a_repository_only_the_folder_itself_counts(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "AGENTS.md").write_text("above")
    (tmp_path / "inner/AGENTS.md").write_text("here")
    assert texts(tmp_path / "inner") == ["here"]


def test_a_long_file_is_cut_and_says_so(repository: Path) -> None:
    (repository / "AGENTS.md").write_text("ä" * 100_000)
    (text,) = texts(repository)
    assert len(text) < 17_000
    assert "the rest is left out" in text


def test_when_all_are_too_long_together_the_nearest_stay(repository: Path) -> None:
    for name in (".", "deep", "deep/er"):
        (repository / name / "AGENTS.md").write_text(name + "x" * 15_000)
    assert [text[:4] for text in texts(repository / "deep/er")] == ["deep", "deep"]


@pytest.mark.parametrize("content", [b"\0binary", b"", b"  \n"])
def test_files_without_text_are_left_out(repository: Path, content: bytes) -> None:
    (repository / "AGENTS.md").write_bytes(content)
    assert texts(repository) == []


def test_a_link_that_leads_out_of_the_repository_is_left_out(repository: Path) -> None:
    (repository.parent / "secret").write_text("secret")
    (repository / "AGENTS.md").symlink_to("../secret")
    assert texts(repository) == []


def test_the_preface_holds_instructions_date_folder_and_git_status(repository: Path) -> None:
    (repository / "AGENTS.md").write_text("Use tabs. ${not_a_value}")
    text = preface(repository, TODAY)
    assert text.index("Use tabs. ${not_a_value}") < text.index("2026-03-01")
    assert str(repository) in text
    assert "Git branch: main" in text
    assert "?? AGENTS.md" in text
    assert "Use tabs" not in preface(repository, TODAY, bare=True)


def test_many_changes_are_summed_up(repository: Path) -> None:
    for number in range(40):
        (repository / f"file-{number}").write_text("x")
    text = preface(repository, TODAY)
    assert "and 25 more" in text


def test_outside_of_a_repository_the_preface_says_so(tmp_path: Path) -> None:
    assert "Not a git repository" in preface(tmp_path, TODAY)

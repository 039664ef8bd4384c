"""Git calls read a repository and let nothing in it start a program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.git import Git, GitError, find_root


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=False, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "sub").mkdir(parents=True)
    git(root, "init", "-q", "-b", "trunk")
    (root / "sub/a.txt").write_text("one\n")
    (root / "b c.txt").write_text("two\n")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_head_status_files_and_diff_are_read(repository: Path) -> None:
    (repository / "sub/a.txt").write_text("changed\n")
    (repository / "new.txt").write_text("new\n")
    git(repository, "mv", "b c.txt", "d.txt")
    reader = Git(repository)
    assert reader.head().branch == "trunk"
    assert len(reader.head().commit or "") == 40
    assert reader.status() == [("R ", "d.txt"), (" M", "sub/a.txt"), ("??", "new.txt")]
    assert reader.ls_files() == ["d.txt", "new.txt", "sub/a.txt"]
    assert reader.ls_files(untracked=False) == ["d.txt", "sub/a.txt"]
    assert "-one\n+changed\n" in reader.diff()
    assert "d.txt" in reader.diff(cached=True)
    assert reader.diff(paths=("d.txt",)) == ""
    assert reader.show("sub/a.txt") == b"one\n"
    assert reader.show("missing") is None
    assert (reader.is_tracked("sub/a.txt"), reader.is_tracked("new.txt"), reader.is_tracked("*")) == (
        True,
        False,
        False,
    )


def test_paths_are_relative_to_the_folder_asked_for(repository: Path) -> None:
    assert find_root(repository / "sub/a.txt") == repository
    reader = Git(repository / "sub")
    assert reader.ls_files() == ["a.txt"]
    assert reader.show("a.txt") == b"one\n"


def test_a_repository_without_commits_has_a_branch_and_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    assert (Git(tmp_path).head().commit, Git(tmp_path).head().branch) == (None, "trunk")


def test_outside_of_any_repository_is_no_root_and_an_error(tmp_path: Path) -> None:
    assert find_root(tmp_path) is None
    with pytest.raises(GitError):
        Git(tmp_path).status()


def test_a_tampered_configuration_starts_nothing(repository: Path, tmp_path: Path) -> None:
    marker = tmp_path / "started"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\nexec cat\n")
    program.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "fsmonitor-watchman", "pre-auto-gc", "reference-transaction"):
        (hooks / hook).symlink_to(program)
    (repository / ".gitattributes").write_text("*.txt filter=evil diff=evil\n")
    for key in (
        "core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "core.gitProxy",
        "diff.external", "diff.evil.command", "diff.evil.textconv", "filter.evil.clean", "filter.evil.smudge",
        "filter.evil.process", "gpg.program", "credential.helper", "pager.status", "pager.diff", "pager.log",
        "interactive.diffFilter", "uploadpack.packObjectsHook", "core.alternateRefsCommand", "alias.status",
    ):  # fmt: skip
        git(repository, "config", key, str(program) if key != "alias.status" else f"!{program}")
    git(repository, "config", "filter.evil.required", "true")
    git(repository, "config", "core.hooksPath", str(hooks))
    git(repository, "config", "log.showSignature", "true")
    marker.unlink(missing_ok=True)
    (repository / "sub/a.txt").write_text("changed\n")
    reader = Git(repository)
    find_root(repository)
    reader.head()
    reader.status()
    reader.ls_files()
    reader.is_tracked("b c.txt")
    reader.diff()
    reader.diff(cached=True)
    reader.show("b c.txt")
    assert not marker.exists()
    git(repository, "status")
    assert marker.exists(), "the trap of this test does not work"

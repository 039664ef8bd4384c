"""Files of the workspace that git would run or read settings from are found, and found anew when settings change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.confined import git
from tools.git_programs import RunByGit


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    for name in ("scripts/hook.sh", "scripts/clean.sh", "team.gitconfig", ".husky/pre-commit", "ignored", "a.py"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    git(root, "init", "-q")
    return root


def names(found: RunByGit, root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in found.now())


def test_hooks_included_settings_and_named_programs_are_found(repository: Path) -> None:
    found = RunByGit(repository)
    assert names(found, repository) == []
    (repository / ".git/hooks/pre-push").symlink_to("../../scripts/hook.sh")
    git(repository, "config", "include.path", "../team.gitconfig")
    git(repository, "config", "filter.x.clean", "sh scripts/clean.sh %f")
    git(repository, "config", "core.excludesFile", "ignored")
    git(repository, "config", "user.name", "a.py")
    assert names(found, repository) == ["scripts/clean.sh", "scripts/hook.sh", "team.gitconfig"]
    git(repository, "config", "core.hooksPath", ".husky")
    assert ".husky" in names(found, repository)


def test_a_folder_of_hooks_that_is_a_link_is_found_where_it_leads(repository: Path) -> None:
    (repository / ".git/hooks").rename(repository / "old")
    (repository / ".git/hooks").symlink_to("../scripts")
    assert names(RunByGit(repository), repository) == ["scripts"]


def test_settings_that_count_on_one_branch_only_are_found_when_it_is_checked_out(repository: Path) -> None:
    found = RunByGit(repository)
    (repository / "team.gitconfig").write_text("[core]\n    hooksPath = .husky\n")
    git(repository, "config", "includeIf.onbranch:other.path", "../team.gitconfig")
    assert names(found, repository) == ["team.gitconfig"]
    git(repository, "symbolic-ref", "HEAD", "refs/heads/other")
    assert names(found, repository) == [".husky", "team.gitconfig"]


def test_where_there_is_no_repository_there_is_nothing(tmp_path: Path) -> None:
    assert RunByGit(tmp_path).now() == ()

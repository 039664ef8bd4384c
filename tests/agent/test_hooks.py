"""Hooks are put where git looks for them, keep what was there, and go away without a trace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agent.errors import UsageError
from agent.hooks import HookPlan, install, uninstall

PLAN = HookPlan("pre-commit", fail_on="medium")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    return root


def git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    identity = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(root.parent), "PYTHONPATH": str(ROOT)}
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def commit(root: Path, text: str, *flags: str) -> subprocess.CompletedProcess[str]:
    (root / "a.py").write_text(text)
    git(root, "add", "-A")
    return git(root, "commit", "-q", "-m", "x", *flags)


def test_a_grave_finding_stops_the_commit_and_no_verify_does_not(repository: Path) -> None:
    install(repository, PLAN)
    stopped = commit(repository, "x = 1\nbreakpoint()\n")
    assert stopped.returncode == 1
    assert "a.py:2: [P2] A breakpoint is left in" in stopped.stderr
    assert commit(repository, "x = 1\nbreakpoint()\n", "--no-verify").returncode == 0


def test_a_hook_that_warns_lets_the_commit_through(repository: Path) -> None:
    install(repository, HookPlan("pre-commit"))
    done = commit(repository, "x = 1\nbreakpoint()\n")
    assert done.returncode == 0
    assert "A breakpoint is left in" in done.stderr


def test_the_hook_that_was_there_still_runs_first_and_is_put_back(repository: Path) -> None:
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho before >&2\n")
    hook.chmod(0o755)
    said = install(repository, PLAN)
    assert "is kept" in said[0]
    assert install(repository, PLAN)[-1] == said[-1], "twice is once"
    assert "before" in commit(repository, "x = 1\n").stderr
    uninstall(repository, "pre-commit")
    assert hook.read_text() == "#!/bin/sh\necho before >&2\n"
    assert [path.name for path in hook.parent.iterdir() if "gemma" in path.name] == []


def test_a_hook_before_ours_that_fails_stops_the_commit(repository: Path) -> None:
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\nexit 7\n")
    hook.chmod(0o755)
    install(repository, PLAN)
    assert commit(repository, "x = 1\n").returncode != 0


def test_a_program_that_is_gone_never_stops_a_commit(repository: Path) -> None:
    install(repository, PLAN)
    hook = repository / ".git/hooks/pre-commit"
    lines = hook.read_text().splitlines()
    python = next(line for line in lines if "-m agent review" in line).split()[0]
    hook.write_text(hook.read_text().replace(python, "/nowhere/python"))
    done = commit(repository, "breakpoint()\n")
    assert done.returncode == 0
    assert "nothing was reviewed" in done.stderr


def test_a_worktree_shares_the_hooks_of_its_repository(repository: Path, tmp_path: Path) -> None:
    commit(repository, "x = 1\n")
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"))
    install(tmp_path / "linked", PLAN)
    assert (repository / ".git/hooks/pre-commit").exists()
    assert commit(tmp_path / "linked", "breakpoint()\n").returncode == 1


def test_a_folder_of_hooks_in_the_repository_is_honoured(repository: Path) -> None:
    git(repository, "config", "core.hooksPath", "tools/hooks")
    install(repository, PLAN)
    assert (repository / "tools/hooks/pre-commit").exists()
    assert commit(repository, "breakpoint()\n").returncode == 1


def test_hooks_that_other_repositories_use_are_left_alone(repository: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    git(repository, "config", "core.hooksPath", str(shared))
    with pytest.raises(UsageError, match="other repositories"):
        install(repository, PLAN)
    assert not shared.exists()


def test_what_is_not_ours_is_not_removed(repository: Path) -> None:
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\n")
    assert "no hook of ours" in uninstall(repository, "pre-commit")[0]
    assert hook.exists()

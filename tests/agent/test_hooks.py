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
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True, check=False)


def environment(root: Path, **more: str) -> dict[str, str]:
    """Of somebody who has no model: HOME is empty."""
    return {"PATH": os.environ["PATH"], "HOME": str(root.parent), "PYTHONPATH": str(ROOT), **more}


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
    assert "nothing was done" in done.stderr


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


def test_what_the_repository_calls_its_modules_is_not_run(repository: Path, tmp_path: Path) -> None:
    marker = tmp_path / "started"
    for name in ("agent", "json", "argparse", "asyncio", "pyflakes"):
        (repository / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')\n")
    install(repository, PLAN)
    assert commit(repository, "breakpoint()\n").returncode == 1
    assert not marker.exists()


def test_a_program_that_fails_never_stops_a_commit(repository: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "agent").mkdir(parents=True)
    (broken / "agent/__init__.py").write_text("raise SystemError\n")
    install(repository, PLAN)
    (repository / "a.py").write_text("breakpoint()\n")
    git(repository, "add", "-A")
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "x"]
    done = subprocess.run(
        command, cwd=repository, env=environment(repository, PYTHONPATH=str(broken)), capture_output=True, check=False
    )
    assert done.returncode == 0


def test_skip_passes_ours_by_and_not_the_hook_that_was_there(repository: Path) -> None:
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho before >&2\n")
    hook.chmod(0o755)
    install(repository, PLAN)
    (repository / "a.py").write_text("breakpoint()\n")
    git(repository, "add", "-A")
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "x"]
    done = subprocess.run(
        command,
        cwd=repository,
        env=environment(repository, SKIP="flake8,agent-review"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "before" in done.stderr
    assert "skipped (SKIP)" in done.stderr


@pytest.mark.parametrize("how", [["-a"], ["a.py"], ["--amend", "-a"]], ids=["all", "one file", "amended"])
def test_a_commit_reviews_what_it_commits_though_it_was_never_added(repository: Path, how: list[str]) -> None:
    commit(repository, "x = 1\n")
    install(repository, PLAN)
    (repository / "a.py").write_text("x = 1\nbreakpoint()\n")
    done = git(repository, "commit", "-q", "-m", "y", *how)
    assert done.returncode == 1
    assert "a.py:2: [P2] A breakpoint is left in" in done.stderr


def test_a_submodule_has_hooks_of_its_own(repository: Path, tmp_path: Path) -> None:
    commit(repository, "x = 1\n")
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "main")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repository), "inner")
    install(outer / "inner", PLAN)
    assert (outer / ".git/modules/inner/hooks/pre-commit").exists()
    assert not (outer / ".git/hooks/pre-commit").exists()
    assert commit(outer / "inner", "breakpoint()\n").returncode == 1
    git(outer, "add", "-A")
    assert git(outer, "commit", "-q", "-m", "x").returncode == 0


def test_a_push_is_reviewed_and_the_hook_before_still_reads_what_is_pushed(repository: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    git(repository, "init", "-q", "--bare", str(remote))
    git(repository, "remote", "add", "origin", str(remote))
    commit(repository, "x = 1\n")
    git(repository, "push", "-q", "origin", "main")
    hook = repository / ".git/hooks/pre-push"
    hook.write_text('#!/bin/sh\necho "before $1 $(cut -d" " -f1)" >&2\n')
    hook.chmod(0o755)
    install(repository, HookPlan("pre-push", fail_on="medium"))
    commit(repository, "x = 1\nbreakpoint()\n")
    stopped = git(repository, "push", "origin", "main")
    assert stopped.returncode != 0
    assert "before origin refs/heads/main" in stopped.stderr
    assert "a.py:2: [P2] A breakpoint is left in" in stopped.stderr
    assert git(repository, "push", "-q", "--no-verify", "origin", "main").returncode == 0
    assert "0 files" in git(repository, "push", "origin", "main:again").stderr, "the remote has it already"
    assert git(repository, "push", "-q", "origin", ":again").returncode == 0


def test_a_secret_in_a_commit_message_is_found(repository: Path) -> None:
    install(repository, HookPlan("commit-msg", fail_on="critical"))
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    (repository / "a.py").write_text("x = 1\n")
    git(repository, "add", "-A")
    stopped = git(repository, "commit", "-q", "-m", f"Use the key {key}")
    assert stopped.returncode == 1
    assert "line 1 of the message: [P0] An AWS access key is in the change" in stopped.stderr
    assert key not in stopped.stderr
    assert git(repository, "commit", "-q", "-m", "Use a key").returncode == 0


def test_a_message_is_never_touched_where_one_was_given_or_no_model_is_here(repository: Path) -> None:
    install(repository, HookPlan("prepare-commit-msg"))
    commit(repository, "x = 1\n")
    assert git(repository, "log", "-1", "--format=%B").stdout.strip() == "x"
    (repository / "a.py").write_text("x = 2\n")
    git(repository, "add", "-A")
    edited = git(repository, "-c", "core.editor=sed -i 1s/^/mine/", "commit", "-q")
    assert "no message is proposed: no model is on this machine" in edited.stderr
    assert git(repository, "log", "-1", "--format=%B").stdout.strip() == "mine"


def test_all_hooks_are_taken_away_together(repository: Path) -> None:
    names = ("pre-commit", "pre-push", "prepare-commit-msg", "commit-msg")
    before = sorted(path.name for path in (repository / ".git/hooks").iterdir())
    for name in names:
        install(repository, HookPlan(name))
    for name in names:
        uninstall(repository, name)
    assert sorted(path.name for path in (repository / ".git/hooks").iterdir()) == before


def test_hooks_of_the_first_version_are_known_as_ours(repository: Path) -> None:
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\n# gemma-agent hook, version 1: https://git-scm.com/docs/githooks\n")
    install(repository, PLAN)
    assert [path.name for path in hook.parent.iterdir() if "before" in path.name] == []
    assert "version 2" in hook.read_text()

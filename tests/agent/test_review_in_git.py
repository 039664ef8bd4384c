"""`agent review` in real repositories, as a hook and by hand: every odd change is met sensibly and said aloud."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.hooks import HookPlan, install
from tests.agent.test_hooks import ROOT, environment, git

IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    return root


def review(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "agent", "review", *arguments]
    return subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True, check=False)


def stage(root: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        (root / name.replace("__", ".")).write_bytes(content.encode() if isinstance(content, str) else content)
    git(root, "add", "-A")


def committed(root: Path) -> str:
    """What a hook says to a commit that goes through."""
    done = git(root, "commit", "-q", "--allow-empty", "-m", "x")
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_kinds_of_change_that_hold_no_lines_are_named(repository: Path) -> None:
    stage(repository, a__py="x = 1\n", b__py="y = 1\n" * 9, c__bin=b"\0\1", d__py="z = 1\n", e__py="v = 1\n")
    committed(repository)
    install(repository, HookPlan("pre-commit", fail_on="low"))
    assert "Nothing was reviewed: 0 files" in committed(repository), "an empty change"
    (repository / "c.bin").write_bytes(b"\0\2")
    (repository / "a.py").chmod(0o755)
    git(repository, "mv", "b.py", "moved.py")
    git(repository, "rm", "-q", "d.py")
    (repository / "e.py").unlink()
    (repository / "e.py").symlink_to("a.py")
    git(repository, "add", "-A")
    said = committed(repository)
    assert "c.bin not reviewed: it is binary." in said
    assert "a.py not reviewed: only its mode changed." in said
    assert "moved.py not reviewed: it was only renamed from b.py." in said
    assert "e.py not reviewed: it is a symbolic link." in said
    assert "1 file reviewed, nothing found." in said, "a deleted file may break others, so it is looked at"


def test_an_unborn_branch_and_a_detached_head_are_reviewed(repository: Path) -> None:
    install(repository, HookPlan("pre-commit"))
    stage(repository, a__py="breakpoint()\n")
    assert "A breakpoint is left in" in committed(repository)
    git(repository, "checkout", "-q", "--detach")
    stage(repository, b__py="breakpoint()\n")
    said = committed(repository)
    assert "b.py:1: [P2] A breakpoint is left in" in said
    assert "a.py" not in said


def test_of_a_merge_the_resolution_is_reviewed_and_not_what_both_sides_brought(repository: Path) -> None:
    stage(repository, a__py="x = 1\n")
    committed(repository)
    git(repository, "checkout", "-q", "-b", "side")
    stage(repository, a__py="x = 2\n", b__py="breakpoint()\n")
    committed(repository)
    git(repository, "checkout", "-q", "main")
    stage(repository, a__py="x = 3\n")
    committed(repository)
    install(repository, HookPlan("pre-commit"))
    git(repository, "merge", "-q", "side")
    stage(repository, a__py="x = 4\nbreakpoint()\n")
    said = committed(repository)
    assert "a.py:2: [P2] A breakpoint is left in" in said
    assert "b.py" not in said
    assert "A merge" in said


@pytest.mark.parametrize(
    ("form", "fail_on", "code"),
    [
        (form, fail_on, code)
        for form in ("text", "json", "sarif", "github")
        for fail_on, code in (("high", 0), ("medium", 1))
    ],
)
def test_the_exit_code_is_the_same_in_every_format(repository: Path, form: str, fail_on: str, code: int) -> None:
    stage(repository, a__py="breakpoint()\n")
    done = review(repository, "--format", form, "--fail-on", fail_on)
    assert done.returncode == code
    assert "A breakpoint is left in" in done.stdout
    if form in ("json", "sarif"):
        json.loads(done.stdout)


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_what_cannot_run_is_2_and_nothing_is_written(repository: Path, form: str) -> None:
    done = review(repository, "--format", form, "--commit", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere is not a commit" in done.stderr
    assert review(repository.parent, "--format", form).returncode == 2, "outside of any repository"


def test_nothing_to_review_is_said_in_every_format(repository: Path) -> None:
    for form in ("text", "json", "sarif", "github"):
        done = review(repository, "--format", form)
        assert done.returncode == 0
        assert "0 files" in done.stdout


def test_an_interruption_ends_it_at_once(repository: Path, tmp_path: Path) -> None:
    """Somebody presses the key while git, which is slow today, reads the change."""
    reached = tmp_path / "reached"
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text(f"#!/bin/sh\ntouch {reached}\nexec sleep 60\n")
    (programs / "git").chmod(0o755)
    command = [sys.executable, "-P", "-m", "agent", "review", "--hook", "pre-commit"]
    slow = environment(repository, PATH=f"{programs}:{os.environ['PATH']}")
    with subprocess.Popen(command, cwd=repository, env=slow, stderr=subprocess.PIPE) as running:
        while not reached.exists():
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130
        assert running.stderr is not None
        assert b"interrupted" in running.stderr.read()


@pytest.mark.slow
def test_a_hook_that_hangs_lets_git_go_on(repository: Path) -> None:
    """It waits for what git pushes, and nobody writes it."""
    flags = ["--hook", "pre-push", "--max-seconds", "0.5", "--fail-on", "low"]
    command = [sys.executable, "-P", "-m", "agent", "review", *flags]
    pipe, own = subprocess.PIPE, environment(repository)
    with subprocess.Popen(command, cwd=repository, env=own, stdin=pipe, stderr=pipe) as running:
        assert running.wait(60) == 0
        assert running.stderr is not None
        assert b"the time limit was reached, and nothing more was reviewed" in running.stderr.read()


@pytest.mark.slow
def test_a_hundred_thousand_lines_stay_within_the_time_limit(repository: Path) -> None:
    """Ten times as much as two slow cores manage in that time."""
    function = "def f{0}(a, b):\n    x = a + {0}\n    if x > b:\n        return x\n    return b\n\n\n"
    for number in range(100):
        text = "".join(function.format(each) for each in range(144))
        (repository / f"m{number}.py").write_text(text)
    git(repository, "add", "-A")
    done = review(repository, "--hook", "pre-commit", "--max-seconds", "1")
    assert done.returncode == 0
    assert "The time limit was reached" in done.stdout
    assert "files reviewed" in done.stdout


KEYS = (
    "core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "core.gitProxy",
    "diff.external", "diff.evil.command", "diff.evil.textconv", "filter.evil.clean", "filter.evil.smudge",
    "filter.evil.process", "gpg.program", "credential.helper", "pager.diff", "pager.grep", "interactive.diffFilter",
    "uploadpack.packObjectsHook", "core.alternateRefsCommand", "diff.orderFile",
)  # fmt: skip


def test_a_tampered_configuration_runs_nothing_in_a_review(repository: Path, tmp_path: Path) -> None:
    stage(repository, a__py="x = 1\n", b__py="y = 1\n")
    committed(repository)
    marker = tmp_path / "started"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\nexec cat\n")
    program.chmod(0o755)
    stage(repository, a__py="x = 2\nbreakpoint()\n", __gitattributes="*.py filter=evil diff=evil\n")
    for key in KEYS:
        git(repository, "config", key, str(program))
    git(repository, "config", "filter.evil.required", "true")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "pre-auto-gc", "reference-transaction", "pre-commit"):
        (hooks / hook).symlink_to(program)
    git(repository, "config", "core.hooksPath", str(hooks))
    (repository / "b.py").write_text("y = 2\nbreakpoint()\n")
    marker.unlink(missing_ok=True)
    assert "a.py:2: [P2] A breakpoint is left in" in review(repository).stdout
    assert "b.py:2: [P2] A breakpoint is left in" in review(repository, "--worktree").stdout
    assert review(repository, "--commit", "HEAD").returncode == 0
    assert not marker.exists()
    git(repository, "diff", "HEAD")
    assert marker.exists(), "the trap of this test does not work"


@pytest.mark.slow
def test_the_pre_commit_framework_runs_it(repository: Path, tmp_path: Path) -> None:
    """The real framework, with our manifest; the program itself is not installed once more."""
    shelf = tmp_path / "hooks"
    shelf.mkdir()
    git(shelf, "init", "-q", "-b", "main")
    (shelf / ".pre-commit-hooks.yaml").write_text((ROOT / ".pre-commit-hooks.yaml").read_text())
    git(shelf, "add", "-A")
    git(shelf, "commit", "-q", "-m", "x")
    revision = git(shelf, "rev-parse", "HEAD").stdout.strip()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "agent").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m agent "$@"\n')
    (programs / "agent").chmod(0o755)
    hook = "{id: agent-review, language: system, args: [--fail-on, medium]}"
    (repository / ".pre-commit-config.yaml").write_text(
        f"repos:\n- repo: {shelf}\n  rev: {revision}\n  hooks:\n  - {hook}\n"
    )
    more = {"PATH": f"{programs}:{os.environ['PATH']}", "PRE_COMMIT_HOME": str(tmp_path / "cache")}

    def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=repository,
            env={**environment(repository, **more), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    assert run(sys.executable, "-m", "pre_commit", "install").returncode == 0
    stage(repository, a__py="x = 1\nbreakpoint()\n")
    commit = ("git", *IDENTITY, "commit", "-m", "x")
    stopped = run(*commit)
    assert stopped.returncode == 1, stopped.stdout
    assert "agent review" in stopped.stdout
    assert "a.py:2: [P2] A breakpoint is left in" in stopped.stdout
    skipped = run(*commit, SKIP="agent-review")
    assert skipped.returncode == 0, skipped.stdout
    stage(repository, a__py="x = 2\n")
    passed = run(*commit)
    assert passed.returncode == 0, passed.stdout
    assert "1 file reviewed, nothing found." in passed.stdout

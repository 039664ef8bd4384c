"""Git hooks that call ``agent review``: put in place and taken away again, with what was there kept.

It runs no review. Hooks are found as git finds them: by core.hooksPath, else in the common folder of all worktrees.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from agent.errors import UsageError
from tools.git import Git, GitError

MARK = "# gemma-agent hook, version 1"
_KEPT = ".before-gemma-agent"

# Only a finding as grave as --fail-on (1) stops git, and an interruption (130): a hook that cannot run must not.
_SCRIPT = """\
#!/bin/sh
{mark}: https://git-scm.com/docs/githooks
before="$(dirname "$0")/{kept}"
if [ -x "$before" ]; then
    "$before" "$@" || exit $?
fi
if ! command -v {python} >/dev/null 2>&1; then
    echo "agent review: {python} is gone, so nothing was reviewed (agent hooks uninstall {name})." >&2
    exit 0
fi
{python} -m agent review --hook {name} {arguments} >&2
case $? in
    1) echo "agent review: stopped; git commit --no-verify commits all the same." >&2; exit 1 ;;
    130) exit 130 ;;
    *) exit 0 ;;
esac
"""


@dataclass(frozen=True, slots=True)
class HookPlan:
    """What a hook is to do: which one it is, from which gravity on it stops git, and after how many seconds it ends."""

    name: str
    fail_on: str = "never"
    seconds: float = 30.0


def install(root: Path, plan: HookPlan) -> list[str]:
    """Put the hook in place; what was done, in sentences.

    Raises UsageError where other repositories would have it too.
    """
    folder = _own_folder(root)
    path, kept = folder / plan.name, folder / f"{plan.name}{_KEPT}"
    said: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and not _is_ours(path):
            if kept.exists():
                raise UsageError(f"{path} and {kept} are both there; remove one of them first.")
            path.rename(kept)
            said.append(f"The hook that was there is kept as {kept.name} and runs first.")
        _write(path, _script(plan, kept.name))
    except OSError as error:
        raise UsageError(f"The hook {path} cannot be written: {error.strerror}.") from error
    said.append(
        f"{path} reviews from now on; `git commit --no-verify` passes it by, `agent hooks uninstall` removes it."
    )
    return said


def uninstall(root: Path, name: str) -> list[str]:
    """Take our hook away and put back what was there; what was done, in sentences. Raises UsageError."""
    folder = _own_folder(root)
    path, kept = folder / name, folder / f"{name}{_KEPT}"
    if not path.exists() or not _is_ours(path):
        return [f"There is no hook of ours at {path}."]
    try:
        path.unlink()
        if kept.exists():
            kept.rename(path)
            return [f"{path} is again the hook that was there before."]
    except OSError as error:
        raise UsageError(f"The hook {path} cannot be removed: {error.strerror}.") from error
    return [f"{path} is gone."]


def _own_folder(root: Path) -> Path:
    """Where git looks for the hooks of the repository at ``root`` (its top folder); UsageError where others' are."""
    git = Git(root)
    try:
        configured = git.configured("core.hooksPath", kind="path")
        common = (root / os.fsdecode(git.read("rev-parse", "--git-common-dir").strip())).resolve()
    except GitError as error:
        raise UsageError(f"The repository {root} cannot be read: {error}.") from error
    if not configured:
        return common / "hooks"
    folder = (root / configured).resolve()
    if not (folder.is_relative_to(root.resolve()) or folder.is_relative_to(common)):
        raise UsageError(
            f"core.hooksPath is {folder}, which other repositories may use too; "
            "add `agent review --hook pre-commit` to the hook there by hand."
        )
    return folder


def _is_ours(path: Path) -> bool:
    try:
        return MARK in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _script(plan: HookPlan, kept: str) -> str:
    arguments = shlex.join(["--fail-on", plan.fail_on, "--max-seconds", f"{plan.seconds:g}"])
    return _SCRIPT.format(mark=MARK, kept=kept, python=shlex.quote(sys.executable), name=plan.name, arguments=arguments)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

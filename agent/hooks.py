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

MARK = "# gemma-agent hook, version"
_VERSION = 2
_KEPT = ".before-gemma-agent"
STOP = 3  # the exit code by which a hook of ours stops git: Python's own for a failed program is 1

# A hook that cannot run must not stop git: only STOP, an interruption (130) and the hook that was there before do.
# -P keeps Python from importing what the repository calls agent.py or json.py.
_SCRIPT = """\
#!/bin/sh
{mark} {version}: https://git-scm.com/docs/githooks
{read_input}before="$(dirname "$0")/{kept}"
if [ -x "$before" ]; then
    {give_input}"$before" "$@" || exit $?
fi
case ",$SKIP," in
    *,agent-review,*) echo "agent {name}: skipped (SKIP)." >&2; exit 0 ;;
esac
{unless}if ! command -v {python} >/dev/null 2>&1; then
    echo "agent {name}: {python} is gone, so nothing was done (agent hooks uninstall {name})." >&2
    exit 0
fi
{give_input}{python} -P -m agent {command} >&2
case $? in
    {stop}) echo "agent {name}: stopped; git {git_command} --no-verify goes on all the same." >&2; exit 1 ;;
    130) exit 130 ;;
    *) exit 0 ;;
esac
"""
_READ_INPUT = 'pushed="$(cat)"\n'
_GIVE_INPUT = "printf '%s\\n' \"$pushed\" | "
_DOES = {
    "pre-commit": "reviews every commit from now on, `git commit --no-verify` passes it by",
    "pre-push": "reviews every push from now on, `git push --no-verify` passes it by",
    "prepare-commit-msg": "proposes a message for every commit that has none",
    "commit-msg": "looks at every commit message for secrets, `git commit --no-verify` passes it by",
}
# A message that was given with -m or a template, or that git made of a merge, is nobody's to change.
_UNLESS_GIVEN = 'if [ -n "$2" ]; then exit 0; fi\n'


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
    said.append(f"{path} {_DOES[plan.name]}; `agent hooks uninstall {plan.name}` takes it away.")
    return said


def uninstall(root: Path, name: str, *, quiet: bool = False) -> list[str]:
    """Take our hook away and put back what was there; what was done, in sentences. Raises UsageError.

    ``quiet`` says nothing of a hook that is not there.
    """
    folder = _own_folder(root)
    path, kept = folder / name, folder / f"{name}{_KEPT}"
    if not path.exists() or not _is_ours(path):
        return [] if quiet else [f"There is no hook of ours at {path}."]
    try:
        if kept.exists():
            kept.replace(path)
            return [f"{path} is again the hook that was there before."]
        path.unlink()
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
            "add `agent review --max-seconds 30` to the hook there by hand."
        )
    return folder


def _is_ours(path: Path) -> bool:
    try:
        return MARK in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _script(plan: HookPlan, kept: str) -> str:
    limits = shlex.join(["--fail-on", plan.fail_on, "--max-seconds", f"{plan.seconds:g}"])
    commands = {
        "pre-commit": f"review --hook pre-commit {limits}",
        "pre-push": f"review --hook pre-push {limits}",
        "prepare-commit-msg": f'hooks message --max-seconds {plan.seconds:g} "$1"',
        "commit-msg": f'hooks check-message --fail-on {plan.fail_on} "$1"',
    }
    pushing = plan.name == "pre-push"
    return _SCRIPT.format(
        mark=MARK,
        version=_VERSION,
        kept=kept,
        python=shlex.quote(sys.executable),
        name=plan.name,
        command=commands[plan.name],
        stop=STOP,
        git_command="push" if pushing else "commit",
        read_input=_READ_INPUT if pushing else "",
        give_input=_GIVE_INPUT if pushing else "",
        unless=_UNLESS_GIVEN if plan.name == "prepare-commit-msg" else "",
    )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

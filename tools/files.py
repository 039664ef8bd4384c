"""The files of the workspace that people would call its own: ignored ones left out, in a fixed order.

It opens no file; which of them may be read is ``tools.workspace``'s matter.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.atomic import TEMPORARY_PREFIX
from tools.git import Git, GitError, find_root
from tools.programs import find_program

MAX_FILES = 20_000
_TIMEOUT_S = 20.0
_SKIPPED = frozenset({".git", ".hg", ".svn", ".agent", "node_modules", "__pycache__", ".venv", ".tox", ".mypy_cache"})


def ripgrep(root: Path) -> str | None:
    """The path of ``rg`` for work in ``root``: beside the interpreter (its wheel puts it there), on PATH, or None."""
    beside = Path(sys.executable).parent / "rg"
    return str(beside) if os.access(beside, os.X_OK) else find_program("rg", root)


def ripgrep_environment() -> dict[str, str]:
    """What rg needs from the environment; its own configuration variable is not among it."""
    return {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "XDG_CONFIG_HOME"}}


def list_files(root: Path, program: str | None = None) -> list[str]:
    """The files below ``root`` as sorted relative POSIX paths, at most ``MAX_FILES``.

    Ignore files are respected by rg (``program``, looked up when not given; empty for none) or else by git; without
    both, well-known folders of generated files are left out. Symbolic links are neither listed nor followed.
    """
    program = ripgrep(root) if program is None else program
    found = _by_ripgrep(root, program) if program else None
    if found is None:
        found = _by_git(root)
    if found is None:
        found = _by_walking(root)
    own = [name for name in found if not name.rsplit("/", 1)[-1].startswith(TEMPORARY_PREFIX)]
    return sorted(own)[:MAX_FILES]


def _by_ripgrep(root: Path, program: str) -> list[str] | None:
    command = [program, "--no-config", "--files", "--hidden", "--no-require-git", "--null", "--threads", "2"]
    command += ["--glob", "!.git", "--glob", "!.agent", "."]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=ripgrep_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode > 1 and not done.stdout:  # 1: no files; 2 with output: some folder could not be read
        return None
    return [os.fsdecode(name).removeprefix("./") for name in done.stdout.split(b"\0") if name]


def _by_git(root: Path) -> list[str] | None:
    if find_root(root) is None:
        return None
    try:
        names = Git(root).ls_files()
    except GitError:
        return None
    return [name for name in names if (root / name).is_file() and not (root / name).is_symlink()]


def _by_walking(root: Path) -> list[str]:
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                found.append(path.relative_to(root).as_posix())
        if len(found) > MAX_FILES:
            break
    return found

"""What the model is told before the conversation: system prompt, instructions of the repository, environment.

Built once per session; it asks no model and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prompts import load
from tools.git import Git, GitError, find_root

INSTRUCTION_FILES = ("AGENTS.md", "CLAUDE.md", "GEMINI.md")
_MAX_INSTRUCTION_BYTES = 16_000  # of one file: some 4,000 tokens
_MAX_ALL_INSTRUCTION_BYTES = 32_000
_MAX_STATUS_LINES = 15


@dataclass(frozen=True, slots=True)
class Instructions:
    """One instruction file; ``text`` is bounded, and says so when it was cut."""

    path: Path
    text: str


def system_prompt() -> str:
    """The same for every repository and day, so that its tokens can be read once and kept."""
    return load("system")


def project_root(cwd: Path) -> Path:
    """The repository's root, or ``cwd`` outside of any."""
    return find_root(cwd) or cwd


def find_instructions(cwd: Path) -> list[Instructions]:
    """AGENTS.md from the repository's root down to ``cwd``, root first; per folder the first name that exists.

    Outside of a repository only ``cwd`` is looked at. Files that are no text, or lead out of the repository, are
    left out.
    """
    root = project_root(cwd)
    folders = [folder for folder in (*reversed(cwd.parents), cwd) if folder.is_relative_to(root)]
    found = [each for folder in folders if (each := _instructions_in(folder, root)) is not None]
    kept: list[Instructions] = []
    left = _MAX_ALL_INSTRUCTION_BYTES
    for each in reversed(found):  # the nearest folder's are the most specific: they go first when room is short
        left -= len(each.text.encode())
        if left >= 0:
            kept.insert(0, each)
    return kept


def preface(cwd: Path, today: date, *, bare: bool = False) -> str:
    """What stands before the first user message: instructions (not when ``bare``), then date, folder and git status."""
    found: Sequence[Instructions] = () if bare else find_instructions(cwd)
    root = project_root(cwd)
    parts = [
        load("instructions", path=each.path.relative_to(root).as_posix(), text=each.text.strip()) for each in found
    ]
    parts.append(load("environment", date=today.isoformat(), cwd=str(cwd), git=_git_status(cwd)))
    return "".join(f"{part}\n\n" for part in parts)


def _instructions_in(folder: Path, root: Path) -> Instructions | None:
    for name in INSTRUCTION_FILES:
        path = folder / name
        try:
            if not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
                continue
            with path.open("rb") as file:
                content = file.read(_MAX_INSTRUCTION_BYTES + 1)
            text = content[:_MAX_INSTRUCTION_BYTES].decode("utf-8", errors="ignore")
        except OSError:
            continue
        if b"\0" in content or not text.strip():
            continue
        cut = "\n[... the rest is left out]" if len(content) > _MAX_INSTRUCTION_BYTES else ""
        return Instructions(path, text + cut)
    return None


def _git_status(cwd: Path) -> str:
    root = find_root(cwd)
    if root is None:
        return "Not a git repository"
    git = Git(root)
    try:
        changed = git.status()
        head = git.head()
    except GitError:
        return "The git repository cannot be read"
    if not changed:
        status = "no changes"
    else:
        lines = [f"{code} {path}" for code, path in changed[:_MAX_STATUS_LINES]]
        if len(changed) > _MAX_STATUS_LINES:
            lines.append(f"... and {len(changed) - _MAX_STATUS_LINES} more")
        status = "\n".join(["changes:", *lines])
    return f"Git branch: {head.branch or 'none (detached)'}, {status}"

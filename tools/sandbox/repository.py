"""The git folders that a workspace uses: what of them a command may write, and what must stay as it is.

It reads a few small files and runs no git: which repository counts must not depend on what a repository says.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_MAX_FILE = 64_000
# Settings that can name programs, and the programs that git runs by itself.
_SETTINGS = ("config", "config.worktree", "hooks")
# These say where the rest of a repository is: whoever writes them brings settings of their own.
_POINTERS = ("commondir", "gitdir")


@dataclass(frozen=True, slots=True)
class GitPlaces:
    """``writable`` are folders; ``read_only`` may lie in them, and may not exist (yet)."""

    writable: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()


def git_places(workspace: Path, entries: Iterable[Path]) -> GitPlaces:
    """For all .git entries below ``workspace`` (real paths).

    Folders outside the workspace, as a linked worktree or a submodule has them, count only when they point back here:
    otherwise any repository could name any other.
    """
    writable: list[Path] = []
    read_only: list[Path] = []
    for entry in entries:
        if entry.is_symlink():
            continue  # nothing can be mounted on it; what becomes of it is looked at afterwards
        if entry.is_dir():
            writable += [entry] if entry.parent == workspace else []
            read_only += protected_in(entry)
        else:
            read_only.append(entry)
            writable += _linked(workspace, entry, read_only)
    return GitPlaces(tuple(dict.fromkeys(writable)), tuple(dict.fromkeys(read_only)))


def protected_in(folder: Path) -> list[Path]:
    """What must stay as it is in one git folder and in those of its submodules and linked worktrees."""
    found = [folder / name for name in _SETTINGS]
    for inner in _inner_folders(folder):
        found += [inner / name for name in _SETTINGS]
        found += [inner / name for name in _POINTERS if (inner / name).exists()]
    return found + [folder / name for name in _POINTERS if (folder / name).exists()]


def git_folder(entry: Path) -> Path | None:
    """The folder that a .git entry stands for: itself, or what its ``gitdir:`` line names."""
    if entry.is_dir():
        return entry
    text = _small(entry)
    if text is None or not text.startswith("gitdir:"):
        return None
    return Path(os.path.realpath(entry.parent / text.removeprefix("gitdir:").strip()))


def _linked(workspace: Path, entry: Path, read_only: list[Path]) -> list[Path]:
    """The folders that git writes for a worktree or submodule at ``entry``, which is a file."""
    folder = git_folder(entry)
    if folder is None or not folder.is_dir():
        return []
    read_only += [folder / name for name in (*_SETTINGS, *_POINTERS) if (folder / name).exists()]
    if folder.is_relative_to(workspace) or entry.parent != workspace:
        return []  # inside: writable anyhow; a nested one with its folder outside: read-only
    if not _points_back(folder, entry):
        return []
    common = folder / (_small(folder / "commondir") or ".").strip()
    common = Path(os.path.realpath(common))
    if common == folder:
        return [folder]
    if not folder.is_relative_to(common / "worktrees"):
        return []
    return [folder, *(common / name for name in ("objects", "refs", "logs") if (common / name).is_dir())]


def _points_back(folder: Path, entry: Path) -> bool:
    """Whether a git folder outside the workspace belongs to this entry: git writes that down on both sides."""
    back = _small(folder / "gitdir")
    if back is not None:
        return os.path.realpath(back.strip()) == os.path.realpath(entry)
    for line in (_small(folder / "config") or "").splitlines():
        key, _, value = line.partition("=")
        if key.strip().lower() == "worktree":
            return os.path.realpath(folder / value.strip().strip('"')) == os.path.realpath(entry.parent)
    return False


def _inner_folders(folder: Path) -> Iterator[Path]:
    """Git folders inside a git folder: ``modules`` at any depth, ``worktrees`` at one."""
    with contextlib.suppress(OSError):
        yield from sorted(each for each in (folder / "worktrees").iterdir() if each.is_dir())
    for place, folders, files in os.walk(folder / "modules"):
        if "HEAD" in files:
            yield Path(place)
            folders[:] = [name for name in folders if name == "modules"]


def _small(path: Path) -> str | None:
    """The text of a small regular file; None when there is none."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(_MAX_FILE).decode("utf-8", "surrogateescape")
    except OSError:
        return None
